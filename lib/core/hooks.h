/* SPDX-License-Identifier: Apache-2.0 */
/* The host's clock and message hook. For memory see alloc.h. */
#ifndef QB_CORE_HOOKS_H
#define QB_CORE_HOOKS_H

#include <qosbatch/context.h>

/* Sends one line to the host's hook; formatted only when there is one. */
__attribute__((format(printf, 3, 4))) void
qb__message(const qb_context *context, qb_severity severity, const char *format, ...);

int64_t qb__now_ns(const qb_context *context);

#endif
