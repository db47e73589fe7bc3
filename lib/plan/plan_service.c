/* SPDX-License-Identifier: Apache-2.0 */
/* The one candidate to run a service that is best in what is asked for. */
#include "core/alloc.h"
#include "core/structs.h"
#include "node/node_data.h"
#include "plan/service_frontier.h"
#include "plan/service_search.h"
#include "plan/untried.h"
#include "profile/profile_data.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

/*
 * The candidate that is best in the objective, and the step of its highest rate: of all that meet
 * the demand for the highest rate, else of those that are as good as the first in all but the rate.
 */
static qb_status find_best(const qb__service_search *s, const qb__service_candidate **best,
                           int *step)
{
  const qb__service_candidate *first = NULL;
  int highest = qb__rate_step_below(s->load.rate_per_s);
  *best = NULL;
  for (size_t i = 0; i < s->candidate_count; i++) {
    const qb__service_candidate *candidate = &s->candidates[i];
    if (!candidate->fit.met)
      continue;
    if (!first)
      *best = first = candidate;
    if (s->qos.objective != QB_OBJECTIVE_RATE && !qb__service_same_bill(candidate, first))
      break;
    int its;
    const qb_status status = qb__service_highest_step(s, candidate, highest, INT_MAX - 1, &its);
    if (status)
      return status;
    if (its > highest) {
      *best = candidate;
      highest = its;
    }
  }
  *step = highest;
  return QB_OK;
}

static const qb__service_candidate *most_capacity(const qb__service_search *s)
{
  const qb__service_candidate *most = &s->candidates[0];
  for (size_t i = 1; i < s->candidate_count; i++)
    if (s->candidates[i].capacity_per_s > most->capacity_per_s)
      most = &s->candidates[i];
  return most;
}

/* What kept the best candidate of all out; *accuracy is its own if only that did. */
static qb_reason bound_by(const qb__service_search *s, double *accuracy)
{
  const qb__service_candidate *best = &s->candidates[0];
  while (best->report.saturated)
    best++;
  if (s->qos.objective == QB_OBJECTIVE_RATE)
    best = most_capacity(s);
  if (best->fit.single && best->fit.broken == QB_REASON_ACCURACY)
    *accuracy = best->needs.accuracy;
  if (!best->fit.met)
    return best->fit.broken;
  switch (s->qos.objective) {
  case QB_OBJECTIVE_RATE: return s->qos.latency_ns ? QB_REASON_SLO : QB_REASON_CAPACITY;
  case QB_OBJECTIVE_COST: return QB_REASON_COST;
  default: return QB_REASON_NONE;
  }
}

/* Without a rate the plan is for the highest one. */
static qb_status plan_best(const qb__service_search *s, const qb__service_candidate *best, int step,
                           qb_service_plan *plan)
{
  qb__service_candidate candidate = *best;
  qb__service_search at = *s;
  const double highest = fmax(s->load.rate_per_s, qb__rate_of_step(step));
  qb_status status = QB_OK;
  if (s->any_rate) {
    at.load.rate_per_s = highest;
    status = qb__service_judge(&at, &candidate);
  }
  *plan = qb__service_plan_of(&at, &candidate);
  plan->max_rate_per_s = highest;
  plan->reason = bound_by(s, &plan->nearest.accuracy);
  return status;
}

/* Accurate enough before all; then the one that breaks its terms least, or, saturated, has most capacity. */
static bool is_nearer(const qb__service_search *s, const qb__service_candidate *a,
                      const qb__service_candidate *b)
{
  const bool accurate = a->needs.accuracy >= s->qos.accuracy;
  if (accurate != (b->needs.accuracy >= s->qos.accuracy))
    return accurate;
  if (a->report.saturated != b->report.saturated)
    return b->report.saturated;
  return a->report.saturated ? a->capacity_per_s > b->capacity_per_s
                             : a->fit.excess < b->fit.excess;
}

static qb_status plan_nearest(const qb__service_search *s, qb_service_plan *plan)
{
  const qb__service_candidate *nearest = &s->candidates[0];
  for (size_t i = 1; i < s->candidate_count; i++)
    if (is_nearer(s, &s->candidates[i], nearest))
      nearest = &s->candidates[i];
  *plan = qb__service_plan_of(s, nearest);
  plan->reason = nearest->fit.broken;
  return qb__service_nearest(s, &plan->nearest);
}

static qb_status choose(qb__service_search *s, qb_service_plan *plan)
{
  const qb__service_candidate *best;
  int step;
  qsort(s->candidates, s->candidate_count, sizeof *s->candidates,
        s->qos.objective == QB_OBJECTIVE_LATENCY ? qb__service_by_latency : qb__service_by_cost);
  const qb_status status = find_best(s, &best, &step);
  if (status)
    return status;
  return best ? plan_best(s, best, step, plan) : plan_nearest(s, plan);
}

/* Lower is better. */
static double value_of(const qb_qos *qos, const qb_service_plan *plan)
{
  return qos && qos->objective == QB_OBJECTIVE_RATE ? 1 / plan->max_rate_per_s
                                                    : (double)plan->latency_ns;
}

static qb_status find_untried(qb__site *sites, size_t site_count, const qb_load *load,
                              const qb_qos *qos, qb_service_plan *plan)
{
  bool any = false;
  for (size_t i = 0; i < site_count; i++)
    any |= sites[i].unmeasured = qb__splits_are_missing(sites[i].profile);
  if (!any)
    return QB_OK;
  qb_service_plan hoped;
  const qb_status status = qb__plan_service(sites, site_count, load, qos, &hoped, NULL);
  if (!status)
    plan->untried = qb__untried_of(plan->feasible, value_of(qos, plan), hoped.feasible,
                                   value_of(qos, &hoped), hoped.source, &hoped.configuration);
  return status;
}

qb_status qb__plan_service(const qb__site *sites, size_t site_count, const qb_load *load,
                           const qb_qos *qos, qb_service_plan *plan, qb_service_frontier **frontier)
{
  qb__service_search s;
  qb_status status = qb__service_search_init(sites, site_count, load, qos, !frontier, &s);
  if (!status)
    status = choose(&s, plan);
  if (!status && frontier)
    status = qb__service_frontier_of(&s, frontier);
  qb__service_search_free(&s);
  return status;
}

qb_status qb_plan_service(qb_profile *const *profiles, size_t profile_count, const qb_load *load,
                          const qb_qos *qos, qb_service_plan *plan, qb_service_frontier **frontier)
{
  qb_status status = QB__STRUCT_CHECK_OUT(qb_service_plan, plan);
  if (!status)
    status = qb__profiles_check(profiles, profile_count);
  if (status)
    return status;
  qb_service_plan chosen;
  qb__site *sites = qb__calloc(qb__profile_context(profiles[0]), profile_count, sizeof *sites);
  if (!sites)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < profile_count; i++)
    sites[i] =
        (qb__site){.profile = profiles[i],
                   .index = (uint32_t)i,
                   .price_per_hour = qb__node_info(qb__profile_node(profiles[i]))->price_per_hour};
  status = qb__plan_service(sites, profile_count, load, qos, &chosen, frontier);
  if (!status)
    status = find_untried(sites, profile_count, load, qos, &chosen);
  qb__free(qb__profile_context(profiles[0]), sites);
  if (!status)
    QB__STRUCT_OUT(qb_service_plan, plan, &chosen);
  return status;
}
