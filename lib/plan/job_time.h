/* SPDX-License-Identifier: Apache-2.0 */
/* How long a job takes, and how sure that is: the one definition, for one node or a fleet. */
#ifndef QB_PLAN_JOB_TIME_H
#define QB_PLAN_JOB_TIME_H

#include "estimate/round_times.h"

/*
 * A worst of `nodes` independent standard normal errors: its median, and how far its quantile of
 * the confidence asked for lies above that.
 */
typedef struct qb__spread {
  double confidence;
  double nodes;
  double median;
  double above;
  double single; /* quantile of one error */
} qb__spread;

/* Nodes that are bought: what happens to them beside rounds. Zeros for nodes that are there. */
typedef struct qb__purchase {
  double start_up_ns;
  double interruptions_per_h; /* of one node */
} qb__purchase;

/* For the end of a job's 95 % interval: 97.5 %, or 98.75 % for each of errors and interruptions. */
qb__spread qb__spread_of(double nodes, const qb__purchase *purchase);

typedef struct qb__job_time {
  double rounds_ns; /* of the busiest instance, one after the other, each at its mean */
  int64_t total_ns; /* the rest as in qb_job_plan */
  int64_t low_ns;
  int64_t high_ns;
} qb__job_time;

/* `most` samples on the busiest instance, in rounds of `batch` and one of what is left. */
qb__job_time qb__job_time_of(const qb__round_times *table, uint64_t most, uint32_t batch,
                             const qb__spread *spread, const qb__purchase *purchase);

/* What a full round adds at least to the high_ns of a job; bounds of a search are made of it. */
double qb__round_high_ns(const qb__round_times *table, uint32_t batch, const qb__spread *spread);

#endif
