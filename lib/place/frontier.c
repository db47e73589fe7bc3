/* SPDX-License-Identifier: Apache-2.0 */
#include "place/frontier.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"

#include <string.h>

/* The number of ways that take longer than a time. */
static size_t longer(const qb_frontier *f, double time_ns)
{
  size_t low = 0, high = f->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if ((double)f->ways[middle].fleet.total_95_ns > time_ns)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

bool qb__frontier_beats(const qb_frontier *frontier, double time_ns, double price)
{
  const size_t at = longer(frontier, time_ns);
  return at < frontier->count && frontier->ways[at].price <= price;
}

qb_status qb__frontier_add(qb_frontier *frontier, const qb__way *way)
{
  if (!qb__grow(frontier->context, &frontier->ways, frontier->count, &frontier->capacity,
                sizeof *frontier->ways))
    return QB_ERROR_NO_MEMORY;
  /* Those that it beats take as long or longer, and cost as much or more: the end of `at` ones. */
  const size_t at = longer(frontier, (double)way->fleet.total_95_ns);
  const bool same =
      at < frontier->count && frontier->ways[at].fleet.total_95_ns == way->fleet.total_95_ns;
  size_t first = at;
  while (first && frontier->ways[first - 1].price >= way->price)
    first--;
  const size_t next = at + same;
  memmove(&frontier->ways[first + 1], &frontier->ways[next],
          (frontier->count - next) * sizeof *frontier->ways);
  frontier->ways[first] = *way;
  frontier->count = frontier->count - (next - first) + 1;
  return QB_OK;
}

const qb__way *qb__frontier_cheapest(const qb_frontier *frontier, int64_t time_ns)
{
  const size_t at = longer(frontier, (double)time_ns);
  return at < frontier->count ? &frontier->ways[at] : NULL;
}

const qb__way *qb__frontier_fastest(const qb_frontier *frontier)
{
  return frontier->count ? &frontier->ways[frontier->count - 1] : NULL;
}

uint32_t qb_frontier_count(const qb_frontier *frontier)
{
  return frontier ? (uint32_t)frontier->count : 0;
}

qb_status qb_frontier_get(const qb_frontier *frontier, uint32_t index, qb_job_fleet *fleet)
{
  if (!frontier)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "frontier is NULL");
  const qb_status status = qb__struct_check_out(fleet, sizeof *fleet, "qb_job_fleet");
  if (status)
    return status;
  if (index >= frontier->count)
    return qb__fail(QB_ERROR_NOT_FOUND, "the frontier has no way %u; it has %zu", index,
                    frontier->count);
  const qb__way *way = &frontier->ways[frontier->count - 1 - index];
  qb__struct_out(fleet, &way->fleet, sizeof way->fleet);
  return QB_OK;
}

void qb_frontier_free(qb_frontier *frontier)
{
  if (!frontier)
    return;
  qb_context *context = frontier->context;
  qb__free(context, frontier->ways);
  qb__free(context, frontier);
  qb_context_unref(context);
}
