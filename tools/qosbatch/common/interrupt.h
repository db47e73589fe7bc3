/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGINT and SIGTERM: a job ends its rounds and keeps its state; where there is none it ends at
 * once.
 */
#ifndef TOOL_INTERRUPT_H
#define TOOL_INTERRUPT_H

/* From here on the two end the process with 130 and 143, unless it was started to ignore them. */
void interrupt_ends(void);

/* From here on the first is kept for interrupt_signal(), and a second ends the process. */
void interrupt_is_kept(void);

/* The signal that came, or 0. */
int interrupt_signal(void);

/* The exit status of a process that ends for it: 130 or 143. */
int interrupt_status(void);

#endif
