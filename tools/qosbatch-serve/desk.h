/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on requests beside the event loop: reading bodies, writing answers. Short work is not held
 * up by long work, which has a thread of its own that steps back for all others.
 */
#ifndef SERVE_DESK_H
#define SERVE_DESK_H

#include <stdbool.h>

typedef struct task {
  void (*run)(struct task *self);
  struct task *next; /* the desk's */
} task;

typedef struct desk desk;

/* NULL: no memory, or no threads. */
desk *desk_open(void);

/* The task is run later and belongs to the desk until then. False: the desk has closed. */
bool desk_put(desk *self, task *t, bool is_long);

/* Does what is there and takes no more. */
void desk_stop(desk *self);
void desk_free(desk *self);

#endif
