/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batch sizes of one configuration while they are measured: which there are, and more to add.
 */
#ifndef QB_PROFILE_POINTS_H
#define QB_PROFILE_POINTS_H

#include "profile/record.h"

/*
 * Every configuration gets this many sessions in a run, in turn: what memory a session happens to
 * get, and what a neighbour happens to do meanwhile, are part of how sure a measurement is.
 */
enum { QB__SESSIONS = 2 };

typedef struct qb__points {
  qb_configuration configuration;
  double thread_flops_per_s;     /* what one of its threads sustains while all run */
  bool throttled;                /* a CPU quota is smaller than its threads */
  int64_t session_ns;            /* what each of its sessions may take; 0: it has none */
  size_t known_runs;             /* what is known is the mean of; 0: nothing is */
  double known_level, run_level; /* of past sessions and of this run over what both made */
  double run_share;              /* of this run in that */
  bool known_is_over;            /* the machine is another one now */
  size_t count, capacity;
  qb__record *records; /* by rising batch */
} qb__points;

void qb__points_clear(const qb_context *context, qb__points *points);

/* Where a batch size is, or is put; valid until another one is added. */
qb_status qb__points_find(const qb_context *context, qb__points *points, uint32_t batch,
                          qb__record **record);

/* Adds a batch size, unless it is there. */
qb_status qb__points_add(const qb_context *context, qb__points *points, uint32_t batch);

/*
 * Adds one that was measured before, which stays valid, by rising batch; where it is within `goal` it
 * is settled. The first of these and short ones become anchors.
 */
qb_status qb__points_add_known(const qb_context *context, qb__points *points,
                               const qb_profile_point *known, double goal);

/*
 * Adds a batch size on either side of each point where the curve bends by more than noise explains.
 */
qb_status qb__points_add_where_it_bends(const qb_context *context, qb__points *points);

/*
 * The upper quartile of the fastest yardsticks of a session's visits, or of all with 0, in FLOP/s of a
 * thread, as bursts only ever slow them; without visits that of the first point.
 */
qb_status qb__points_full_speed(const qb_context *context, const qb__points *points,
                                uint32_t session, double *flops);

/*
 * Raises the 95th percentile and the mean of finished points with few visits towards what points of
 * their configuration with more have in common, or those of all, over their latencies.
 */
void qb__points_lend_spread(qb__points *curves, size_t curve_count);

/* Begins a session: anchors are to be visited again. */
void qb__points_begin_session(qb__points *points);

/* The smallest and the largest to be visited; 0: none. */
uint32_t qb__points_smallest_open(const qb__points *points);
uint32_t qb__points_largest_open(const qb__points *points);

/*
 * Which to visit next: those that have not been, by rising batch; then so that visits are in
 * proportion to sqrt(weight / what one takes), which makes the weighted sum of the variances of
 * equally spread points least (Neyman, Journal of the Royal Statistical Society 97(4), 1934). Those
 * that are sure are visited only with `sure_too`, and only beside others that are not; anchors a few
 * times in any session. NULL: none.
 */
qb__record *qb__points_next(const qb__points *points, bool sure_too);

#endif
