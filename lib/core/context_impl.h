/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of qb_context: the hooks, with the defaults filled in. */
#ifndef QB_CORE_CONTEXT_IMPL_H
#define QB_CORE_CONTEXT_IMPL_H

#include "core/refcount.h"

#include <qosbatch/context.h>

struct qb_context {
  qb__refcount references;
  qb_context_params params;
  struct qb__memory_limit *limit; /* counts what is allocated; NULL: nothing does */
};

/* A cache line: what vector code likes, and enough for any type. */
enum { QB__DEFAULT_ALIGNMENT = 64 };

/* The host's allocator, beside the limit and without a message. */
static inline void *qb__host_allocate(const qb_context *context, size_t bytes, size_t alignment)
{
  return context->params.allocate(context->params.allocator_user, bytes, alignment);
}

static inline void qb__host_release(const qb_context *context, const void *memory)
{
  context->params.release(context->params.allocator_user, (void *)(uintptr_t)memory);
}

#endif
