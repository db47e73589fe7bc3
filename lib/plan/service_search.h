/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All ways to run a service that are looked at, each judged by the analysis of its queue. Which
 * ones there are depends on the profiles alone, not on the demand: what is best for one, and how
 * another one would do, are then minima over the same set.
 */
#ifndef QB_PLAN_SERVICE_SEARCH_H
#define QB_PLAN_SERVICE_SEARCH_H

#include "estimate/round_times.h"
#include "plan/demand.h"
#include "queue/batch_queue.h"

/* A node to plan for, and the profile that its times come from. */
typedef struct qb__site {
  const qb_profile *profile;
  uint32_t index;        /* of the profile, as the caller counts */
  const qb_node *node;   /* NULL: the profile's own */
  bool single;           /* one instance, as functions have */
  bool unmeasured;       /* splits that were not measured, too */
  double price_per_hour; /* 0: not known */
} qb__site;

/* A configuration, a largest batch and a longest wait at a site. */
typedef struct qb__service_candidate {
  const qb__site *site;
  const qb__round_times *table;
  uint32_t batch;
  int64_t max_wait_ns;
  double capacity_per_s;   /* with full rounds */
  qb__queue_report report; /* at the load's rate */
  int64_t drained_ns; /* the last of the samples that wait at the start is answered after this */
  qb__needs needs;    /* if saturated, without a latency */
  qb__fit fit;        /* if saturated, not met because of the capacity */
} qb__service_candidate;

typedef struct qb__service_search {
  const qb_context *context;
  const qb__site *sites; /* the caller's */
  size_t site_count;
  qb__round_set *sets; /* of each site */
  qb_qos qos;
  qb_load load;
  bool any_rate; /* the caller gave no rate; the load's is then one that leaves no queue */
  qb__service_candidate *candidates;
  size_t candidate_count;
} qb__service_search;

/*
 * Checks what the caller asks for, and judges all candidates.
 * @param may_be_any a load without a rate is allowed if the highest one is the objective
 * @param search to be freed, also after a failure; there is one candidate at least
 */
qb_status qb__service_search_init(const qb__site *sites, size_t site_count, const qb_load *load,
                                  const qb_qos *qos, bool may_be_any, qb__service_search *search);

void qb__service_search_free(qb__service_search *search);

/* Judges a candidate at the load's rate. */
qb_status qb__service_judge(const qb__service_search *search, qb__service_candidate *candidate);

/* Analyses the queue of a candidate at a rate. */
qb_status qb__service_analyse(const qb__service_search *search,
                              const qb__service_candidate *candidate, double rate_per_s,
                              qb__queue_report *report);

/* The plan of a candidate, with its capacity as the highest rate. */
qb_service_plan qb__service_plan_of(const qb__service_search *search,
                                    const qb__service_candidate *candidate);

/* A rate at which nothing waits for long anywhere. */
double qb__service_idle_rate(const qb__service_search *search);

/*
 * Orders of candidates for qsort(): by latency then cost, or by cost then latency; then the fewest
 * threads, the smallest batch, the shortest wait, the first configuration. No two are equal.
 */
int qb__service_by_latency(const void *a, const void *b);
int qb__service_by_cost(const void *a, const void *b);

/* Equal in latency and cost. */
bool qb__service_same_bill(const qb__service_candidate *a, const qb__service_candidate *b);

/*
 * Rates are compared on a ladder of 1 % steps: step r is exp(r / 100) samples per second.
 */
double qb__rate_of_step(int step);
int qb__rate_step_below(double rate_per_s);

/*
 * The highest step above `from` and up to `most` on which the candidate holds the latency target;
 * `from` if it does not on the next one. Steps in between that it does not hold are passed over if
 * they are few: the rest is taken as given.
 */
qb_status qb__service_highest_step(const qb__service_search *search,
                                   const qb__service_candidate *candidate, int from, int most,
                                   int *step);

/*
 * Plans a service at the best of the sites. Rounds carried over from another node are taken to last
 * as long as the upper end of their interval. @param frontier NULL: not wanted
 */
qb_status qb__plan_service(const qb__site *sites, size_t site_count, const qb_load *load,
                           const qb_qos *qos, qb_service_plan *plan,
                           qb_service_frontier **frontier);

/* How far each term is from a demand that no candidate meets. */
qb_status qb__service_nearest(const qb__service_search *search, qb_nearest *nearest);

#endif
