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

/* Sends one line to the host's hook; formatted only when there is one. */
__attribute__((format(printf, 3, 4))) void
qb__message(const qb_context *context, qb_severity severity, const char *format, ...);

static inline int64_t qb__now_ns(const qb_context *context)
{
  return context->params.now_ns(context->params.clock_user);
}

#endif
