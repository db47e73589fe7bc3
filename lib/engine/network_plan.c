/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/network_plan_impl.h"

#include "core/alloc.h"
#include "core/error.h"

#include <string.h>

qb__dims qb__plan_dims(const qb__tensor *tensor, uint32_t batch)
{
  qb__dims dims = {(int)tensor->rank + 1, {batch}};
  memcpy(dims.at + 1, tensor->dims, tensor->rank * sizeof *tensor->dims);
  return dims;
}

qb_status qb__plan_slot(qb__planner *p, qb__slot_kind kind, const qb__dims *dims,
                        qb__layout *layout, int32_t *slot)
{
  qb__network_plan *plan = p->plan;
  if (!qb__grow(p->context, &plan->slots, plan->slot_count, &plan->slot_capacity,
                sizeof *plan->slots))
    return QB_ERROR_NO_MEMORY;
  qb__slot made = {.kind = kind, .dims = *dims, .layout = layout, .view_of = QB__NONE};
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
    for (int32_t slot = step.slots[i]; slot != QB__NONE; slot = plan->slots[slot].view_of)
      plan->slots[slot].region.last = (uint32_t)plan->step_count;
  plan->steps[plan->step_count++] = step;
  return QB_OK;
}

static const int32_t no_slots[QB__ARG_COUNT] = {QB__NONE, QB__NONE, QB__NONE,
                                                QB__NONE, QB__NONE, QB__NONE};

qb_status qb__plan_copy(qb__planner *p, uint32_t op, int32_t from, int32_t to)
{
  struct dnnl_primitive *primitive = NULL;
  size_t scratchpad_bytes = 0;
  const qb_status status =
      qb__reorder_new(p->engine, p->plan->slots[from].layout, p->plan->slots[to].layout, &primitive,
                      &scratchpad_bytes);
  if (status)
    return status;
  int32_t slots[QB__ARG_COUNT];
  memcpy(slots, no_slots, sizeof slots);
  slots[QB__ARG_SOURCE] = from;
  slots[QB__ARG_DESTINATION] = to;
  return qb__plan_step(p, op, primitive, "reorder", scratchpad_bytes, slots);
}

qb_status qb__plan_fill(qb__planner *p, uint32_t op, int32_t slot, float value)
{
  int32_t slots[QB__ARG_COUNT];
  memcpy(slots, no_slots, sizeof slots);
  slots[QB__ARG_DESTINATION] = slot;
  const qb_status status = qb__plan_step(p, op, NULL, "fill", 0, slots);
  if (!status)
    p->plan->steps[p->plan->step_count - 1].value = value;
  return status;
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

/* Copies a slot into a new one of another layout. */
static qb_status add_reorder(qb__planner *p, uint32_t op, qb__slot_kind kind, const qb__layout *to,
                             int32_t from, int32_t *slot)
{
  qb__layout *layout = NULL;
  const qb__dims dims = p->plan->slots[from].dims;
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
  qb__layout *plain = NULL;
  qb_status status = qb__layout_plain(p->context, &p->plan->slots[*slot].dims, &plain);
  if (!status && !qb__layout_equal(p->plan->slots[*slot].layout, plain))
    status = add_reorder(p, op, QB__SLOT_ARENA, plain, *slot, slot);
  qb__layout_free(p->context, plain);
  return status;
}

static qb_status add_constant(qb__planner *p, int32_t tensor, const qb__dims *dims,
                              const qb__layout *layout, int32_t *slot)
{
  struct dnnl_memory *memory = NULL;
  qb__layout *copy = NULL;
  qb_status status = qb__packed_get(p->packed, p->stream, tensor,
                                    p->graph->tensors[tensor].constant, dims, layout, &memory);
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

/* Whether two slots have the same bytes. */
static bool overlap(const qb__planner *p, int32_t a, int32_t b)
{
  while (p->plan->slots[a].view_of != QB__NONE)
    a = p->plan->slots[a].view_of;
  while (p->plan->slots[b].view_of != QB__NONE)
    b = p->plan->slots[b].view_of;
  return a == b;
}

/*
 * The slot a result goes to. An addend is summed in place: it has to lie there beforehand, in the
 * result's layout, and to be needed no more, by this operator's own window neither.
 */
static qb_status place_result(qb__planner *p, uint32_t index, const qb__made *made, int32_t source,
                              int32_t addend, int32_t *slot)
{
  const qb__operator *op = &p->graph->operators[index];
  if (addend != QB__NONE) {
    const qb__slot *there = &p->plan->slots[addend];
    if (there->kind == QB__SLOT_ARENA && there->view_of == QB__NONE &&
        !overlap(p, source, addend) && p->last_use[op->addend] == index &&
        qb__layout_equal(there->layout, made->destination)) {
      *slot = addend;
      return QB_OK;
    }
    return add_reorder(p, index, QB__SLOT_ARENA, made->destination, addend, slot);
  }
  qb__layout *layout = NULL;
  qb_status status = qb__layout_copy(p->context, made->destination, &layout);
  if (!status)
    status = qb__plan_result(p, op, layout);
  *slot = p->slot_of[op->output];
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
    status = add_constant(p, tensor, &dims, plain, slot);
  qb__layout_free(p->context, plain);
  return status;
}

/*
 * An operator without weights, on what is there; on row-major inputs where oneDNN has only plain
 * loops for that, or nothing.
 */
static qb_status choose_plain(qb__planner *p, uint32_t index, int32_t *source, int32_t *addend,
                              qb__made *made)
{
  const qb__operator *op = &p->graph->operators[index];
  qb__request request = {.op = op, .source_dims = p->plan->slots[*source].dims};
  request.destination_dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  qb_status status = QB_OK;
  for (int attempt = op->kind == QB__OP_REDUCE; attempt < 2; attempt++) {
    const int32_t before[2] = {*source, *addend};
    if (attempt == 1) {
      status = qb__plan_plain(p, index, source);
      if (!status && *addend != QB__NONE)
        status = qb__plan_plain(p, index, addend);
      if (status || (made->description && before[0] == *source && before[1] == *addend))
        return status;
    }
    request.source = p->plan->slots[*source].layout;
    request.addend = *addend == QB__NONE ? NULL : p->plan->slots[*addend].layout;
    qb__made_clear(p->context, made);
    status = qb__primitive_describe(p->context, p->engine, &request, made);
    if (!status && !qb__is_slow(made))
      return QB_OK;
    if (status && status != QB_ERROR_UNSUPPORTED)
      return status;
  }
  return status;
}

static qb_status add_operator(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  const bool weighted = op->weights != QB__NONE;
  int32_t source = p->slot_of[op->input];
  int32_t addend = QB__NONE;
  int32_t slots[QB__ARG_COUNT];
  memcpy(slots, no_slots, sizeof slots);
  qb__made made;
  memset(&made, 0, sizeof made);
  qb_status status = op->addend == QB__NONE ? QB_OK : qb__plan_operand(p, op->addend, &addend);
  if (status)
    goto done;

  if (weighted) {
    status = qb__layer_choose(p, index, source, addend, &made);
    if (!status && !qb__layout_equal(made.source, p->plan->slots[source].layout))
      status = add_reorder(p, index, QB__SLOT_ARENA, made.source, source, &source);
  } else {
    status = choose_plain(p, index, &source, &addend, &made);
  }
  if (status)
    goto done;
  slots[QB__ARG_SOURCE] = source;
  if (op->weights != QB__NONE) {
    const qb__dims dims = qb__weights_dims(p->graph, op);
    status = add_constant(p, op->weights, &dims, made.weights, &slots[QB__ARG_WEIGHTS]);
    if (status)
      goto done;
  }
  if (op->bias != QB__NONE) {
    const qb__dims dims = {1, {(int64_t)p->graph->tensors[op->bias].elements}};
    qb__layout *layout = NULL;
    status = qb__layout_plain(p->context, &dims, &layout);
    if (!status)
      status = add_constant(p, op->bias, &dims, layout, &slots[QB__ARG_BIAS]);
    qb__layout_free(p->context, layout);
    if (status)
      goto done;
  }
  if (!weighted)
    slots[QB__ARG_ADDEND] = addend;
  status = place_result(p, index, &made, source, weighted ? addend : QB__NONE,
                        &slots[QB__ARG_DESTINATION]);
  if (status)
    goto done;
  p->slot_of[op->output] = slots[QB__ARG_DESTINATION];
  if (p->to_run)
    status = qb__primitive_compile(&made);
  if (status)
    goto done;
  status =
      qb__plan_step(p, index, made.primitive, made.implementation, made.scratchpad_bytes, slots);
  made.primitive = NULL;
done:
  qb__made_clear(p->context, &made);
  return status;
}

/*
 * The same elements under other dimensions: row-major, as dense layers are fastest on (measured:
 * weights for a blocked image leave oneDNN's packed matrix multiplication for its plain one).
 */
static qb_status add_flatten(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  int32_t base = p->slot_of[op->input];
  const qb_status status = qb__plan_plain(p, index, &base);
  if (status)
    return status;
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  return qb__plan_plain_view(p, base, &dims, &p->slot_of[op->output]);
}

static bool has_views(const qb__network_plan *plan, int32_t slot)
{
  for (size_t i = 0; i < plan->slot_count; i++)
    if (plan->slots[i].view_of == slot)
      return true;
  return false;
}

/* Gives an output to the caller: in place where it is written row-major and whole. */
static qb_status add_output(qb__planner *p, uint32_t port)
{
  int32_t last = p->slot_of[p->graph->outputs[port]];
  qb__slot *slot = &p->plan->slots[last];
  qb__layout *plain = NULL;
  qb_status status = qb__layout_plain(p->context, &slot->dims, &plain);
  if (status)
    return status;
  if (slot->kind == QB__SLOT_ARENA && slot->view_of == QB__NONE && !has_views(p->plan, last) &&
      qb__layout_equal(slot->layout, plain))
    slot->kind = QB__SLOT_OUTPUT;
  else
    status =
        add_reorder(p, (uint32_t)p->graph->operator_count - 1, QB__SLOT_OUTPUT, plain, last, &last);
  qb__layout_free(p->context, plain);
  if (!status)
    p->plan->slots[last].port = port;
  return status;
}

static qb_status add_input(qb__planner *p, uint32_t port)
{
  const int32_t tensor = p->graph->inputs[port];
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[tensor], p->plan->batch);
  qb__layout *plain = NULL;
  qb_status status = qb__layout_plain(p->context, &dims, &plain);
  if (!status)
    status = qb__plan_slot(p, QB__SLOT_INPUT, &dims, plain, &p->slot_of[tensor]);
  if (status)
    qb__layout_free(p->context, plain);
  else
    p->plan->slots[p->slot_of[tensor]].port = port;
  return status;
}

static void find_last_uses(qb__planner *p)
{
  for (size_t i = 0; i < p->graph->output_count; i++)
    p->last_use[p->graph->outputs[i]] = UINT32_MAX;
  for (size_t i = p->graph->operator_count; i-- > 0;) {
    const qb__operator *op = &p->graph->operators[i];
    const uint32_t use = op->kind == QB__OP_FLATTEN ? p->last_use[op->output] : (uint32_t)i;
    int32_t input;
    for (size_t j = 0; (input = qb__operator_input(op, j)) != QB__NONE; j++)
      if (use > p->last_use[input])
        p->last_use[input] = use;
  }
}

static qb_status add_any(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  qb_status status;
  switch (op->kind) {
  case QB__OP_FLATTEN: status = add_flatten(p, index); break;
  case QB__OP_MATMUL: status = qb__plan_matmul(p, index); break;
  case QB__OP_CONCAT:
  case QB__OP_PAD:
  case QB__OP_TRANSPOSE: status = qb__plan_rearrangement(p, index); break;
  case QB__OP_MAXIMUM:
  case QB__OP_MINIMUM:
  case QB__OP_POWER:
  case QB__OP_MODULO:
  case QB__OP_FLOOR_MODULO:
  case QB__OP_PRELU:
  case QB__OP_EQUAL:
  case QB__OP_LESS:
  case QB__OP_LESS_EQUAL:
  case QB__OP_GREATER:
  case QB__OP_GREATER_EQUAL:
  case QB__OP_SELECT:
  case QB__OP_LINEAR:
  case QB__OP_ARG:
  case QB__OP_LAYER_NORM:
  case QB__OP_GROUP_NORM:
  case QB__OP_PICK: status = qb__fail(QB_ERROR_UNSUPPORTED, "no engine runs it yet"); break;
  default: status = add_operator(p, index);
  }
  return status ? qb__fail_within(status, "operator '%s' (%s) at batch %u", op->name,
                                  qb__operator_kind_name(op), p->plan->batch)
                : QB_OK;
}

static bool owns_region(const qb__slot *slot)
{
  return slot->kind == QB__SLOT_ARENA && slot->view_of == QB__NONE;
}

static qb_status place_arena(qb__planner *p)
{
  qb__network_plan *plan = p->plan;
  qb__region *regions = qb__calloc(p->context, plan->slot_count, sizeof *regions);
  if (!regions)
    return QB_ERROR_NO_MEMORY;
  size_t count = 0;
  for (size_t i = 0; i < plan->slot_count; i++)
    if (owns_region(&plan->slots[i]))
      regions[count++] = plan->slots[i].region;
  const qb_status status = qb__memory_plan(p->context, regions, count, &plan->arena_bytes);
  count = 0;
  for (size_t i = 0; i < plan->slot_count; i++)
    if (owns_region(&plan->slots[i]))
      plan->slots[i].region = regions[count++];
    else if (plan->slots[i].view_of != QB__NONE)
      plan->slots[i].region = plan->slots[plan->slots[i].view_of].region; /* comes before it */
  qb__free(p->context, regions);
  return status;
}

qb_status qb__network_plan_new(const qb__graph *graph, uint32_t batch, bool to_run,
                               qb__choice *choices, qb__packed *packed, struct dnnl_engine *engine,
                               struct dnnl_stream *stream, qb__network_plan **plan)
{
  qb__planner p = {graph->context, graph,  NULL,   to_run, choices,
                   packed,         engine, stream, NULL,   NULL};
  qb_status status = QB_ERROR_NO_MEMORY;
  p.plan = qb__calloc(p.context, 1, sizeof *p.plan);
  p.slot_of = qb__calloc(p.context, graph->tensor_count, sizeof *p.slot_of);
  p.last_use = qb__calloc(p.context, graph->tensor_count, sizeof *p.last_use);
  if (!p.plan || !p.slot_of || !p.last_use)
    goto done;
  p.plan->batch = batch;
  find_last_uses(&p);

  status = QB_OK;
  for (uint32_t i = 0; i < graph->input_count && !status; i++)
    status = add_input(&p, i);
  for (uint32_t i = 0; i < graph->operator_count && !status; i++)
    status = add_any(&p, i);
  for (uint32_t i = 0; i < graph->output_count && !status; i++)
    status = add_output(&p, i);
  if (!status)
    status = place_arena(&p);
done:
  qb__free(p.context, p.slot_of);
  qb__free(p.context, p.last_use);
  if (status)
    qb__network_plan_free(p.context, p.plan);
  else
    *plan = p.plan;
  return status;
}

void qb__network_plan_free(const qb_context *context, qb__network_plan *plan)
{
  if (!plan)
    return;
  for (size_t i = 0; i < plan->step_count; i++)
    qb__primitive_free(plan->steps[i].primitive);
  for (size_t i = 0; i < plan->slot_count; i++)
    qb__layout_free(context, plan->slots[i].layout);
  qb__free(context, plan->steps);
  qb__free(context, plan->slots);
  qb__free(context, plan);
}
