/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All ways to run a service that are looked at, each judged by the analysis of its queue. Which
 * ones there are depends on the profiles alone, not on the demand: what is best for one, and how
 * another one would do, are then minima over the same set.
 */
#ifndef QB_PLAN_SERVICE_SEARCH_H
#define QB_PLAN_SERVICE_SEARCH_H

#include "plan/demand.h"
#include "plan/latency_table.h"
#include "queue/batch_queue.h"

/* A configuration of a profile. */
typedef struct qb__service_entry {
  uint32_t profile;
  uint64_t network; /* of the profile; 0: not known */
  double price_per_hour;
  qb__latency_table table;
} qb__service_entry;

/* A configuration, a largest batch and a longest wait. */
typedef struct qb__service_way {
  const qb__service_entry *entry;
  uint32_t batch;
  int64_t max_wait_ns;
  double capacity_per_s;   /* with full rounds */
  qb__queue_report report; /* at the load's rate */
  int64_t drained_ns; /* the last of the samples that wait at the start is answered after this */
  qb__needs needs;    /* not if saturated */
  qb__fit fit;        /* if saturated, not met because of the capacity */
} qb__service_way;

typedef struct qb__service_search {
  const qb_context *context;
  const qb_profile *const *profiles;
  qb_qos qos;
  qb_load load;
  bool any_rate; /* the caller gave no rate; the load's is then one that leaves no queue */
  qb__service_entry *entries;
  size_t entry_count;
  qb__service_way *ways;
  size_t way_count;
} qb__service_search;

/*
 * Checks what the caller asks for, and judges all ways.
 * @param may_be_any a load without a rate is allowed if the highest one is the objective
 * @param search to be freed, also after a failure; there is one way at least
 */
qb_status qb__service_search_init(const qb_profile *const *profiles, size_t profile_count,
                                  const qb_load *load, const qb_qos *qos, bool may_be_any,
                                  qb__service_search *search);

void qb__service_search_free(qb__service_search *search);

/* Judges a way at the load's rate. */
qb_status qb__service_judge(const qb__service_search *search, qb__service_way *way);

/* Analyses the queue of a way at a rate. */
qb_status qb__service_analyse(const qb__service_search *search, const qb__service_way *way,
                              double rate_per_s, qb__queue_report *report);

/* The plan of a way, with its capacity as the highest rate. */
qb_service_plan qb__service_plan_of(const qb__service_search *search, const qb__service_way *way);

/* A rate at which nothing waits for long anywhere. */
double qb__service_idle_rate(const qb__service_search *search);

/*
 * Orders of ways for qsort(): by latency then cost, or by cost then latency; then the fewest
 * threads, the smallest batch, the shortest wait, the first configuration. No two are equal.
 */
int qb__service_by_latency(const void *a, const void *b);
int qb__service_by_cost(const void *a, const void *b);

/* Equal in latency and cost. */
bool qb__service_same_bill(const qb__service_way *a, const qb__service_way *b);

/*
 * Rates are compared on a ladder of 1 % steps: rung r is exp(r / 100) samples per second.
 */
double qb__service_rung_rate(int rung);
int qb__service_rung_below(double rate_per_s);

/*
 * The highest rung above `from` and up to `most` on which the way holds the latency target; `from`
 * if it does not on the next one. Rungs in between that it does not hold are passed over if they are
 * few: the rest is taken as given.
 */
qb_status qb__service_highest_rung(const qb__service_search *search, const qb__service_way *way,
                                   int from, int most, int *rung);

/* How far each term is from a demand that no way meets. */
qb_status qb__service_nearest(const qb__service_search *search, qb_nearest *nearest);

#endif
