/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/network_plan.h"

#include "core/alloc.h"
#include "core/error.h"

#include <string.h>

typedef struct planner {
  const qb_context *context;
  const qb__graph *graph;
  qb__network_plan *plan;
  qb__packed *packed;
  struct dnnl_engine *engine;
  struct dnnl_stream *stream;
  int32_t *slot_of;   /* by tensor */
  uint32_t *last_use; /* by tensor: the last operator that reads it, also behind a flatten */
} planner;

static qb__dims batched(const qb__tensor *tensor, uint32_t batch)
{
  qb__dims dims = {(int)tensor->rank + 1, {batch}};
  memcpy(dims.at + 1, tensor->dims, tensor->rank * sizeof *tensor->dims);
  return dims;
}

/* Takes the layout over on success. */
static qb_status add_slot(planner *p, qb__slot_kind kind, const qb__dims *dims, qb__layout *layout,
                          int32_t *slot)
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

/* Takes the primitive over, also on failure; a scratchpad gets a slot that lives for this step. */
static qb_status add_step(planner *p, uint32_t op, struct dnnl_primitive *primitive,
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
      status = add_slot(p, QB__SLOT_ARENA, &dims, layout, &step.slots[QB__ARG_SCRATCHPAD]);
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

/* Copies a slot into a new one of another layout. */
static qb_status add_reorder(planner *p, uint32_t op, qb__slot_kind kind, const qb__layout *to,
                             int32_t from, int32_t *slot)
{
  struct dnnl_primitive *primitive = NULL;
  qb__layout *layout = NULL;
  size_t scratchpad_bytes = 0;
  const qb__dims dims = p->plan->slots[from].dims;
  qb_status status = qb__layout_copy(p->context, to, &layout);
  if (!status)
    status = add_slot(p, kind, &dims, layout, slot);
  if (status) {
    qb__layout_free(p->context, layout);
    return status;
  }
  status = qb__reorder_new(p->engine, p->plan->slots[from].layout, layout, &primitive,
                           &scratchpad_bytes);
  if (status)
    return status;
  int32_t slots[QB__ARG_COUNT] = {QB__NONE, QB__NONE, QB__NONE, QB__NONE, QB__NONE, QB__NONE};
  slots[QB__ARG_SOURCE] = from;
  slots[QB__ARG_DESTINATION] = *slot;
  return add_step(p, op, primitive, "reorder", scratchpad_bytes, slots);
}

static qb_status add_constant(planner *p, int32_t tensor, const qb__dims *dims,
                              const qb__layout *layout, int32_t *slot)
{
  struct dnnl_memory *memory = NULL;
  qb__layout *copy = NULL;
  qb_status status = qb__packed_get(p->packed, p->stream, tensor,
                                    p->graph->tensors[tensor].constant, dims, layout, &memory);
  if (!status)
    status = qb__layout_copy(p->context, layout, &copy);
  if (!status)
    status = add_slot(p, QB__SLOT_CONSTANT, dims, copy, slot);
  if (status)
    qb__layout_free(p->context, copy);
  else
    p->plan->slots[*slot].constant = memory;
  return status;
}

/* Weights as oneDNN counts their dimensions: groups first. */
static qb__dims weights_dims(const planner *p, const qb__operator *op)
{
  qb__dims dims = {0, {0}};
  const qb__tensor *w = &p->graph->tensors[op->weights];
  const int64_t groups = op->kind == QB__OP_CONVOLUTION ? op->groups : 1;
  if (groups > 1)
    dims.at[dims.count++] = groups;
  dims.at[dims.count++] = w->dims[0] / groups;
  for (uint32_t i = 1; i < w->rank; i++)
    dims.at[dims.count++] = w->dims[i];
  return dims;
}

/* Plain loops: right, and slower by orders of magnitude than anything else. */
static bool is_slow(const qb__made *made)
{
  return strstr(made->implementation, "ref") != NULL;
}

/* Tries a request; true when it is there and as good as `best`, which is then replaced. */
static bool improve(planner *p, const qb__request *request, bool same_implementation,
                    qb__made *best)
{
  qb__made made;
  if (qb__primitive_new(p->context, p->engine, request, &made))
    return false;
  if (is_slow(&made) ||
      (same_implementation && strcmp(made.implementation, best->implementation) != 0)) {
    qb__made_clear(p->context, &made);
    return false;
  }
  qb__made_clear(p->context, best);
  *best = made;
  return true;
}

/*
 * A convolution or dense layer. oneDNN is first asked for what it likes best. Where that is not
 * what is there already - the input's layout, weights packed for another batch size, the addend's
 * layout - the same implementation is tried on what is there, and weights are packed again only
 * when all that is left is plain loops.
 */
static qb_status choose(planner *p, const qb__operator *op, int32_t source, int32_t addend,
                        qb__made *made)
{
  const qb__layout *have = p->plan->slots[source].layout;
  const qb__layout *packed = qb__packed_layout(p->packed, op->weights);
  qb__request request = {.op = op, .source_dims = p->plan->slots[source].dims};
  request.weights_dims = weights_dims(p, op);
  request.destination_dims = batched(&p->graph->tensors[op->output], p->plan->batch);
  const qb_status status = qb__primitive_new(p->context, p->engine, &request, made);
  if (status)
    return status;
  if (packed && !qb__layout_equal(made->weights, packed)) {
    request.weights = packed;
    if (!improve(p, &request, false, made))
      request.weights = NULL;
  }
  if (!qb__layout_equal(made->source, have)) {
    request.source = have;
    if (!improve(p, &request, true, made))
      request.source = NULL;
  }
  if (addend != QB__NONE && !qb__layout_equal(made->destination, p->plan->slots[addend].layout)) {
    request.destination = p->plan->slots[addend].layout;
    (void)improve(p, &request, true, made);
  }
  return QB_OK;
}

/* Whether two slots have the same bytes. */
static bool overlap(const planner *p, int32_t a, int32_t b)
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
static qb_status place_result(planner *p, uint32_t index, const qb__made *made, int32_t source,
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
  const qb__dims dims = batched(&p->graph->tensors[op->output], p->plan->batch);
  qb_status status = qb__layout_copy(p->context, made->destination, &layout);
  if (!status)
    status = add_slot(p, QB__SLOT_ARENA, &dims, layout, slot);
  if (status)
    qb__layout_free(p->context, layout);
  return status;
}

static qb_status add_operator(planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  const bool weighted = op->kind == QB__OP_CONVOLUTION || op->kind == QB__OP_DENSE;
  int32_t source = p->slot_of[op->input];
  const int32_t addend = op->addend == QB__NONE ? QB__NONE : p->slot_of[op->addend];
  int32_t slots[QB__ARG_COUNT] = {QB__NONE, QB__NONE, QB__NONE, QB__NONE, QB__NONE, QB__NONE};
  qb__made made;
  memset(&made, 0, sizeof made);
  qb_status status;

  if (weighted) {
    status = choose(p, op, source, addend, &made);
    if (!status && !qb__layout_equal(made.source, p->plan->slots[source].layout))
      status = add_reorder(p, index, QB__SLOT_ARENA, made.source, source, &source);
  } else {
    const qb__request request = {
        .op = op,
        .source_dims = p->plan->slots[source].dims,
        .destination_dims = batched(&p->graph->tensors[op->output], p->plan->batch),
        .source = p->plan->slots[source].layout,
        .addend = addend == QB__NONE ? NULL : p->plan->slots[addend].layout};
    status = qb__primitive_new(p->context, p->engine, &request, &made);
  }
  if (status)
    goto done;
  slots[QB__ARG_SOURCE] = source;
  if (op->weights != QB__NONE) {
    const qb__dims dims = weights_dims(p, op);
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
  status = add_step(p, index, made.primitive, made.implementation, made.scratchpad_bytes, slots);
  made.primitive = NULL;
done:
  qb__made_clear(p->context, &made);
  return status ? qb__fail_within(status, "operator '%s' (%s) at batch %u", op->name,
                                  qb__operator_kind_name(op), p->plan->batch)
                : QB_OK;
}

/*
 * The same elements under other dimensions: row-major, as dense layers are fastest on (measured:
 * weights for a blocked image leave oneDNN's packed matrix multiplication for its plain one).
 */
static qb_status add_flatten(planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  int32_t base = p->slot_of[op->input];
  qb__layout *plain = NULL, *flat = NULL;
  qb_status status = qb__layout_plain(p->context, &p->plan->slots[base].dims, &plain);
  if (!status && !qb__layout_equal(p->plan->slots[base].layout, plain))
    status = add_reorder(p, index, QB__SLOT_ARENA, plain, base, &base);
  qb__layout_free(p->context, plain);
  if (status)
    return status;
  const qb__dims dims = batched(&p->graph->tensors[op->output], p->plan->batch);
  status = qb__layout_plain(p->context, &dims, &flat);
  if (!status)
    status = add_slot(p, p->plan->slots[base].kind, &dims, flat, &p->slot_of[op->output]);
  if (status)
    qb__layout_free(p->context, flat);
  else
    p->plan->slots[p->slot_of[op->output]].view_of = base;
  return status;
}

/* Gives the network's output to the caller: in place where the last step can write it there. */
static qb_status add_output(planner *p)
{
  const int32_t last = p->slot_of[p->graph->output];
  qb__slot *slot = &p->plan->slots[last];
  qb__layout *plain = NULL;
  qb_status status = qb__layout_plain(p->context, &slot->dims, &plain);
  if (status)
    return status;
  int32_t copied;
  if (slot->kind == QB__SLOT_ARENA && slot->view_of == QB__NONE &&
      qb__layout_equal(slot->layout, plain))
    slot->kind = QB__SLOT_OUTPUT;
  else
    status = add_reorder(p, (uint32_t)p->graph->operator_count - 1, QB__SLOT_OUTPUT, plain, last,
                         &copied);
  qb__layout_free(p->context, plain);
  return status;
}

static void find_last_uses(planner *p)
{
  p->last_use[p->graph->output] = UINT32_MAX;
  for (size_t i = p->graph->operator_count; i-- > 0;) {
    const qb__operator *op = &p->graph->operators[i];
    const uint32_t use = op->kind == QB__OP_FLATTEN ? p->last_use[op->output] : (uint32_t)i;
    if (use > p->last_use[op->input])
      p->last_use[op->input] = use;
    if (op->addend != QB__NONE && use > p->last_use[op->addend])
      p->last_use[op->addend] = use;
  }
}

static bool owns_region(const qb__slot *slot)
{
  return slot->kind == QB__SLOT_ARENA && slot->view_of == QB__NONE;
}

static qb_status place_arena(planner *p)
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

qb_status qb__network_plan_new(const qb__graph *graph, uint32_t batch, qb__packed *packed,
                               struct dnnl_engine *engine, struct dnnl_stream *stream,
                               qb__network_plan **plan)
{
  planner p = {graph->context, graph, NULL, packed, engine, stream, NULL, NULL};
  qb_status status = QB_ERROR_NO_MEMORY;
  p.plan = qb__calloc(p.context, 1, sizeof *p.plan);
  p.slot_of = qb__calloc(p.context, graph->tensor_count, sizeof *p.slot_of);
  p.last_use = qb__calloc(p.context, graph->tensor_count, sizeof *p.last_use);
  if (!p.plan || !p.slot_of || !p.last_use)
    goto done;
  p.plan->batch = batch;
  find_last_uses(&p);

  qb__layout *plain = NULL;
  const qb__dims dims = batched(&graph->tensors[graph->input], batch);
  status = qb__layout_plain(p.context, &dims, &plain);
  if (!status)
    status = add_slot(&p, QB__SLOT_INPUT, &dims, plain, &p.slot_of[graph->input]);
  if (status)
    qb__layout_free(p.context, plain);
  for (uint32_t i = 0; i < graph->operator_count && !status; i++)
    status = graph->operators[i].kind == QB__OP_FLATTEN ? add_flatten(&p, i) : add_operator(&p, i);
  if (!status)
    status = add_output(&p);
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
