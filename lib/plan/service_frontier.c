/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to run a service that no other beats in rate, latency and cost at once. */
#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "plan/service_search.h"
#include "profile/profile_impl.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

typedef struct point {
  qb_service_plan plan;
  int rung; /* of its highest rate */
} point;

struct qb_service_frontier {
  qb_context *context;
  point *points; /* by rising latency, then cost */
  size_t count;
  size_t capacity;
};

/* The highest rung of the points that cost no more than the way, INT_MIN if there is none. */
static int rung_to_beat(const qb_service_frontier *f, const qb__service_way *way)
{
  int rung = INT_MIN;
  for (size_t i = 0; i < f->count; i++)
    if (f->points[i].plan.cost_per_hour <= way->entry->price_per_hour && f->points[i].rung > rung)
      rung = f->points[i].rung;
  return rung;
}

/* Adds a way, whose latency is that of the last point or more, unless that point and others beat it. */
static qb_status add(qb_service_frontier *f, const qb__service_search *s,
                     const qb__service_way *way)
{
  const int beaten = rung_to_beat(f, way), asked = qb__service_rung_below(s->load.rate_per_s);
  const int from = beaten > asked ? beaten : asked;
  int rung;
  const qb_status status = qb__service_highest_rung(s, way, from, INT_MAX - 1, &rung);
  if (status || rung <= beaten)
    return status;
  if (!qb__grow(f->context, &f->points, f->count, &f->capacity, sizeof *f->points))
    return QB_ERROR_NO_MEMORY;
  const point *last = f->count ? &f->points[f->count - 1] : NULL;
  const bool beats_last = last && last->plan.latency_ns == way->needs.latency_ns &&
                          last->plan.cost_per_hour == way->needs.budget_per_hour;
  point *p = &f->points[f->count - beats_last];
  *p = (point){.plan = qb__service_plan_of(s, way), .rung = rung};
  p->plan.max_rate_per_s = fmax(s->load.rate_per_s, qb__service_rung_rate(rung));
  f->count += !beats_last;
  return QB_OK;
}

static qb_status find_all(qb_service_frontier *f, qb__service_search *s)
{
  qsort(s->ways, s->way_count, sizeof *s->ways, qb__service_by_latency);
  for (size_t i = 0; i < s->way_count; i++)
    if (s->ways[i].fit.met) {
      const qb_status status = add(f, s, &s->ways[i]);
      if (status)
        return status;
    }
  return QB_OK;
}

qb_status qb_plan_service_frontier(const qb_profile *const *profiles, size_t profile_count,
                                   const qb_load *load, const qb_qos *qos,
                                   qb_service_frontier **frontier)
{
  if (!frontier)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "frontier is NULL; pass where to put it");
  qb__service_search s;
  qb_service_frontier *f = NULL;
  qb_status status = qb__service_search_init(profiles, profile_count, load, qos, false, &s);
  if (!status && !(f = qb__calloc(s.context, 1, sizeof *f)))
    status = QB_ERROR_NO_MEMORY;
  if (!status) {
    f->context = qb_context_ref(profiles[0]->context);
    status = find_all(f, &s);
  }
  qb__service_search_free(&s);
  if (status)
    qb_service_frontier_free(f);
  else
    *frontier = f;
  return status;
}

uint32_t qb_service_frontier_count(const qb_service_frontier *frontier)
{
  return frontier ? (uint32_t)frontier->count : 0;
}

qb_status qb_service_frontier_get(const qb_service_frontier *frontier, uint32_t index,
                                  qb_service_plan *plan)
{
  if (!frontier)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "frontier is NULL");
  const qb_status status = qb__struct_check_out(plan, sizeof *plan, "plan");
  if (status)
    return status;
  if (index >= frontier->count)
    return qb__fail(QB_ERROR_NOT_FOUND, "the frontier has no plan %u; it has %zu", index,
                    frontier->count);
  qb__struct_out(plan, &frontier->points[index].plan, sizeof *plan);
  return QB_OK;
}

void qb_service_frontier_free(qb_service_frontier *frontier)
{
  if (!frontier)
    return;
  qb_context *context = frontier->context;
  qb__free(context, frontier->points);
  qb__free(context, frontier);
  qb_context_unref(context);
}
