/* SPDX-License-Identifier: Apache-2.0 */
#include "place/place_nodes.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "profile/profile_data.h"

#include <stdlib.h>

static const char *wrong_with(const qb_place_node *node)
{
  if (!node->profile)
    return "profile is NULL";
  if (!(node->speed > 0 && node->speed <= 1e6 && node->speed >= 1e-6))
    return "speed must be 1e-6..1e6";
  if (node->ready_ns < 0 || node->ready_ns > INT64_C(1) << 56)
    return "ready_ns must be 0..2^56";
  return NULL;
}

static int compare_pointers(const void *a, const void *b)
{
  return (uintptr_t)a < (uintptr_t)b ? -1 : (uintptr_t)a > (uintptr_t)b;
}

static int compare(const qb_place_node *a, const qb_place_node *b)
{
  int sign = compare_pointers(a->profile, b->profile);
  if (!sign)
    sign = compare_pointers(a->node, b->node);
  if (!sign)
    sign = a->speed < b->speed ? -1 : a->speed > b->speed;
  if (!sign)
    sign = a->memory_bytes < b->memory_bytes ? -1 : a->memory_bytes > b->memory_bytes;
  return sign;
}

bool qb__place_same_times(const qb_place_node *a, const qb_place_node *b)
{
  return a->profile == b->profile && a->node == b->node;
}

bool qb__place_same_node(const qb_place_node *a, const qb_place_node *b)
{
  return !compare(a, b);
}

typedef struct ordered {
  const qb_place_node *node;
  uint32_t index;
} ordered;

static int by_kind(const void *a, const void *b)
{
  const ordered *x = a, *y = b;
  const int sign = compare(x->node, y->node);
  return sign ? sign : x->index < y->index ? -1 : x->index > y->index;
}

static qb_status find_order(qb__place *place)
{
  ordered *all = qb__calloc(place->context, place->count, sizeof *all);
  if (!all)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < place->count; i++)
    all[i] = (ordered){&place->nodes[i], (uint32_t)i};
  qsort(all, place->count, sizeof *all, by_kind);
  for (size_t i = 0; i < place->count; i++)
    place->order[i] = all[i].index;
  qb__free(place->context, all);
  return QB_OK;
}

static qb_status take_node(const qb_place_node *nodes, size_t i, qb__place *place)
{
  qb_place_node *node = &place->nodes[i];
  const qb_status status =
      QB__STRUCT_IN(qb_place_node, node, (const qb_place_node *)qb__struct_at(nodes, i));
  if (status)
    return status;
  const char *wrong = wrong_with(node);
  if (wrong)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "nodes[%zu]: %s", i, wrong);
  const qb_profile_info *first = qb__profile_info(nodes->profile);
  const qb_profile_info *its = qb__profile_info(node->profile);
  if (!qb__profiles_same_network(its, first))
    return qb__fail(QB_ERROR_MISMATCH,
                    "nodes[%zu] has a profile of '%.64s', nodes[0] of '%.64s'; place one model at "
                    "a time",
                    i, its->model, first->model);
  return QB_OK;
}

static qb_status check(const qb_place_node *nodes, size_t count, const qb_share *shares,
                       const qb_placement *placement)
{
  if (!nodes || !shares || !count || count > UINT32_MAX)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%zu nodes at %p, shares at %p; give one or more",
                    count, (const void *)nodes, (const void *)shares);
  qb_status status = QB__STRUCTS_CHECK(qb_place_node, nodes, count);
  if (!status)
    status = QB__STRUCTS_CHECK(qb_share, shares, count);
  if (!status && placement)
    status = QB__STRUCT_CHECK_OUT(qb_placement, placement);
  if (!status && !nodes->profile)
    status = qb__fail(QB_ERROR_INVALID_ARGUMENT, "nodes[0]: %s", wrong_with(nodes));
  return status;
}

qb_status qb__place_init(const qb_place_node *nodes, size_t count, qb_share *shares,
                         qb_placement *placement, qb__place *place)
{
  *place = (qb__place){.count = count, .their_shares = shares, .their_placement = placement};
  qb_status status = check(nodes, count, shares, placement);
  if (status)
    return status;
  place->context = qb__profile_context(nodes->profile);
  place->nodes = qb__calloc(place->context, count, sizeof *place->nodes);
  place->shares = qb__calloc(place->context, count, sizeof *place->shares);
  place->order = qb__calloc(place->context, count, sizeof *place->order);
  if (!place->nodes || !place->shares || !place->order)
    status = QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < count && !status; i++) {
    status = take_node(nodes, i, place);
    place->shares[i] = (qb_share)QB_SHARE_INIT;
  }
  return status ? status : find_order(place);
}

void qb__place_free(qb__place *place)
{
  if (!place->context)
    return;
  qb__free(place->context, place->nodes);
  qb__free(place->context, place->shares);
  qb__free(place->context, place->order);
}

void qb__place_out(const qb__place *place, const qb_placement *placement)
{
  for (size_t i = 0; i < place->count; i++)
    QB__STRUCT_OUT_AT(qb_share, place->their_shares, i, &place->shares[i]);
  if (place->their_placement)
    QB__STRUCT_OUT(qb_placement, place->their_placement, placement);
}
