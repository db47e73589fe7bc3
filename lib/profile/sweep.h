/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which points of which configurations are visited when, until the time is spent or all are sure.
 */
#ifndef QB_PROFILE_SWEEP_H
#define QB_PROFILE_SWEEP_H

#include "profile/points.h"

/* Who visits points: sessions that run rounds, or a table that says what they took. */
typedef struct qb__visitor {
  /*
   * Readies the configuration of curve `index` for rounds of up to `largest_batch`, until close().
   */
  qb_status (*open)(void *user, size_t index, uint32_t largest_batch);
  /* Makes a batch size ready; fills in the point's prepare_ns and memory_bytes if they are 0. */
  qb_status (*prepare)(void *user, qb_profile_point *point);
  /* As qb__sampler_visit(). */
  qb_status (*visit)(void *user, uint32_t batch, uint32_t rounds, uint32_t warm_up_batch,
                     qb__visit *seen);
  void (*close)(void *user); /* also after a failure, and when nothing is open */
  /* Tells what is done next; `fraction` of all never falls. */
  qb_status (*tell)(void *user, qb_phase phase, const qb_profile_point *point, double fraction);
} qb__visitor;

/*
 * A curve for each configuration: the batch sizes that are to be measured, or may be. Those of a
 * precision stand side by side.
 */
typedef struct qb__sweep {
  const qb_context *context; /* whose clock it is */
  const qb__visitor *visitor;
  void *user;
  size_t first; /* what the visitor calls the first curve */
  size_t curve_count;
  qb__points *curves;
  bool adaptive; /* batch sizes may be added */
  /*
   * Expected time of a round by curve, then grid batch: the curves are candidates, of which it is
   * found out what they are worth before the best are measured, in each precision by itself. NULL: all
   * are measured.
   */
  const double *prior_ns;
  size_t batch_count;
  const uint32_t *batches; /* rising, the grid's */
  int64_t budget_ns;       /* in all */
  double goal;
  uint32_t session;   /* that is open, from 1; 0: a first look */
  int64_t measure_ns; /* what was spent on visits */
  double done;        /* of all, as last told */
} qb__sweep;

/* Leaves the points of records finished, but those that were never visited. */
qb_status qb__sweep_run(qb__sweep *sweep);

#endif
