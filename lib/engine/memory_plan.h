/* SPDX-License-Identifier: Apache-2.0 */
/* Where activations lie in one arena, so that those never alive together share their bytes. */
#ifndef QB_ENGINE_MEMORY_PLAN_H
#define QB_ENGINE_MEMORY_PLAN_H

#include <qosbatch/context.h>

/* A region needed from step `first` to step `last`, both included. */
typedef struct qb__region {
  size_t bytes;
  uint32_t first, last;
  size_t offset; /* result; a multiple of QB__REGION_ALIGNMENT */
} qb__region;

/* A page: neighbouring regions share no page, and vector loads never straddle a cache line. */
enum { QB__REGION_ALIGNMENT = 4096 };

/*
 * Places regions greedily, the largest first, each at the lowest offset where it overlaps none that
 * is alive at the same time (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
 * Inference", 2020, algorithm 3: greedy by size for offset calculation). On failure offsets are
 * undefined.
 */
qb_status qb__memory_plan(const qb_context *context, qb__region *regions, size_t count,
                          size_t *arena_bytes);

#endif
