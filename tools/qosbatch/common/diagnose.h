/* SPDX-License-Identifier: Apache-2.0 */
/* What goes to stderr, as "SPEAKER: message", and the exit status that goes with it. */
#ifndef TOOL_DIAGNOSE_H
#define TOOL_DIAGNOSE_H

#include <qosbatch/status.h>

#include <stdbool.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* What messages speak for: "qosbatch" before this call, then "qosbatch COMMAND". */
void diagnose_as(const char *name);
const char *diagnose_speaker(void);

/* Returns EXIT_FAILED. */
__attribute__((format(printf, 1, 2))) int fail(const char *format, ...);

/* Returns EXIT_DONE for QB_OK, or EXIT_FAILED after the library's message. */
int check(qb_status status);

/* Points to --help and ends the process with EXIT_USAGE. */
__attribute__((format(printf, 1, 2))) _Noreturn void fail_usage(const char *format, ...);

/* Says something that changes no result, unless notes are not wanted. */
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);
void diagnose_quietly(bool quiet);

/* Says what may make a result wrong. */
__attribute__((format(printf, 1, 2))) void warn(const char *format, ...);

#endif
