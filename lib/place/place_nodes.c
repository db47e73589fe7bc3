/* SPDX-License-Identifier: Apache-2.0 */
#include "place/place_nodes.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "profile/profile_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *wrong_with(const qb_place_node *node)
{
  if (node->size != sizeof *node)
    return "size is not that of qb_place_node; initialise it with QB_PLACE_NODE_INIT";
  if (!node->profile)
    return "profile is NULL";
  if (!(node->speed > 0 && node->speed <= 1e6 && node->speed >= 1e-6))
    return "speed must be 1e-6..1e6";
  if (node->ready_ns < 0 || node->ready_ns > INT64_C(1) << 56)
    return "ready_ns must be 0..2^56";
  return NULL;
}

qb_status qb__place_check(const qb_place_node *nodes, size_t count, const qb_share *shares,
                          const qb_placement *placement)
{
  if (!nodes || !shares || !count || count > UINT32_MAX)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%zu nodes at %p, shares at %p; give one or more",
                    count, (const void *)nodes, (const void *)shares);
  qb_status status =
      placement ? qb__struct_check_out(placement, sizeof *placement, "placement") : QB_OK;
  for (size_t i = 0; i < count && !status; i++) {
    const char *wrong = wrong_with(&nodes[i]);
    if (!wrong && shares[i].size != sizeof shares[i])
      wrong = "its share has a wrong size; initialise it with QB_SHARE_INIT";
    if (wrong)
      return qb__fail(QB_ERROR_INVALID_ARGUMENT, "nodes[%zu]: %s", i, wrong);
    const qb_profile_info *first = &nodes[0].profile->info, *its = &nodes[i].profile->info;
    if (!qb__profiles_same_network(its, first))
      return qb__fail(QB_ERROR_MISMATCH,
                      "nodes[%zu] has a profile of '%.64s', nodes[0] of '%.64s'; place one model "
                      "at a time",
                      i, its->model, first->model);
  }
  return status;
}

int qb__place_compare(const qb_place_node *a, const qb_place_node *b)
{
  if (a->profile != b->profile)
    return (uintptr_t)a->profile < (uintptr_t)b->profile ? -1 : 1;
  if (a->speed != b->speed)
    return a->speed < b->speed ? -1 : 1;
  return a->memory_bytes != b->memory_bytes ? (a->memory_bytes < b->memory_bytes ? -1 : 1) : 0;
}

typedef struct place {
  const qb_place_node *node;
  uint32_t index;
} place;

static int by_kind(const void *a, const void *b)
{
  const place *x = a, *y = b;
  const int order = qb__place_compare(x->node, y->node);
  return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

qb_status qb__place_order(const qb_place_node *nodes, size_t count, uint32_t *order)
{
  const qb_context *context = nodes[0].profile->context;
  place *places = qb__calloc(context, count, sizeof *places);
  if (!places)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < count; i++)
    places[i] = (place){&nodes[i], (uint32_t)i};
  qsort(places, count, sizeof *places, by_kind);
  for (size_t i = 0; i < count; i++)
    order[i] = places[i].index;
  qb__free(context, places);
  return QB_OK;
}
