/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which samples a node gets next. Nodes pull rounds of their own best batch, so that a node that
 * slows down gives work away. Close to the end what is left is placed by qb_place_job() on what
 * each node still has to do and on how fast it was, so that all end together.
 */
#ifndef MPI_DISPATCH_H
#define MPI_DISPATCH_H

#include <qosbatch/place.h>

#include <stdbool.h>

typedef struct dispatch dispatch;

typedef struct dispatch_round {
  uint64_t first;
  uint32_t count;
} dispatch_round;

typedef struct dispatch_params {
  const qb_place_node *nodes; /* read until dispatch_free() */
  size_t node_count;
  uint64_t samples;
  const bool *done;     /* by sample, from an earlier run; NULL: none */
  uint32_t fixed_batch; /* rounds of this size on all nodes, and no placement at the end; 0: no */
  double accuracy;      /* percent of the answers that have to be right; 0: f32 only */
} dispatch_params;

/* Places all that is to be done. Fails with the status of qb_place_job(). */
qb_status dispatch_new(const dispatch_params *params, dispatch **made);
void dispatch_free(dispatch *self); /* NULL is allowed */

/* How a node is to run, chosen once. */
const qb_share *dispatch_share(const dispatch *self, size_t node);

/* When the last node is done, as placed. */
const qb_placement *dispatch_placement(const dispatch *self);

/* A node should have one more round: one waits for it, so that it never waits itself. */
bool dispatch_has_room(const dispatch *self, size_t node);

/* What is left is being placed: what one node does may change what another should. */
bool dispatch_is_last(const dispatch *self);

/* The next round of a node that has room; false if it should have none just now. */
bool dispatch_next(dispatch *self, size_t node, int64_t now_ns, dispatch_round *round);

/* A round is done and took so long. False if others have done all of it meanwhile. */
bool dispatch_done(dispatch *self, size_t node, const dispatch_round *round, int64_t now_ns,
                   int64_t took_ns);

/* Since when a node that has rounds has not been heard of, beyond what they may take; 0: it has. */
int64_t dispatch_silence_ns(const dispatch *self, size_t node, int64_t now_ns);

/* A node is not to be waited for: its rounds are for others, until it is heard of again. */
void dispatch_give_up(dispatch *self, size_t node);
bool dispatch_is_given_up(const dispatch *self, size_t node);

/* All samples are done. */
bool dispatch_complete(const dispatch *self);

/* Of all; done by earlier runs included. */
uint64_t dispatch_samples_done(const dispatch *self);

typedef struct dispatch_report {
  uint64_t samples, rounds;
  double speed;           /* against the profile, at the end */
  double best_rate_per_s; /* by the profile */
} dispatch_report;

dispatch_report dispatch_report_of(const dispatch *self, size_t node);

#endif
