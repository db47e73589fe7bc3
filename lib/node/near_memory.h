/* SPDX-License-Identifier: Apache-2.0 */
/* When each NUMA node is worth a copy of what all read and nobody writes (docs/engine.md). */
#ifndef QB_NODE_NEAR_MEMORY_H
#define QB_NODE_NEAR_MEMORY_H

#include <stdint.h>

/* Copies together take no more than this part of the memory. */
enum { QB__COPIES_PART_OF_MEMORY = 16 };

/*
 * Copies beside the first of `bytes` that threads on `nodes` NUMA nodes read again and again: one for each
 * other node, where a cache of `cache_bytes` does not keep them and the memory is large enough; else 0.
 */
static inline uint32_t qb__copies_that_pay(uint32_t nodes, uint64_t bytes, uint64_t cache_bytes,
                                           uint64_t memory_bytes)
{
  return nodes > 1 && bytes > cache_bytes &&
                 bytes <= memory_bytes / QB__COPIES_PART_OF_MEMORY / (nodes - 1)
             ? nodes - 1
             : 0;
}

#endif
