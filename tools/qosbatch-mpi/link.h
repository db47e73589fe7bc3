/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between the dispatcher and the workers. */
#ifndef MPI_LINK_H
#define MPI_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Each direction has a communicator of its own: on rank 0 a worker's thread and the dispatcher
 * receive at the same time.
 */
typedef enum link_way { LINK_UP, LINK_DOWN } link_way;

typedef enum link_kind {
  LINK_PROFILE, /* up: text */
  LINK_PLAN,    /* down: link_plan */
  LINK_READY,   /* up: nothing */
  LINK_WORK,    /* down: dispatch_round */
  LINK_DONE,    /* up: link_done, rows, their states */
  LINK_FAILED,  /* up: text */
  LINK_END,     /* down: nothing */
  LINK_ENDED    /* up: nothing; the last of a worker */
} link_kind;

typedef struct link_message {
  link_kind kind;
  int rank; /* of the sender */
  size_t bytes;
  char *data; /* to be freed; NULL where there are no bytes */
} link_message;

/* To be called by all ranks, before any message and after all. */
void link_open(void);
void link_close(void);

void link_send(link_way way, link_kind kind, int rank, const void *data, size_t bytes);

/* The next message, if one is there. */
bool link_take(link_way way, link_message *message);

/* Waits for a message, for `most_ns` at most; in a simulation until there is one. */
bool link_wait(link_way way, int64_t most_ns, link_message *message);

/* A clock of its own in a simulation. */
int64_t link_now_ns(void);

#endif
