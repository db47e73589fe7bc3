/* SPDX-License-Identifier: Apache-2.0 */
/* c: the FLOP/s that cores sustain. */
#ifndef QB_NODE_COMPUTE_POWER_H
#define QB_NODE_COMPUTE_POWER_H

#include "node/node_data.h"
#include "node/topology.h"

/* The most entries a table of c has. */
enum { QB__MOST_COMPUTE = 3 * QB_ISA_AVX512 * 32 };

/*
 * Measures c of up to `most` threads together, for each instruction set of the processor and each
 * precision that it has instructions for, in interleaved passes over about `budget_ns`
 * (qb__measure_passes()). Each figure is the best of the passes: what the cores sustain when nobody
 * disturbs them. A processor may always use a lower instruction set and leave cores idle, so no figure
 * is below that of a lower one, or of fewer threads. `core_flops` has one element for each core of the
 * topology: what each sustains of 32-bit floats while `most` run, the best it was seen to do.
 */
qb_status qb__measure_compute(const qb_context *context, const qb__topology *topology,
                              uint32_t most, int64_t budget_ns,
                              qb__sustained table[QB__MOST_COMPUTE], size_t *count,
                              double *core_flops);

#endif
