/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue served in batches: what the time from arrival to answer will be before anything runs.
 *
 * A free instance runs min(queue, batch) samples when `batch` of them wait or the oldest has waited
 * max_wait_ns; a round of n takes latency_ns[n], with its measured spread. From one round start to
 * the next the state of the queue (who waits, when each instance is free) follows by a recursion,
 * that of J. Kiefer and J. Wolfowitz ("On the theory of queues with many servers", Trans. AMS 78,
 * 1955) with batches. It is followed along a path of random arrivals, the same for all queues of a
 * law, so that a comparison of two queues sees their difference and not that of their arrivals. How
 * long bursts are and how many come close together is not left to chance
 * (qb__arrivals_start_even(), backlog.h).
 *
 * The embedded chain of one instance has a closed solution, but neither several instances, waits
 * nor bursts do: approximations were up to 58 % off, the recursion is exact but for the length of
 * its path. tests/unit/test_batch_queue.c checks it against what theory knows.
 */
#ifndef QB_QUEUE_BATCH_QUEUE_H
#define QB_QUEUE_BATCH_QUEUE_H

#include "queue/arrivals.h"

#include <qosbatch/context.h>

/*
 * Lengths of paths: to compare many queues, and to be within 3 % of the truth. A tail is made by
 * the few longest bursts, so that with bursts it is they that count, up to so many samples.
 */
typedef struct qb__path_length {
  uint64_t samples; /* at least */
  uint64_t bursts;  /* at least, if there are any, */
  uint64_t most;    /* but not beyond so many samples */
} qb__path_length;

#define QB__PATH_QUICK   ((qb__path_length){1 << 14, 1 << 9, 1 << 20})
#define QB__PATH_PRECISE ((qb__path_length){1 << 23, 1 << 18, 1 << 25})

typedef struct qb__batch_queue {
  qb__arrival_law arrivals;
  uint32_t instances;
  uint32_t batch;
  uint32_t queue_most; /* samples that find this many waiting are lost; 0: no bound */
  int64_t max_wait_ns;
  const int64_t *latency_ns; /* median of rounds of 0..batch samples */
  const double *spread;      /* standard deviation of their logarithm; NULL: none */
  double percentile;         /* to report, in (0, 100) */
  int64_t target_ns;         /* to report how many answers are in time; may be 0 */
  qb__path_length length;
  uint64_t seed; /* of a path that is left to chance; 0: none, the same for all */
} qb__batch_queue;

typedef struct qb__queue_report {
  bool saturated; /* the queue grows without end, or nearly so; all else is then 0 */
  int64_t p50_ns; /* from arrival to answer */
  int64_t p95_ns;
  int64_t p99_ns;
  int64_t latency_ns; /* at `percentile` */
  double in_time;     /* share of samples answered within `target_ns` */
  double mean_batch;  /* samples in a round */
  double utilisation; /* share of time that an instance is busy */
  double lost;        /* share of samples that a bounded queue refused */
} qb__queue_report;

qb_status qb__batch_queue_analyse(const qb_context *context, const qb__batch_queue *queue,
                                  qb__queue_report *report);

#endif
