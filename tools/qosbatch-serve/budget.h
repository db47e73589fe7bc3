/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that all requests together may hold. Any thread. */
#ifndef SERVE_BUDGET_H
#define SERVE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct budget {
  atomic_size_t used;
  size_t most;
} budget;

static inline bool budget_take(budget *b, size_t bytes)
{
  if (atomic_fetch_add(&b->used, bytes) + bytes <= b->most)
    return true;
  atomic_fetch_sub(&b->used, bytes);
  return false;
}

static inline void budget_give(budget *b, size_t bytes)
{
  atomic_fetch_sub(&b->used, bytes);
}

#endif
