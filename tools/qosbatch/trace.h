/* SPDX-License-Identifier: Apache-2.0 */
/* Files of times, one a line. */
#ifndef TOOL_TRACE_H
#define TOOL_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Times in nanoseconds; free(times_ns). */
typedef struct trace {
  int64_t *times_ns;
  size_t count;
} trace;

/*
 * Reads non-negative numbers of `unit_ns` nanoseconds each; empty lines and what follows a '#' are
 * skipped. With `rising` none may be less than the one before. Returns the exit status: a failure,
 * naming file and line, if one is none of these.
 */
int trace_read(const char *path, double unit_ns, bool rising, trace *result);

#endif
