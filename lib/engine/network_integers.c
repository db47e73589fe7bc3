/* SPDX-License-Identifier: Apache-2.0 */
/* Layers and products of integers whose sums 32-bit floats do not hold, on row-major slots. */
#include "engine/network_plan_impl.h"

#include <string.h>

/* The weights of a layer as one row of all outputs for each input. */
static qb_status add_weights(qb__planner *p, const qb__operator *op, int32_t *slot)
{
  static const uint32_t turn[2] = {1, 0};
  const qb__tensor *w = &p->graph->tensors[op->weights];
  const int64_t inputs = (int64_t)w->elements / w->dims[0];
  const qb__dims dims = {2, {w->dims[0], inputs}}, turned = {2, {inputs, w->dims[0]}};
  qb__layout *rows = NULL, *columns = NULL;
  qb_status status = qb__layout_plain(p->context, &turned, &rows);
  if (!status)
    status = qb__layout_permuted(p->context, rows, 2, turn, &columns);
  if (!status)
    status = qb__plan_constant(p, op->weights, &dims, columns, slot);
  qb__layout_free(p->context, rows);
  qb__layout_free(p->context, columns);
  return status;
}

static qb_status add_bias(qb__planner *p, const qb__operator *op, int32_t *slot)
{
  return op->bias == QB__NONE ? QB_OK : qb__plan_operand(p, op->bias, slot);
}

static qb_status add_second(qb__planner *p, uint32_t index, const qb__operator *op, int32_t *slot)
{
  const qb_status status = qb__plan_operand(p, op->addend, slot);
  return status ? status : qb__plan_plain(p, index, slot);
}

qb_status qb__plan_integers(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  const bool product = op->kind == QB__OP_MATMUL;
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  qb__kernel *kernel = NULL;
  qb__layout *layout = NULL;
  int32_t slots[QB__ARG_COUNT];
  memcpy(slots, qb__no_slots, sizeof slots);
  qb_status status = qb__plan_operand(p, op->input, &slots[QB__ARG_SOURCE]);
  if (!status)
    status = qb__plan_plain(p, index, &slots[QB__ARG_SOURCE]);
  if (!status)
    status = product ? add_second(p, index, op, &slots[QB__ARG_WEIGHTS])
                     : add_weights(p, op, &slots[QB__ARG_WEIGHTS]);
  if (!status)
    status = add_bias(p, op, &slots[QB__ARG_BIAS]);
  if (!status)
    status = qb__layout_plain(p->context, &dims, &layout);
  if (!status)
    status = qb__plan_result(p, op, layout);
  if (status)
    return status;
  slots[QB__ARG_DESTINATION] = p->slot_of[op->output];
  const qb__slot *s = p->plan->slots;
  status = product ? qb__kernel_integer_matmul(p->context, &s[slots[QB__ARG_SOURCE]].dims,
                                               &s[slots[QB__ARG_WEIGHTS]].dims, &dims, &kernel)
                   : qb__kernel_integer_layer(p->context, p->graph, op, p->plan->batch, &kernel);
  return status ? status : qb__plan_kernel(p, index, kernel, "own", slots);
}
