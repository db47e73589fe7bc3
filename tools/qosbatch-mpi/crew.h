/* SPDX-License-Identifier: Apache-2.0 */
/* The instances of one node, which run rounds that wait in a queue. */
#ifndef MPI_CREW_H
#define MPI_CREW_H

#include "dispatch.h"
#include "run/row_state.h"

typedef struct crew crew;

typedef struct crew_round {
  dispatch_round samples;
  int64_t took_ns;
  float *rows;       /* outputs, to be freed; NULL in a simulation */
  row_state *states; /* by sample, to be freed; NULL in a simulation */
} crew_round;

/* Lets a round wait for a free instance. */
void crew_push(crew *self, const dispatch_round *samples);

/* The next round that is done, if there is one. */
bool crew_take(crew *self, crew_round *round);

/* Nothing runs and nothing waits. */
bool crew_idle(crew *self);

/* Waits a moment, until a round is done at most. */
void crew_pause(crew *self);

/* The message of a round that failed, or NULL. */
const char *crew_failure(crew *self);

#endif
