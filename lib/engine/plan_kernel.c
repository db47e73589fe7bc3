/* SPDX-License-Identifier: Apache-2.0 */
/* Operators on kernels of ours. */
#include "core/alloc.h"
#include "core/error.h"
#include "engine/network_plan_impl.h"

#include <string.h>

qb_status qb__plan_fill(qb__planner *p, uint32_t op, int32_t slot, float value)
{
  qb__kernel *kernel = NULL;
  int32_t slots[QB__ARG_COUNT];
  memcpy(slots, qb__no_slots, sizeof slots);
  slots[QB__ARG_DESTINATION] = slot;
  const qb__slot *to = &p->plan->slots[slot];
  const size_t each = qb__type_bytes(to->dims.type), count = to->region.bytes / each;
  const qb_status status = each == 1 ? qb__kernel_fill_bytes(p->context, count, value, &kernel)
                                     : qb__kernel_fill(p->context, count, value, &kernel);
  return status ? status : qb__plan_kernel(p, op, kernel, "fill", slots);
}

qb_status qb__plan_repeated(qb__planner *p, uint32_t op, const qb__dims *dims, int32_t *slot)
{
  const qb__dims from = p->plan->slots[*slot].dims;
  if (!memcmp(from.at, dims->at, (size_t)dims->count * sizeof *dims->at))
    return QB_OK;
  qb__kernel *kernel = NULL;
  qb__layout *layout = NULL;
  int32_t slots[QB__ARG_COUNT];
  memcpy(slots, qb__no_slots, sizeof slots);
  qb_status status = qb__plan_plain(p, op, slot);
  slots[QB__ARG_SOURCE] = *slot;
  if (!status)
    status = qb__layout_plain(p->context, dims, &layout);
  if (!status) {
    status = qb__plan_slot(p, QB__SLOT_ARENA, dims, layout, slot);
    if (status)
      qb__layout_free(p->context, layout);
  }
  slots[QB__ARG_DESTINATION] = *slot;
  if (!status)
    status = qb__kernel_repeat(p->context, &from, dims, &kernel);
  return status ? status : qb__plan_kernel(p, op, kernel, "repeat", slots);
}

/* Whether a slot is its elements next to each other in some order, and nothing else. */
static bool is_dense(const qb__slot *slot)
{
  size_t elements = 1;
  for (int i = 0; i < slot->dims.count; i++)
    elements *= (size_t)slot->dims.at[i];
  return slot->view_of == QB__NONE &&
         qb__layout_bytes(slot->layout) == elements * qb__type_bytes(slot->dims.type);
}

/*
 * Whether an operator computes each element from the one in the same place of its first input, and
 * that of the second input or the number of its channel there.
 */
static bool is_in_place(const qb__planner *p, const qb__operator *op,
                        const int32_t slots[QB__ARG_COUNT])
{
  const qb__slot *source = &p->plan->slots[slots[QB__ARG_SOURCE]];
  if (!is_dense(source) || (op->kind != QB__OP_ACTIVATION && !qb__is_binary(op->kind) &&
                            !qb__kernel_converts_all_alike(p->graph, op)))
    return false;
  const int32_t second = slots[QB__ARG_ADDEND];
  return second == QB__NONE || qb__plan_channel_block(p, op, slots[QB__ARG_SOURCE], second) != 0 ||
         (is_dense(&p->plan->slots[second]) &&
          qb__layout_equal(p->plan->slots[second].layout, source->layout));
}

/* Whether one of an operator's inputs has its channels last, which then all of them shall have. */
static bool channels_are_last(const qb__planner *p, const int32_t slots[QB__ARG_COUNT])
{
  for (int a = QB__ARG_SOURCE; a <= QB__ARG_ADDEND; a++) {
    qb__layout *last = NULL;
    const qb__slot *s = slots[a] == QB__NONE ? NULL : &p->plan->slots[slots[a]];
    const bool same = s && !qb__layout_channels_last(p->context, &s->dims, &last) &&
                      qb__layout_equal(last, s->layout);
    qb__layout_free(p->context, last);
    if (same)
      return true;
  }
  return false;
}

static qb_status add_constant(qb__planner *p, int32_t tensor, int32_t *slot)
{
  return tensor == QB__NONE ? QB_OK : qb__plan_operand(p, tensor, slot);
}

/* What an operator reads, row-major but where it does not matter in which order elements are. */
static qb_status add_inputs(qb__planner *p, uint32_t index, int32_t slots[QB__ARG_COUNT])
{
  static const qb__argument names[] = {QB__ARG_SOURCE, QB__ARG_ADDEND, QB__ARG_WEIGHTS};
  const qb__operator *op = &p->graph->operators[index];
  qb_status status = QB_OK;
  int32_t input;
  size_t count = 0;
  for (; (input = qb__operator_input(op, count)) != QB__NONE && !status; count++)
    status = qb__plan_operand(p, input, &slots[names[count]]);
  if (!status)
    status = add_constant(p, op->weights, &slots[QB__ARG_WEIGHTS]);
  if (!status)
    status = add_constant(p, op->bias, &slots[QB__ARG_BIAS]);
  if (status || is_in_place(p, op, slots))
    return status;
  const bool last = op->kind == QB__OP_PICK && channels_are_last(p, slots);
  for (size_t i = 0; i < count && !status; i++)
    status = last ? qb__plan_channels_last(p, index, &slots[names[i]])
                  : qb__plan_plain(p, index, &slots[names[i]]);
  return status;
}

static qb_status make_binary(const qb__planner *p, const qb__operator *op,
                             const int32_t slots[QB__ARG_COUNT], qb__kernel **kernel)
{
  const qb__slot *s = p->plan->slots;
  const int32_t first = slots[QB__ARG_SOURCE], second = slots[QB__ARG_ADDEND];
  const int64_t block = qb__plan_channel_block(p, op, first, second);
  return block ? qb__kernel_by_channel(p->context, op->kind, &s[first].dims, block,
                                       s[second].dims.at[0] > 1, kernel)
               : qb__kernel_binary(p->context, op->kind, &s[first].dims, &s[second].dims,
                                   &s[slots[QB__ARG_DESTINATION]].dims, kernel);
}

static qb_status make_kernel(const qb__planner *p, const qb__operator *op,
                             const int32_t slots[QB__ARG_COUNT], qb__kernel **kernel)
{
  const qb_context *c = p->context;
  const qb__slot *s = p->plan->slots, *to = &s[slots[QB__ARG_DESTINATION]];
  const qb__dims *source = &s[slots[QB__ARG_SOURCE]].dims;
  switch (op->kind) {
  case QB__OP_QUANTIZE:
  case QB__OP_DEQUANTIZE: return qb__kernel_convert(c, p->graph, op, source, kernel);
  case QB__OP_ACTIVATION:
    return qb__kernel_activation(c, op, to->region.bytes / sizeof(float), kernel);
  case QB__OP_SELECT:
    return qb__kernel_select(c, source, &s[slots[QB__ARG_ADDEND]].dims,
                             &s[slots[QB__ARG_WEIGHTS]].dims, &to->dims, kernel);
  case QB__OP_REDUCE: return qb__kernel_reduce(c, op, source, kernel);
  case QB__OP_ARG: return qb__kernel_arg(c, op, source, kernel);
  case QB__OP_LAYER_NORM:
  case QB__OP_GROUP_NORM: return qb__kernel_norm(c, op, source, kernel);
  case QB__OP_PICK: {
    const int32_t second = slots[QB__ARG_ADDEND];
    const qb__dims *const from[2] = {source, second == QB__NONE ? NULL : &s[second].dims};
    return qb__kernel_pick(c, op, from, &to->dims, channels_are_last(p, slots), kernel);
  }
  default:
    return qb__is_binary(op->kind)
               ? make_binary(p, op, slots, kernel)
               : qb__fail(QB_ERROR_UNSUPPORTED, "no kernel computes this operator");
  }
}

/* Where the result goes: over the first input, where that serves nobody else, or a slot of its own. */
static qb_status place_result(qb__planner *p, uint32_t index, int32_t slots[QB__ARG_COUNT])
{
  const qb__operator *op = &p->graph->operators[index];
  const int32_t source = slots[QB__ARG_SOURCE];
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  const qb__layout *there = p->plan->slots[source].layout;
  const bool in_place = is_in_place(p, op, slots);
  qb__layout *layout = NULL;
  qb_status status;
  if (in_place && qb__is_binary(op->kind) &&
      qb__plan_may_overwrite(p, index, op->input, source, slots[QB__ARG_ADDEND], there)) {
    p->slot_of[op->output] = source;
    return QB_OK;
  }
  if (in_place)
    status = qb__layout_copy(p->context, there, &layout);
  else if (op->kind == QB__OP_PICK && channels_are_last(p, slots))
    status = qb__layout_channels_last(p->context, &dims, &layout);
  else
    status = qb__layout_plain(p->context, &dims, &layout);
  return status ? status : qb__plan_result(p, op, layout);
}

qb_status qb__plan_own(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  int32_t slots[QB__ARG_COUNT];
  memcpy(slots, qb__no_slots, sizeof slots);
  qb_status status = add_inputs(p, index, slots);
  if (!status)
    status = place_result(p, index, slots);
  if (status)
    return status;
  slots[QB__ARG_DESTINATION] = p->slot_of[op->output];
  qb__kernel *kernel = NULL;
  status = make_kernel(p, op, slots, &kernel);
  return status ? status : qb__plan_kernel(p, index, kernel, "own", slots);
}
