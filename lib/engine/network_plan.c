/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/network_plan_impl.h"

#include "core/alloc.h"
#include "core/error.h"

#include <string.h>

static bool same_shape(const qb__planner *p, int32_t a, int32_t b)
{
  const qb__dims *x = &p->plan->slots[a].dims, *y = &p->plan->slots[b].dims;
  return !memcmp(x->at, y->at, (size_t)x->count * sizeof *x->at);
}

/*
 * The slot a result goes to. A layer's addend is summed in place, of which a copy is made where it
 * has to stay; arithmetic overwrites its first input where that may go.
 */
static qb_status place_result(qb__planner *p, uint32_t index, const qb__primitive *primitive,
                              int32_t source, int32_t addend, int32_t *slot)
{
  const qb__operator *op = &p->graph->operators[index];
  const bool sums = addend != QB__NONE && !qb__is_binary(op->kind);
  const int32_t tensor = sums ? op->addend : op->input, there = sums ? addend : source;
  const int32_t other = sums ? source : addend;
  if ((sums || qb__is_binary(op->kind)) &&
      qb__plan_may_overwrite(p, index, tensor, there, other, primitive->destination)) {
    *slot = there;
    return QB_OK;
  }
  if (sums)
    return qb__plan_reorder(p, index, QB__SLOT_ARENA, primitive->destination, addend, slot);
  qb__layout *layout = NULL;
  qb_status status = qb__layout_copy(p->context, primitive->destination, &layout);
  if (!status)
    status = qb__plan_result(p, op, layout);
  *slot = p->slot_of[op->output];
  return status;
}

/* Whether two slots have the same dimensions in different layouts. */
static bool same_shape_elsewhere(const qb__planner *p, int32_t a, int32_t b)
{
  return same_shape(p, a, b) &&
         !qb__layout_equal(p->plan->slots[a].layout, p->plan->slots[b].layout);
}

/*
 * An operator without weights, on what is there; on row-major inputs where oneDNN has only plain
 * loops for that, or nothing.
 */
static qb_status choose_plain(qb__planner *p, uint32_t index, int32_t *source, int32_t *addend,
                              qb__primitive *primitive)
{
  const qb__operator *op = &p->graph->operators[index];
  qb__primitive_spec spec = {
      .op = op, .findings = p->findings, .source_dims = p->plan->slots[*source].dims};
  spec.destination_dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  qb_status status = QB_OK;
  bool usual = qb__plan_is_usual(p, *source);
  if (usual && *addend != QB__NONE && same_shape_elsewhere(p, *source, *addend))
    status =
        qb__plan_reorder(p, index, QB__SLOT_ARENA, p->plan->slots[*source].layout, *addend, addend);
  if (status)
    return status;
  usual = usual && (*addend == QB__NONE || qb__plan_is_usual(p, *addend));
  for (int attempt = usual ? 0 : 1; attempt < 2; attempt++) {
    const int32_t before[2] = {*source, *addend};
    if (attempt == 1) {
      status = qb__plan_plain(p, index, source);
      if (!status && *addend != QB__NONE)
        status = qb__plan_plain(p, index, addend);
      if (status ||
          (qb__primitive_exists(primitive) && before[0] == *source && before[1] == *addend))
        return status;
    }
    spec.source = p->plan->slots[*source].layout;
    spec.addend = *addend == QB__NONE ? NULL : p->plan->slots[*addend].layout;
    qb__primitive_clear(p->context, primitive);
    status = qb__primitive_describe(p->context, p->engine, &spec, primitive);
    if (!status && !qb__is_slow(primitive))
      return QB_OK;
    if (status && status != QB_ERROR_UNSUPPORTED)
      return status;
  }
  return status;
}

/*
 * Whether an operator combines a tensor with a number for each of its channels: oneDNN has fast
 * loops for some layouts only, and changing layouts takes several times as long as the operator.
 * Constants have no slot yet; what they scale is mostly folded into layers.
 */
static bool is_by_channel(const qb__planner *p, const qb__operator *op)
{
  return op->addend != QB__NONE && !p->graph->tensors[op->addend].constant &&
         qb__plan_channel_block(p, op, p->slot_of[op->input], p->slot_of[op->addend]) != 0;
}

/* An operator on one of oneDNN's primitives. */
static qb_status add_operator(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  const bool weighted = op->weights != QB__NONE;
  int32_t source = p->slot_of[op->input], addend = QB__NONE;
  int32_t slots[QB__ARG_COUNT];
  memcpy(slots, qb__no_slots, sizeof slots);
  qb__primitive primitive;
  memset(&primitive, 0, sizeof primitive);
  qb_status status = op->addend == QB__NONE ? QB_OK : qb__plan_operand(p, op->addend, &addend);
  if (!status && weighted) {
    status = qb__layer_choose(p, index, source, addend, QB__NONE, &primitive);
    if (!status && !qb__layout_equal(primitive.source, p->plan->slots[source].layout))
      status = qb__plan_reorder(p, index, QB__SLOT_ARENA, primitive.source, source, &source);
  } else if (!status) {
    status = choose_plain(p, index, &source, &addend, &primitive);
    const bool slow = status == QB_ERROR_UNSUPPORTED || (!status && qb__is_slow(&primitive));
    if (slow && qb__is_binary(op->kind)) {
      qb__primitive_clear(p->context, &primitive);
      return qb__plan_own(p, index);
    }
  }
  if (!status) {
    slots[QB__ARG_SOURCE] = source;
    slots[QB__ARG_ADDEND] = weighted ? QB__NONE : addend;
    status = place_result(p, index, &primitive, source, addend, &slots[QB__ARG_DESTINATION]);
  }
  if (!status) {
    p->slot_of[op->output] = slots[QB__ARG_DESTINATION];
    status = qb__plan_layer(p, index, &primitive, slots);
  }
  qb__primitive_clear(p->context, &primitive);
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
    status = qb__plan_reorder(p, (uint32_t)p->graph->operator_count - 1, QB__SLOT_OUTPUT, plain,
                              last, &last);
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

/* An input, or what an operator has written. */
static void add_watch(qb__planner *p, int32_t tensor, int32_t op)
{
  qb__network_plan *plan = p->plan;
  plan->watches[plan->watch_count++] =
      (qb__watch){tensor, p->slot_of[tensor], op, plan->step_count};
}

static void find_last_uses(qb__planner *p)
{
  for (size_t i = 0; i < p->graph->output_count; i++)
    p->last_use[p->graph->outputs[i]] = UINT32_MAX;
  for (size_t i = p->graph->operator_count; i-- > 0;) {
    const qb__operator *op = &p->graph->operators[i];
    const bool views = op->kind == QB__OP_FLATTEN || op->kind == QB__OP_TRANSPOSE;
    const uint32_t use = views ? p->last_use[op->output] : (uint32_t)i;
    int32_t input;
    for (size_t j = 0; (input = qb__operator_input(op, j)) != QB__NONE; j++)
      if (use > p->last_use[input])
        p->last_use[input] = use;
  }
}

/* Whether oneDNN has an operator: arithmetic of whole arrays, or of one that is repeated. */
static bool is_onednns(const qb__graph *graph, const qb__operator *op)
{
  switch (op->kind) {
  case QB__OP_ACTIVATION: return op->activation <= QB__ACTIVATION_MISH;
  case QB__OP_ADD:
  case QB__OP_SUBTRACT:
  case QB__OP_MULTIPLY:
  case QB__OP_DIVIDE:
    return !graph->tensors[op->input].constant &&
           graph->tensors[op->input].elements == graph->tensors[op->output].elements;
  case QB__OP_SELECT:
  case QB__OP_QUANTIZE:
  case QB__OP_DEQUANTIZE:
  case QB__OP_REDUCE:
  case QB__OP_ARG:
  case QB__OP_LAYER_NORM:
  case QB__OP_GROUP_NORM:
  case QB__OP_PICK: return false;
  default: return !qb__is_binary(op->kind);
  }
}

static qb_status add_by_kind(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  if (op->integer_limit != 0 && !qb__sums_fit_floats(p->graph, op))
    return qb__plan_integers(p, index);
  switch (op->kind) {
  case QB__OP_QUANTIZE:
  case QB__OP_DEQUANTIZE:
    return op->requantize.applies ? qb__plan_bytes(p, index) : qb__plan_own(p, index);
  case QB__OP_LRN:
  case QB__OP_AVERAGE_POOL:
    return op->requantize.applies ? qb__plan_bytewise(p, index) : add_operator(p, index);
  case QB__OP_FLATTEN: return add_flatten(p, index);
  case QB__OP_MATMUL: return qb__plan_matmul(p, index);
  case QB__OP_LINEAR: return qb__plan_linear(p, index);
  case QB__OP_CONCAT:
  case QB__OP_PAD:
  case QB__OP_TRANSPOSE: return qb__plan_rearrangement(p, index);
  default:
    return is_onednns(p->graph, op) && !is_by_channel(p, op) ? add_operator(p, index)
                                                             : qb__plan_own(p, index);
  }
}

static qb_status add_any(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  const qb__tensor *result = &p->graph->tensors[op->output];
  qb_status status = add_by_kind(p, index);
  if (!status && p->plan->slots[p->slot_of[op->output]].dims.type != result->type)
    status = qb__fail(QB_ERROR_ENGINE, "the result is of another type than its readers expect");
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
                               qb__findings *findings, qb__choice *choices, qb__packed *packed,
                               struct dnnl_engine *engine, struct dnnl_stream *stream,
                               qb__network_plan **plan)
{
  qb__planner p = {.context = graph->context,
                   .graph = graph,
                   .to_run = to_run,
                   .findings = findings,
                   .choices = choices,
                   .packed = packed,
                   .engine = engine,
                   .stream = stream};
  qb_status status = QB_ERROR_NO_MEMORY;
  p.plan = qb__calloc(p.context, 1, sizeof *p.plan);
  p.slot_of = qb__calloc(p.context, graph->tensor_count, sizeof *p.slot_of);
  p.last_use = qb__calloc(p.context, graph->tensor_count, sizeof *p.last_use);
  if (!p.plan || !p.slot_of || !p.last_use)
    goto done;
  p.plan->watches =
      qb__calloc(p.context, graph->input_count + graph->operator_count, sizeof *p.plan->watches);
  if (!p.plan->watches)
    goto done;
  p.plan->batch = batch;
  find_last_uses(&p);

  status = QB_OK;
  for (uint32_t i = 0; i < graph->input_count && !status; i++) {
    status = add_input(&p, i);
    if (!status)
      add_watch(&p, graph->inputs[i], QB__NONE);
  }
  for (uint32_t i = 0; i < graph->operator_count && !status; i++) {
    status = add_any(&p, i);
    if (!status)
      add_watch(&p, graph->operators[i].output, (int32_t)i);
  }
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
  for (size_t i = 0; i < plan->step_count; i++) {
    qb__primitive_free(plan->steps[i].primitive);
    qb__free(context, plan->steps[i].kernel);
  }
  for (size_t i = 0; i < plan->slot_count; i++)
    qb__layout_free(context, plan->slots[i].layout);
  qb__free(context, plan->steps);
  qb__free(context, plan->watches);
  qb__free(context, plan->slots);
  qb__free(context, plan);
}
