/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/job_frontier.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"

#include <qosbatch/frontier.h>

#include <string.h>

qb_status qb__job_frontier_new(qb_context *context, qb_job_frontier **frontier)
{
  qb_job_frontier *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->context = qb_context_ref(context);
  *frontier = self;
  return QB_OK;
}

/* The number of plans that take longer than a time. */
static size_t longer(const qb_job_frontier *f, double time_ns)
{
  size_t low = 0, high = f->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if ((double)f->plans[middle].plan.high_ns > time_ns)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

bool qb__job_frontier_beats(const qb_job_frontier *frontier, double time_ns, double cost)
{
  const size_t at = longer(frontier, time_ns);
  return at < frontier->count && frontier->plans[at].plan.cost <= cost;
}

qb_status qb__job_frontier_add(qb_job_frontier *frontier, const qb__priced_plan *candidate)
{
  if (!qb__grow(frontier->context, &frontier->plans, frontier->count, &frontier->capacity,
                sizeof *frontier->plans))
    return QB_ERROR_NO_MEMORY;
  /* Those that it beats take as long or longer, and cost as much or more: the end of `at` ones. */
  const size_t at = longer(frontier, (double)candidate->plan.high_ns);
  const bool same =
      at < frontier->count && frontier->plans[at].plan.high_ns == candidate->plan.high_ns;
  size_t first = at;
  while (first && frontier->plans[first - 1].plan.cost >= candidate->plan.cost)
    first--;
  const size_t next = at + same;
  memmove(&frontier->plans[first + 1], &frontier->plans[next],
          (frontier->count - next) * sizeof *frontier->plans);
  frontier->plans[first] = *candidate;
  frontier->count = frontier->count - (next - first) + 1;
  return QB_OK;
}

const qb__priced_plan *qb__job_frontier_cheapest(const qb_job_frontier *frontier, int64_t time_ns)
{
  const size_t at = longer(frontier, (double)time_ns);
  return at < frontier->count ? &frontier->plans[at] : NULL;
}

const qb__priced_plan *qb__job_frontier_fastest(const qb_job_frontier *frontier)
{
  return frontier->count ? &frontier->plans[frontier->count - 1] : NULL;
}

uint32_t qb_job_frontier_count(const qb_job_frontier *frontier)
{
  return frontier ? (uint32_t)frontier->count : 0;
}

qb_status qb_job_frontier_get(const qb_job_frontier *frontier, uint32_t index, qb_job_plan *plan)
{
  if (!frontier)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "frontier is NULL");
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_job_plan, plan);
  if (status)
    return status;
  if (index >= frontier->count)
    return qb__fail(QB_ERROR_NOT_FOUND, "the frontier has no plan %u; it has %zu", index,
                    frontier->count);
  QB__STRUCT_OUT(qb_job_plan, plan, &frontier->plans[frontier->count - 1 - index].plan);
  return QB_OK;
}

void qb_job_frontier_free(qb_job_frontier *frontier)
{
  if (!frontier)
    return;
  qb_context *context = frontier->context;
  qb__free(context, frontier->plans);
  qb__free(context, frontier);
  qb_context_unref(context);
}
