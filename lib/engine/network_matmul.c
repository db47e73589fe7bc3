/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices and linear layers, on row-major slots. */
#include "engine/network_plan_impl.h"

#include <string.h>

/* All matrices of a slot, one below the other. */
static qb_status stack(qb__planner *p, int32_t *slot)
{
  const qb__dims whole = p->plan->slots[*slot].dims;
  qb__dims dims = {2, {1, whole.at[whole.count - 1]}, whole.type};
  for (int i = 0; i + 1 < whole.count; i++)
    dims.at[0] *= whole.at[i];
  return qb__plan_plain_view(p, *slot, &dims, slot);
}

static bool is_one_matrix(const qb__dims *dims)
{
  for (int i = 0; i + 2 < dims->count; i++)
    if (dims->at[i] != 1)
      return false;
  return true;
}

/* Both matrices and the result, of which only the matrices need not be row-major. */
static qb_status add_matrices(qb__planner *p, const qb__operator *op, int32_t *source,
                              int32_t *second, int32_t *destination)
{
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  qb__layout *layout = NULL;
  qb_status status = qb__plan_operand(p, op->input, source);
  if (!status)
    status = qb__plan_operand(p, op->addend, second);
  if (!status)
    status = qb__layout_plain(p->context, &dims, &layout);
  if (!status)
    status = qb__plan_result(p, op, layout);
  *destination = p->slot_of[op->output];
  return status;
}

/* Row-major matrices, the first ones as many as results. */
static qb_status make_plain(qb__planner *p, uint32_t index, int32_t destination, int32_t *source,
                            int32_t *second)
{
  qb_status status = qb__plan_plain(p, index, source);
  if (!status)
    status = qb__plan_plain(p, index, second);
  const qb__slot *slots = p->plan->slots;
  qb__dims each = slots[destination].dims;
  for (int i = each.count - 2; i < each.count; i++)
    each.at[i] = slots[*source].dims.at[i];
  return status ? status : qb__plan_repeated(p, index, &each, source);
}

static qb_status describe(qb__planner *p, uint32_t index, int32_t source, int32_t second,
                          int32_t destination, qb__primitive *primitive)
{
  const qb__primitive_spec spec = {.op = &p->graph->operators[index],
                                   .findings = p->findings,
                                   .source = p->plan->slots[source].layout,
                                   .weights = p->plan->slots[second].layout,
                                   .destination = p->plan->slots[destination].layout};
  return qb__primitive_describe(p->context, p->engine, &spec, primitive);
}

/*
 * As the matrices lie, if oneDNN has more than plain loops for that. Where one second matrix serves
 * all first ones these are stacked: a single large product.
 */
qb_status qb__plan_matmul(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  int32_t source, second, destination;
  qb__primitive primitive;
  memset(&primitive, 0, sizeof primitive);
  qb_status status = add_matrices(p, op, &source, &second, &destination);
  if (status)
    return status;
  bool found = !is_one_matrix(&p->plan->slots[second].dims) &&
               !describe(p, index, source, second, destination, &primitive) &&
               !qb__is_slow(&primitive);
  if (!found) {
    qb__primitive_clear(p->context, &primitive);
    status = make_plain(p, index, destination, &source, &second);
    if (!status && is_one_matrix(&p->plan->slots[second].dims)) {
      status = stack(p, &source);
      if (!status)
        status = stack(p, &second);
      if (!status)
        status = stack(p, &destination);
    }
    if (!status)
      status = describe(p, index, source, second, destination, &primitive);
  }
  int32_t slots[QB__ARG_COUNT];
  memcpy(slots, qb__no_slots, sizeof slots);
  slots[QB__ARG_SOURCE] = source;
  slots[QB__ARG_WEIGHTS] = second;
  slots[QB__ARG_DESTINATION] = destination;
  if (!status)
    status = qb__plan_layer(p, index, &primitive, slots);
  qb__primitive_clear(p->context, &primitive);
  return status;
}

/* Where the result of a linear layer goes: over its addend, or a copy of it, where there is one. */
static qb_status place_rows(qb__planner *p, uint32_t index, int32_t source, int32_t *slot)
{
  const qb__operator *op = &p->graph->operators[index];
  qb__layout *plain = NULL;
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  qb_status status = qb__layout_plain(p->context, &dims, &plain);
  if (status)
    return status;
  if (op->addend == QB__NONE) {
    status = qb__plan_result(p, op, plain);
    *slot = p->slot_of[op->output];
    return status;
  }
  status = qb__plan_operand(p, op->addend, slot);
  if (!status && !qb__plan_may_overwrite(p, index, op->addend, *slot, source, plain))
    status = qb__plan_reorder(p, index, QB__SLOT_ARENA, plain, *slot, slot);
  qb__layout_free(p->context, plain);
  p->slot_of[op->output] = *slot;
  return status;
}

/* A dense layer of the rows of all samples, one below the other. */
qb_status qb__plan_linear(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  int32_t source = p->slot_of[op->input], destination = QB__NONE;
  qb__primitive primitive;
  memset(&primitive, 0, sizeof primitive);
  const bool halves = p->graph->tensors[op->weights].type == QB__TYPE_BF16;
  qb_status status = (halves ? qb__plan_plain_halves : qb__plan_plain)(p, index, &source);
  if (!status)
    status = place_rows(p, index, source, &destination);
  if (!status)
    status = stack(p, &source);
  if (!status)
    status = stack(p, &destination);
  if (!status)
    status = qb__layer_choose(p, index, source, op->addend == QB__NONE ? QB__NONE : destination,
                              destination, &primitive);
  if (!status) {
    int32_t slots[QB__ARG_COUNT];
    memcpy(slots, qb__no_slots, sizeof slots);
    slots[QB__ARG_SOURCE] = source;
    slots[QB__ARG_DESTINATION] = destination;
    status = qb__plan_layer(p, index, &primitive, slots);
  }
  qb__primitive_clear(p->context, &primitive);
  return status;
}
