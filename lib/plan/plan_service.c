/* SPDX-License-Identifier: Apache-2.0 */
/* The one way to run a service that is best in what is asked for. */
#include "core/structs.h"
#include "plan/service_search.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

/*
 * The way that is best in the objective, and the rung of its highest rate: of all that meet the
 * demand for the highest rate, else of those that are as good as the first in all but the rate.
 */
static qb_status find_best(const qb__service_search *s, const qb__service_way **best, int *rung)
{
  const qb__service_way *first = NULL;
  int highest = qb__service_rung_below(s->load.rate_per_s);
  *best = NULL;
  for (size_t i = 0; i < s->way_count; i++) {
    const qb__service_way *way = &s->ways[i];
    if (!way->fit.met)
      continue;
    if (!first)
      *best = first = way;
    if (s->qos.objective != QB_OBJECTIVE_RATE && !qb__service_same_bill(way, first))
      break;
    int its;
    const qb_status status = qb__service_highest_rung(s, way, highest, INT_MAX - 1, &its);
    if (status)
      return status;
    if (its > highest) {
      *best = way;
      highest = its;
    }
  }
  *rung = highest;
  return QB_OK;
}

static const qb__service_way *most_capacity(const qb__service_search *s)
{
  const qb__service_way *most = &s->ways[0];
  for (size_t i = 1; i < s->way_count; i++)
    if (s->ways[i].capacity_per_s > most->capacity_per_s)
      most = &s->ways[i];
  return most;
}

/* What bound a choice is what kept the best way of all out. */
static qb_reason bound_by(const qb__service_search *s)
{
  const qb__service_way *best = &s->ways[0];
  while (best->report.saturated)
    best++;
  if (s->qos.objective == QB_OBJECTIVE_RATE)
    best = most_capacity(s);
  if (!best->fit.met)
    return best->fit.broken;
  switch (s->qos.objective) {
  case QB_OBJECTIVE_RATE: return s->qos.latency_ns ? QB_REASON_SLO : QB_REASON_CAPACITY;
  case QB_OBJECTIVE_COST: return QB_REASON_COST;
  default: return QB_REASON_NONE;
  }
}

/* Without a rate the plan is for the highest one. */
static qb_status plan_best(const qb__service_search *s, const qb__service_way *best, int rung,
                           qb_service_plan *plan)
{
  qb__service_way way = *best;
  qb__service_search at = *s;
  const double highest = fmax(s->load.rate_per_s, qb__service_rung_rate(rung));
  qb_status status = QB_OK;
  if (s->any_rate) {
    at.load.rate_per_s = highest;
    status = qb__service_judge(&at, &way);
  }
  *plan = qb__service_plan_of(&at, &way);
  plan->max_rate_per_s = highest;
  plan->reason = bound_by(s);
  return status;
}

/* The way that breaks its terms least; if all are saturated, the one of the most capacity. */
static qb_status plan_nearest(const qb__service_search *s, qb_service_plan *plan)
{
  const qb__service_way *nearest = NULL;
  for (size_t i = 0; i < s->way_count; i++)
    if (!s->ways[i].report.saturated && (!nearest || s->ways[i].fit.excess < nearest->fit.excess))
      nearest = &s->ways[i];
  if (!nearest)
    nearest = most_capacity(s);
  *plan = qb__service_plan_of(s, nearest);
  plan->reason = nearest->fit.broken;
  return qb__service_nearest(s, &plan->nearest);
}

qb_status qb_plan_service(const qb_profile *const *profiles, size_t profile_count,
                          const qb_load *load, const qb_qos *qos, qb_service_plan *plan)
{
  qb_status status = qb__struct_check_out(plan, sizeof *plan, "plan");
  if (status)
    return status;
  qb__service_search s;
  qb_service_plan chosen;
  status = qb__service_search_init(profiles, profile_count, load, qos, true, &s);
  if (!status) {
    const qb__service_way *best;
    int rung;
    qsort(s.ways, s.way_count, sizeof *s.ways,
          s.qos.objective == QB_OBJECTIVE_LATENCY ? qb__service_by_latency : qb__service_by_cost);
    status = find_best(&s, &best, &rung);
    if (!status)
      status = best ? plan_best(&s, best, rung, &chosen) : plan_nearest(&s, &chosen);
  }
  qb__service_search_free(&s);
  if (!status)
    qb__struct_out(plan, &chosen, sizeof chosen);
  return status;
}
