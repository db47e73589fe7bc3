/* SPDX-License-Identifier: Apache-2.0 */
/* Slots and steps of a plan under construction. */
#include "engine/network_plan_impl.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/hooks.h"

#include <string.h>

qb__dims qb__plan_dims(const qb__tensor *tensor, uint32_t batch)
{
  qb__dims dims = {(int)tensor->rank + 1, {batch}};
  memcpy(dims.at + 1, tensor->dims, tensor->rank * sizeof *tensor->dims);
  dims.type = tensor->type;
  return dims;
}

qb__dims qb__plan_layer_dims(const qb__operator *op, const qb__tensor *tensor, uint32_t batch)
{
  const qb__dims dims = qb__plan_dims(tensor, batch);
  const int64_t columns = dims.at[dims.count - 1];
  return op->kind == QB__OP_LINEAR
             ? (qb__dims){2, {batch * (int64_t)tensor->elements / columns, columns}, dims.type}
             : dims;
}

qb__dims qb__plan_weights_dims(const qb__graph *graph, const qb__operator *op)
{
  qb__dims dims = {0, {0}};
  const qb__tensor *w = &graph->tensors[op->weights];
  const int64_t groups = w->rank == 2 ? 1 : op->groups;
  if (groups > 1)
    dims.at[dims.count++] = groups;
  dims.at[dims.count++] = w->dims[0] / groups;
  for (uint32_t i = 1; i < w->rank; i++)
    dims.at[dims.count++] = w->dims[i];
  dims.type = w->type;
  return dims;
}

qb_status qb__plan_slot(qb__planner *p, qb__slot_kind kind, const qb__dims *dims,
                        qb__layout *layout, int32_t *slot)
{
  qb__network_plan *plan = p->plan;
  if (!qb__grow(p->context, &plan->slots, plan->slot_count, &plan->slot_capacity,
                sizeof *plan->slots))
    return QB_ERROR_NO_MEMORY;
  qb__slot made = {.kind = kind, .dims = *dims, .layout = layout};
  made.view_of = made.plain = made.halves = QB__NONE;
  made.region.bytes = qb__layout_bytes(layout);
  made.region.first = made.region.last = (uint32_t)plan->step_count;
  plan->slots[plan->slot_count] = made;
  *slot = (int32_t)plan->slot_count++;
  return QB_OK;
}

qb_status qb__plan_step(qb__planner *p, uint32_t op, struct dnnl_primitive *primitive,
                        const char *implementation, size_t scratchpad_bytes,
                        const int32_t slots[QB__ARG_COUNT])
{
  qb__network_plan *plan = p->plan;
  qb__step step = {.primitive = primitive, .op = op};
  memcpy(step.slots, slots, sizeof step.slots);
  strncat(step.implementation, implementation, sizeof step.implementation - 1);
  qb_status status = QB_OK;
  if (scratchpad_bytes) {
    const qb__dims dims = {1, {(int64_t)((scratchpad_bytes + 3) / 4)}};
    qb__layout *layout = NULL;
    status = qb__layout_plain(p->context, &dims, &layout);
    if (!status)
      status = qb__plan_slot(p, QB__SLOT_ARENA, &dims, layout, &step.slots[QB__ARG_SCRATCHPAD]);
    if (status)
      qb__layout_free(p->context, layout);
  }
  if (!status && !qb__grow(p->context, &plan->steps, plan->step_count, &plan->step_capacity,
                           sizeof *plan->steps))
    status = QB_ERROR_NO_MEMORY;
  if (status) {
    qb__primitive_free(primitive);
    return status;
  }
  for (int i = 0; i < QB__ARG_COUNT; i++)
    for (int32_t slot = step.slots[i]; slot != QB__NONE; slot = plan->slots[slot].view_of) {
      plan->slots[slot].region.last = (uint32_t)plan->step_count;
      if (i == QB__ARG_DESTINATION)
        plan->slots[slot].plain = plan->slots[slot].halves = QB__NONE; /* of what it had */
    }
  plan->steps[plan->step_count++] = step;
  return QB_OK;
}

const int32_t qb__no_slots[QB__ARG_COUNT] = {QB__NONE, QB__NONE, QB__NONE, QB__NONE,
                                             QB__NONE, QB__NONE, QB__NONE};

qb_status qb__plan_kernel(qb__planner *p, uint32_t op, qb__kernel *kernel, const char *name,
                          const int32_t slots[QB__ARG_COUNT])
{
  const qb_status status = qb__plan_step(p, op, NULL, name, 0, slots);
  if (status)
    qb__free(p->context, kernel);
  else
    p->plan->steps[p->plan->step_count - 1].kernel = kernel;
  return status;
}

/* By plain loops. */
static qb_status copy_ourselves(qb__planner *p, uint32_t op, const int32_t slots[QB__ARG_COUNT])
{
  const qb__slot *from = &p->plan->slots[slots[QB__ARG_SOURCE]];
  const qb__slot *to = &p->plan->slots[slots[QB__ARG_DESTINATION]];
  qb__kernel *kernel = NULL;
  const qb_status status =
      qb__kernel_move(p->context, &to->dims, from->layout, to->layout, &kernel);
  return status ? status : qb__plan_kernel(p, op, kernel, "own", slots);
}

qb_status qb__plan_copy(qb__planner *p, uint32_t op, int32_t from, int32_t to)
{
  int32_t slots[QB__ARG_COUNT];
  memcpy(slots, qb__no_slots, sizeof slots);
  slots[QB__ARG_SOURCE] = from;
  slots[QB__ARG_DESTINATION] = to;
  if (qb__is_passed_over(p->findings, p->graph->operators[op].origin, QB__CHANGE_OF_LAYOUT))
    return copy_ourselves(p, op, slots);
  struct dnnl_primitive *primitive = NULL;
  size_t scratchpad_bytes = 0;
  const qb_status status =
      qb__reorder_new(p->engine, p->plan->slots[from].layout, p->plan->slots[to].layout, &primitive,
                      &scratchpad_bytes);
  return status ? status
                : qb__plan_step(p, op, primitive, QB__CHANGE_OF_LAYOUT, scratchpad_bytes, slots);
}

qb_status qb__plan_view(qb__planner *p, int32_t base, const qb__dims *dims, qb__layout *layout,
                        int32_t *view)
{
  const qb_status status = qb__plan_slot(p, p->plan->slots[base].kind, dims, layout, view);
  if (status)
    return status;
  p->plan->slots[*view].view_of = base;
  p->plan->slots[*view].port = p->plan->slots[base].port;
  p->plan->slots[*view].constant = p->plan->slots[base].constant;
  return QB_OK;
}

qb_status qb__plan_plain_view(qb__planner *p, int32_t base, const qb__dims *dims, int32_t *view)
{
  qb__layout *layout = NULL;
  qb_status status = qb__layout_plain(p->context, dims, &layout);
  if (!status)
    status = qb__plan_view(p, base, dims, layout, view);
  if (status)
    qb__layout_free(p->context, layout);
  return status;
}

qb_status qb__plan_result(qb__planner *p, const qb__operator *op, qb__layout *layout)
{
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  const qb_status status = qb__plan_slot(p, QB__SLOT_ARENA, &dims, layout, &p->slot_of[op->output]);
  if (status)
    qb__layout_free(p->context, layout);
  return status;
}

qb_status qb__plan_reorder(qb__planner *p, uint32_t op, qb__slot_kind kind, const qb__layout *to,
                           int32_t from, int32_t *slot)
{
  qb__layout *layout = NULL;
  qb__dims dims = p->plan->slots[from].dims;
  dims.type = qb__layout_type(to);
  qb_status status = qb__layout_copy(p->context, to, &layout);
  if (!status)
    status = qb__plan_slot(p, kind, &dims, layout, slot);
  if (status) {
    qb__layout_free(p->context, layout);
    return status;
  }
  return qb__plan_copy(p, op, from, *slot);
}

qb_status qb__plan_plain(qb__planner *p, uint32_t op, int32_t *slot)
{
  const int32_t from = *slot;
  if (p->plan->slots[from].plain != QB__NONE) {
    *slot = p->plan->slots[from].plain;
    return QB_OK;
  }
  qb__layout *plain = NULL;
  qb_status status = qb__layout_plain(p->context, &p->plan->slots[from].dims, &plain);
  if (!status && !qb__layout_equal(p->plan->slots[from].layout, plain)) {
    status = qb__plan_reorder(p, op, QB__SLOT_ARENA, plain, from, slot);
    if (!status)
      p->plan->slots[from].plain = *slot;
  }
  qb__layout_free(p->context, plain);
  return status;
}

qb_status qb__plan_plain_halves(qb__planner *p, uint32_t op, int32_t *slot)
{
  const int32_t from = *slot;
  qb__dims dims = p->plan->slots[from].dims;
  if (dims.type == QB__TYPE_BF16)
    return qb__plan_plain(p, op, slot);
  if (p->plan->slots[from].halves != QB__NONE) {
    *slot = p->plan->slots[from].halves;
    return QB_OK;
  }
  qb__layout *plain = NULL;
  dims.type = QB__TYPE_BF16;
  qb_status status = qb__layout_plain(p->context, &dims, &plain);
  if (!status)
    status = qb__plan_reorder(p, op, QB__SLOT_ARENA, plain, from, slot);
  if (!status)
    p->plan->slots[from].halves = *slot;
  qb__layout_free(p->context, plain);
  return status;
}

qb_status qb__plan_channels_last(qb__planner *p, uint32_t op, int32_t *slot)
{
  qb__layout *last = NULL;
  qb_status status = qb__layout_channels_last(p->context, &p->plan->slots[*slot].dims, &last);
  if (!status && !qb__layout_equal(p->plan->slots[*slot].layout, last))
    status = qb__plan_reorder(p, op, QB__SLOT_ARENA, last, *slot, slot);
  qb__layout_free(p->context, last);
  return status;
}

bool qb__plan_is_usual(const qb__planner *p, int32_t slot)
{
  const qb__slot *s = &p->plan->slots[slot];
  qb__layout *usual = NULL;
  const qb_status status = qb__layout_like(p->context, s->layout, &s->dims, &s->dims, &usual);
  const bool same = !status && qb__layout_equal(usual, s->layout);
  qb__layout_free(p->context, usual);
  return same;
}

qb_status qb__plan_constant(qb__planner *p, int32_t tensor, const qb__dims *dims,
                            const qb__layout *layout, int32_t *slot)
{
  struct dnnl_memory *memory = NULL;
  qb__layout *copy = NULL;
  qb_status status = qb__packed_get(p->packed, p->stream, p->graph, tensor, dims, layout, &memory);
  if (!status)
    status = qb__layout_copy(p->context, layout, &copy);
  if (!status)
    status = qb__plan_slot(p, QB__SLOT_CONSTANT, dims, copy, slot);
  if (status)
    qb__layout_free(p->context, copy);
  else
    p->plan->slots[*slot].constant = memory;
  return status;
}

qb_status qb__plan_operand(qb__planner *p, int32_t tensor, int32_t *slot)
{
  const qb__tensor *t = &p->graph->tensors[tensor];
  if (!t->constant) {
    *slot = p->slot_of[tensor];
    return QB_OK;
  }
  const qb__dims dims = qb__plan_dims(t, 1);
  qb__layout *plain = NULL;
  qb_status status = qb__layout_plain(p->context, &dims, &plain);
  if (!status)
    status = qb__plan_constant(p, tensor, &dims, plain, slot);
  qb__layout_free(p->context, plain);
  return status;
}

bool qb__plan_overlap(const qb__planner *p, int32_t a, int32_t b)
{
  while (p->plan->slots[a].view_of != QB__NONE)
    a = p->plan->slots[a].view_of;
  while (p->plan->slots[b].view_of != QB__NONE)
    b = p->plan->slots[b].view_of;
  return a == b;
}

bool qb__plan_may_overwrite(const qb__planner *p, uint32_t index, int32_t tensor, int32_t slot,
                            int32_t other, const qb__layout *layout)
{
  const qb__slot *there = &p->plan->slots[slot];
  return there->kind == QB__SLOT_ARENA && there->view_of == QB__NONE &&
         p->slot_of[tensor] == slot && p->last_use[tensor] == index &&
         (other == QB__NONE || !qb__plan_overlap(p, other, slot)) &&
         qb__layout_equal(there->layout, layout);
}

/* A constant with one element for each output of a layer. */
static qb_status add_vector(qb__planner *p, int32_t tensor, int32_t *slot)
{
  const qb__dims dims = {1, {(int64_t)p->graph->tensors[tensor].elements}};
  qb__layout *layout = NULL;
  qb_status status = qb__layout_plain(p->context, &dims, &layout);
  if (!status)
    status = qb__plan_constant(p, tensor, &dims, layout, slot);
  qb__layout_free(p->context, layout);
  return status;
}

qb_status qb__plan_compile(qb__planner *p, uint32_t index, qb__primitive *primitive)
{
  const qb__operator *op = &p->graph->operators[index];
  const qb_status status = qb__primitive_compile(primitive);
  if (status != QB_ERROR_ENGINE)
    return status;
  qb__message(p->context, QB_SEVERITY_WARNING,
              "%s cannot compile operator '%s' with %s at batch %u; it is passed over",
              qb__onednn_version(), op->name, primitive->implementation, p->plan->batch);
  const qb_status noted =
      qb__pass_over(p->context, p->findings, op->origin, primitive->implementation);
  return noted ? noted : status;
}

qb_status qb__plan_layer(qb__planner *p, uint32_t index, qb__primitive *primitive,
                         int32_t slots[QB__ARG_COUNT])
{
  const qb__operator *op = &p->graph->operators[index];
  qb_status status = QB_OK;
  if (op->weights != QB__NONE) {
    const qb__dims given = qb__plan_weights_dims(p->graph, op);
    qb__dims dims = given;
    if (primitive->kernel)
      qb__winograd_weights_dims(&given, &dims);
    status = qb__plan_constant(p, op->weights, &dims, primitive->weights, &slots[QB__ARG_WEIGHTS]);
  }
  if (op->bias != QB__NONE && !status)
    status = add_vector(p, op->bias, &slots[QB__ARG_BIAS]);
  if (op->requantize.applies && qb__factors_are_arguments() && !status)
    status = add_vector(p, op->requantize.factors, &slots[QB__ARG_FACTORS]);
  if (!status && p->to_run)
    status = qb__plan_compile(p, index, primitive);
  if (status)
    return status;
  struct dnnl_primitive *compiled = primitive->handle;
  primitive->handle = NULL;
  status = qb__plan_step(p, index, compiled, primitive->implementation, primitive->scratchpad_bytes,
                         slots);
  if (!status) {
    p->plan->steps[p->plan->step_count - 1].kernel = primitive->kernel;
    primitive->kernel = NULL;
  }
  return status;
}
