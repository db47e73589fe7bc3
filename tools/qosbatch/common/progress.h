/* SPDX-License-Identifier: Apache-2.0 */
/* A progress bar on stderr, if that is a terminal. */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H

#include <qosbatch/profile.h>

/* A bar, `fraction` of it filled, and a text behind it; drawn at most ten times a second. */
__attribute__((format(printf, 3, 4))) void progress_draw(int64_t now_ns, double fraction,
                                                         const char *format, ...);

/* The bar of a profile that is being measured. */
void progress_show(const qb_progress *progress);

/* Takes the bar away, if there is one. */
void progress_clear(void);

#endif
