/* SPDX-License-Identifier: Apache-2.0 */
/* Reference counts of objects that threads share. */
#ifndef QB_CORE_REFCOUNT_H
#define QB_CORE_REFCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>

typedef atomic_uint qb__refcount;

static inline void qb__refcount_init(qb__refcount *count)
{
  atomic_init(count, 1);
}

static inline void qb__refcount_take(qb__refcount *count)
{
  atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

/* True for whoever gave back the last one, who sees all that the others wrote. */
static inline bool qb__refcount_drop(qb__refcount *count)
{
  return atomic_fetch_sub_explicit(count, 1, memory_order_acq_rel) == 1;
}

#endif
