/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that measure together, one on each core. */
#ifndef QB_NODE_MEASURING_H
#define QB_NODE_MEASURING_H

#include "node/topology.h"

/* A piece of measured work on thread `index` of `threads`. Returns what it did: FLOP, or bytes. */
typedef double (*qb__work)(void *argument, uint32_t index, uint32_t threads);

/*
 * Runs `work` on `threads` new threads, pinned one to each core of the topology from `first` on,
 * around its end, and started together, and gives what all of them did per second from the first
 * start to the last end.
 */
qb_status qb__measure_together(const qb_context *context, const qb__topology *topology,
                               uint32_t first, uint32_t threads, qb__work work, void *argument,
                               double *per_s);

/* The numbers of threads worth measuring: 1, 2, 3, 4, 6, 8, 12, 16, ... up to `most`, and it. */
enum { QB__MOST_THREAD_COUNTS = 32 };
size_t qb__thread_counts(uint32_t most, uint32_t counts[QB__MOST_THREAD_COUNTS]);

#endif
