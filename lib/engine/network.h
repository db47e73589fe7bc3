/* SPDX-License-Identifier: Apache-2.0 */
/* What only a network on oneDNN can tell, for benchmarks and reports. */
#ifndef QB_ENGINE_NETWORK_H
#define QB_ENGINE_NETWORK_H

#include "engine/engine.h"

/*
 * Runs a round like qb__engine_type.run and adds the time of each operator to ns_by_operator, which
 * has one element an operator of the graph; changes of layout count for the operator that needs
 * them.
 */
qb_status qb__network_run_timed(qb__engine *engine, uint32_t instance, uint32_t batch,
                                const void *const *inputs, void *const *outputs,
                                int64_t *ns_by_operator);

/* oneDNN's names for what runs an operator at a batch size that is ready; "" for none. */
const char *qb__network_implementation(const qb__engine *engine, uint32_t batch, uint32_t op);

#endif
