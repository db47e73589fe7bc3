/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where reals become bytes, and bytes reals, or bytes other bytes by way of reals. Bytes of images have
 * their channels last.
 */
#include "engine/network_plan_impl.h"

#include <string.h>

static bool lies_plain(const qb__planner *p, int32_t slot)
{
  qb__layout *plain = NULL;
  const qb__slot *s = &p->plan->slots[slot];
  const bool same =
      !qb__layout_plain(p->context, &s->dims, &plain) && qb__layout_equal(plain, s->layout);
  qb__layout_free(p->context, plain);
  return same;
}

/* Replaces a slot by one that lies row-major, or with the channels last where there are pixels. */
static qb_status settle(qb__planner *p, uint32_t index, bool image, int32_t *slot)
{
  if (lies_plain(p, *slot))
    return QB_OK;
  return image ? qb__plan_channels_last(p, index, slot) : qb__plan_plain(p, index, slot);
}

/* The step that writes an operator's result. */
static qb_status add_kernel(qb__planner *p, uint32_t index, qb__kernel *kernel, int32_t source)
{
  int32_t slots[QB__ARG_COUNT];
  memcpy(slots, qb__no_slots, sizeof slots);
  slots[QB__ARG_SOURCE] = source;
  slots[QB__ARG_DESTINATION] = p->slot_of[p->graph->operators[index].output];
  return qb__plan_kernel(p, index, kernel, "own", slots);
}

qb_status qb__plan_bytewise(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  int32_t source = p->slot_of[op->input];
  qb__layout *layout = NULL;
  qb__kernel *kernel = NULL;
  qb_status status = qb__plan_channels_last(p, index, &source);
  if (!status)
    status = qb__layout_channels_last(p->context, &dims, &layout);
  if (!status)
    status = qb__plan_result(p, op, layout);
  if (!status)
    status = qb__kernel_bytewise(p->context, p->graph, op, p->plan->batch, &kernel);
  return status ? status : add_kernel(p, index, kernel, source);
}

qb_status qb__plan_bytes(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  const bool image = dims.count >= 3 && dims.count <= 5;
  int32_t source = p->slot_of[op->input];
  qb__layout *layout = NULL;
  qb__kernel *kernel = NULL;
  qb_status status = settle(p, index, image, &source);
  const bool turns = image && op->kind == QB__OP_QUANTIZE && !status && lies_plain(p, source);
  if (!status)
    status = turns ? qb__layout_channels_last(p->context, &dims, &layout)
                   : qb__layout_like(p->context, p->plan->slots[source].layout,
                                     &p->plan->slots[source].dims, &dims, &layout);
  if (!status)
    status = qb__plan_result(p, op, layout);
  if (!status)
    status = qb__kernel_bytes(p->context, p->graph, op, &dims, turns, &kernel);
  return status ? status : add_kernel(p, index, kernel, source);
}
