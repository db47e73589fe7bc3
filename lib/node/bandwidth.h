/* SPDX-License-Identifier: Apache-2.0 */
/* m: the bytes per second that memory sustains. */
#ifndef QB_NODE_BANDWIDTH_H
#define QB_NODE_BANDWIDTH_H

#include "node/node_data.h"
#include "node/topology.h"

/* The most entries a table of m has. */
enum { QB__MOST_BANDWIDTH = 32 };

/*
 * Measures m of up to `most` threads together: the triad a[i] = b[i] + s * c[i] of McCalpin's
 * STREAM, three transfers an element, each thread over a slice it touched first, over arrays
 * several times the last cache. Each figure is the best of qb__measure_passes().
 */
qb_status qb__measure_bandwidth(const qb_context *context, const qb__topology *topology,
                                uint32_t most, int64_t budget_ns,
                                qb__sustained table[QB__MOST_BANDWIDTH], size_t *count);

#endif
