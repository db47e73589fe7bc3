/* SPDX-License-Identifier: Apache-2.0 */
/* The search for a job's nodes, configuration and batch size, whatever nodes there are. */
#ifndef QB_PLAN_JOB_SEARCH_H
#define QB_PLAN_JOB_SEARCH_H

#include "plan/job_frontier.h"

#include "estimate/round_times.h"

#include <qosbatch/catalogue.h>

/* Nodes of one type that a job may run on. */
typedef struct qb__job_offer {
  const qb_profile *profile;
  qb_node *node;     /* NULL: the profile's own; a reference that the search gives back */
  qb_node_type type; /* its memory, start-up, interruptions, number of nodes and billing count */
  uint32_t profile_index; /* as the caller counts */
  uint32_t type_index;
  bool unmeasured; /* splits of the profile's own node that were not measured, too */
} qb__job_offer;

typedef struct qb__job_demand {
  qb_context *context;
  uint64_t samples;
  qb_qos qos;
  uint32_t offer_count;
  /* Makes an offer, for as long as the search looks at it. */
  qb_status (*offer)(const void *user, uint32_t index, qb__job_offer *offer);
  const void *user;
} qb__job_demand;

/* @param frontier NULL: not wanted */
qb_status qb__job_search(const qb__job_demand *demand, qb_job_plan *plan,
                         qb_job_frontier **frontier);

#endif
