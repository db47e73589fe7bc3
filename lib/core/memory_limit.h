/* SPDX-License-Identifier: Apache-2.0 */
/* A limit on the bytes that one piece of work holds at one time. */
#ifndef QB_CORE_MEMORY_LIMIT_H
#define QB_CORE_MEMORY_LIMIT_H

#include "core/context_impl.h"

#include <stdbool.h>

/* A block that is held; NULL: a free slot of the hash table. */
typedef struct qb__held_block {
  const void *memory;
  size_t bytes;
} qb__held_block;

/*
 * What was allocated through `context` and not yet freed. Blocks may outlive the limit: they are
 * the host's like any other.
 */
typedef struct qb__memory_limit {
  struct qb_context context; /* allocate through this one while the work lasts */
  const qb_context *host;
  const char *what; /* is limited: "loading this model" */
  uint64_t held_bytes, most_bytes;
  size_t block_count, slot_count;
  qb__held_block *slots;
} qb__memory_limit;

/* Begins to count against the host's limit. One thread at a time may use it. */
void qb__memory_limit_begin(qb__memory_limit *limit, const qb_context *host, const char *what);
/* Frees the books, not the blocks. */
void qb__memory_limit_end(qb__memory_limit *limit);

/* For alloc.c. A block that is not allowed sets QB_ERROR_NO_MEMORY's message. */
bool qb__memory_limit_allows(const qb__memory_limit *limit, size_t bytes);
/* False where the books themselves find no memory. */
bool qb__memory_limit_add(qb__memory_limit *limit, const void *memory, size_t bytes);
void qb__memory_limit_remove(qb__memory_limit *limit, const void *memory);

#endif
