/* SPDX-License-Identifier: Apache-2.0 */
/* The plans of a service that no other beats in rate, latency and cost at once. */
#include "plan/service_frontier.h"
#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "profile/profile_data.h"

#include <qosbatch/frontier.h>

#include <limits.h>
#include <math.h>
#include <stdlib.h>

typedef struct point {
  qb_service_plan plan;
  int step; /* of its highest rate */
} point;

struct qb_service_frontier {
  qb_context *context;
  point *points; /* by rising latency, then cost */
  size_t count;
  size_t capacity;
};

/* The highest step of the points that cost no more than the candidate, INT_MIN if there is none. */
static int step_to_beat(const qb_service_frontier *f, const qb__service_candidate *candidate)
{
  int step = INT_MIN;
  for (size_t i = 0; i < f->count; i++)
    if (f->points[i].plan.cost_per_hour <= candidate->site->price_per_hour &&
        f->points[i].step > step)
      step = f->points[i].step;
  return step;
}

qb_status qb__service_frontier_new(qb_context *context, qb_service_frontier **frontier)
{
  qb_service_frontier *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->context = qb_context_ref(context);
  *frontier = self;
  return QB_OK;
}

qb_status qb__service_frontier_append(qb_service_frontier *f, const qb_service_plan *plan)
{
  if (!qb__grow(f->context, &f->points, f->count, &f->capacity, sizeof *f->points))
    return QB_ERROR_NO_MEMORY;
  f->points[f->count++] = (point){.plan = *plan};
  return QB_OK;
}

/*
 * Adds a candidate, whose latency is that of the last point or more, unless that point and others
 * beat it.
 */
static qb_status add(qb_service_frontier *f, const qb__service_search *s,
                     const qb__service_candidate *candidate)
{
  const int beaten = step_to_beat(f, candidate), asked = qb__rate_step_below(s->load.rate_per_s);
  const int from = beaten > asked ? beaten : asked;
  int step;
  qb_status status = qb__service_highest_step(s, candidate, from, INT_MAX - 1, &step);
  if (status || step <= beaten)
    return status;
  const point *last = f->count ? &f->points[f->count - 1] : NULL;
  if (last && last->plan.latency_ns == candidate->needs.latency_ns &&
      last->plan.cost_per_hour == candidate->needs.budget_per_hour)
    f->count--; /* it is beaten by this one */
  qb_service_plan plan = qb__service_plan_of(s, candidate);
  plan.max_rate_per_s = fmax(s->load.rate_per_s, qb__rate_of_step(step));
  status = qb__service_frontier_append(f, &plan);
  if (!status)
    f->points[f->count - 1].step = step;
  return status;
}

qb_status qb__service_frontier_of(qb__service_search *s, qb_service_frontier **frontier)
{
  qb_service_frontier *f = NULL;
  qb_status status = qb__service_frontier_new(qb__profile_context(s->sites->profile), &f);
  qsort(s->candidates, s->candidate_count, sizeof *s->candidates, qb__service_by_latency);
  for (size_t i = 0; i < s->candidate_count && !status; i++)
    if (s->candidates[i].fit.met)
      status = add(f, s, &s->candidates[i]);
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
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_service_plan, plan);
  if (status)
    return status;
  if (index >= frontier->count)
    return qb__fail(QB_ERROR_NOT_FOUND, "the frontier has no plan %u; it has %zu", index,
                    frontier->count);
  QB__STRUCT_OUT(qb_service_plan, plan, &frontier->points[index].plan);
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
