/* SPDX-License-Identifier: Apache-2.0 */
/* The plans of a job that no other beats in both time and cost. */
#ifndef QB_PLAN_JOB_FRONTIER_H
#define QB_PLAN_JOB_FRONTIER_H

#include "plan/demand.h"

typedef struct qb__priced_plan {
  qb_job_plan plan;
  qb__needs needs;
} qb__priced_plan;

struct qb_job_frontier {
  qb_context *context;
  size_t count, capacity;
  qb__priced_plan *plans; /* by falling time and rising cost, so that more nodes are appended */
};

/* An empty one. */
qb_status qb__job_frontier_new(qb_context *context, qb_job_frontier **frontier);

/* Some plan takes no longer and costs no more. */
bool qb__job_frontier_beats(const qb_job_frontier *frontier, double time_ns, double cost);

/* Adds a plan that is not beaten and drops those that it beats. */
qb_status qb__job_frontier_add(qb_job_frontier *frontier, const qb__priced_plan *plan);

/* The plan of the lowest cost among those that take no longer; NULL if there is none. */
const qb__priced_plan *qb__job_frontier_cheapest(const qb_job_frontier *frontier, int64_t time_ns);

/* The plan of the least time; NULL if there is none. */
const qb__priced_plan *qb__job_frontier_fastest(const qb_job_frontier *frontier);

#endif
