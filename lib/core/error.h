/* SPDX-License-Identifier: Apache-2.0 */
/* The one way to fail: a status and a message for qb_error_message(). */
#ifndef QB_CORE_ERROR_H
#define QB_CORE_ERROR_H

#include <qosbatch/status.h>

/*
 * Sets the calling thread's message and returns `status`, so that `return qb__fail(...)` reads
 * well.
 */
__attribute__((format(printf, 2, 3))) qb_status qb__fail(qb_status status, const char *format, ...);

/* As qb__fail, with the text put before the message that is already set: "while loading X: ...". */
__attribute__((format(printf, 2, 3))) qb_status qb__fail_within(qb_status status,
                                                                const char *format, ...);

#endif
