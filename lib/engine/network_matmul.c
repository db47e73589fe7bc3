/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices, on row-major slots. */
#include "engine/network_plan_impl.h"

#include <string.h>

/* All matrices of a slot, one below the other. */
static qb_status stack(qb__planner *p, int32_t *slot)
{
  const qb__dims whole = p->plan->slots[*slot].dims;
  qb__dims dims = {2, {1, whole.at[whole.count - 1]}};
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

/*
 * Where one second matrix serves all first ones these are stacked: a single large product, and
 * oneDNN 3.7.2 on several threads does not finish that of Nx1xMxK and 1x1xKxN.
 */
qb_status qb__plan_matmul(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  int32_t source = p->slot_of[op->input], second;
  qb__layout *layout = NULL;
  qb__made made;
  memset(&made, 0, sizeof made);
  qb_status status = qb__plan_operand(p, op->addend, &second);
  if (!status)
    status = qb__plan_plain(p, index, &source);
  if (!status)
    status = qb__plan_plain(p, index, &second);
  if (!status)
    status = qb__layout_plain(p->context, &dims, &layout);
  if (!status)
    status = qb__plan_result(p, op, layout);
  if (status)
    return status;
  int32_t destination = p->slot_of[op->output];
  if (is_one_matrix(&p->plan->slots[second].dims)) {
    status = stack(p, &source);
    if (!status)
      status = stack(p, &second);
    if (!status)
      status = stack(p, &destination);
    if (status)
      return status;
  }
  const qb__request request = {.op = op,
                               .source = p->plan->slots[source].layout,
                               .weights = p->plan->slots[second].layout,
                               .destination = p->plan->slots[destination].layout};
  status = qb__primitive_describe(p->context, p->engine, &request, &made);
  if (!status)
    status = qb__primitive_compile(&made);
  if (!status) {
    int32_t slots[QB__ARG_COUNT] = {QB__NONE, QB__NONE, QB__NONE, QB__NONE, QB__NONE, QB__NONE};
    slots[QB__ARG_SOURCE] = source;
    slots[QB__ARG_WEIGHTS] = second;
    slots[QB__ARG_DESTINATION] = destination;
    status =
        qb__plan_step(p, index, made.primitive, made.implementation, made.scratchpad_bytes, slots);
    made.primitive = NULL;
  }
  qb__made_clear(p->context, &made);
  return status;
}
