/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that only move elements: copies between parts of slots. */
#include "core/alloc.h"
#include "engine/network_plan_impl.h"

#include <string.h>

static qb_status add_part(qb__planner *p, int32_t whole, const qb__dims *dims,
                          const int64_t *offsets, int32_t *part)
{
  qb__layout *layout = NULL;
  qb_status status =
      qb__layout_part(p->context, p->plan->slots[whole].layout, dims, offsets, &layout);
  if (!status)
    status = qb__plan_view(p, whole, dims, layout, part);
  if (status)
    qb__layout_free(p->context, layout);
  return status;
}

/* Whether every input of a concat fills whole blocks of a layout. */
static bool parts_fit(const qb__planner *p, const qb__operator *op, const int32_t *inputs,
                      const qb__layout *layout)
{
  int64_t offsets[QB__ONEDNN_DIMS] = {0};
  for (size_t i = 0; i <= op->rest_count; i++) {
    const qb__dims *dims = &p->plan->slots[inputs[i]].dims;
    qb__layout *part = NULL;
    const qb_status status = qb__layout_part(p->context, layout, dims, offsets, &part);
    qb__layout_free(p->context, part);
    if (status)
      return false;
    offsets[1 + op->axis] += dims->at[1 + op->axis];
  }
  return true;
}

/* Where the inputs of a concat lie, constants repeated for each sample. */
static qb_status add_joined(qb__planner *p, uint32_t index, int32_t *inputs)
{
  const qb__operator *op = &p->graph->operators[index];
  qb_status status = QB_OK;
  for (size_t i = 0; i <= op->rest_count && !status; i++) {
    const int32_t tensor = qb__operator_input(op, i);
    const qb__dims dims = qb__plan_dims(&p->graph->tensors[tensor], p->plan->batch);
    status = qb__plan_operand(p, tensor, &inputs[i]);
    if (!status)
      status = qb__plan_repeated(p, index, &dims, &inputs[i]);
  }
  return status;
}

/* The layout of a concat: that of its first activation, or row-major where that cuts blocks. */
static qb_status joined_layout(const qb__planner *p, const qb__operator *op, const int32_t *inputs,
                               qb__layout **layout)
{
  size_t i = 0;
  while (i < op->rest_count && p->graph->tensors[qb__operator_input(op, i)].constant)
    i++;
  const qb__slot *first = &p->plan->slots[inputs[i]];
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  const qb_status status = qb__layout_like(p->context, first->layout, &first->dims, &dims, layout);
  if (status || parts_fit(p, op, inputs, *layout))
    return status;
  qb__layout_free(p->context, *layout);
  return qb__layout_plain(p->context, &dims, layout);
}

static qb_status concat(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  int32_t *inputs = qb__calloc(p->context, op->rest_count + 1, sizeof *inputs);
  if (!inputs)
    return QB_ERROR_NO_MEMORY;
  qb__layout *layout = NULL;
  qb_status status = add_joined(p, index, inputs);
  if (!status)
    status = joined_layout(p, op, inputs, &layout);
  if (!status)
    status = qb__plan_result(p, op, layout);
  int64_t offsets[QB__ONEDNN_DIMS] = {0};
  for (size_t i = 0; i <= op->rest_count && !status; i++) {
    const qb__dims part_dims = p->plan->slots[inputs[i]].dims;
    int32_t part;
    status = add_part(p, p->slot_of[op->output], &part_dims, offsets, &part);
    if (!status)
      status = qb__plan_copy(p, index, inputs[i], part);
    offsets[1 + op->axis] += part_dims.at[1 + op->axis];
  }
  qb__free(p->context, inputs);
  return status;
}

/* Values other than 0 must not get into the unused rest of blocks. */
static qb_status pad(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  int32_t source = p->slot_of[op->input], part;
  const qb__slot from = p->plan->slots[source];
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  qb__dims kept = from.dims;
  int64_t from_offsets[QB__ONEDNN_DIMS] = {0}, to_offsets[QB__ONEDNN_DIMS] = {0};
  bool whole = true;
  for (int i = 1; i < dims.count; i++) {
    const int64_t before = op->before[i - 1];
    from_offsets[i] = before < 0 ? -before : 0;
    to_offsets[i] = before < 0 ? 0 : before;
    const int64_t left = from.dims.at[i] - from_offsets[i], room = dims.at[i] - to_offsets[i];
    kept.at[i] = left < room ? left : room;
    whole = whole && kept.at[i] == dims.at[i];
  }
  qb__layout *layout = NULL, *test = NULL;
  qb_status status = QB_OK;
  bool blocks_fit = op->value == 0 || whole || qb__type_bytes(dims.type) == 1; /* no blocks */
  if (blocks_fit) {
    status = qb__layout_like(p->context, from.layout, &from.dims, &dims, &layout);
    if (!status) {
      blocks_fit = !qb__layout_part(p->context, layout, &kept, to_offsets, &test);
      qb__layout_free(p->context, test);
      test = NULL;
      blocks_fit =
          blocks_fit && !qb__layout_part(p->context, from.layout, &kept, from_offsets, &test);
      qb__layout_free(p->context, test);
    }
  }
  if (!status && !blocks_fit) {
    qb__layout_free(p->context, layout);
    layout = NULL;
    status = qb__layout_plain(p->context, &dims, &layout);
    if (!status)
      status = qb__plan_plain(p, index, &source);
  }
  if (status) {
    qb__layout_free(p->context, layout);
    return status;
  }
  status = qb__plan_result(p, op, layout);
  if (!status && !whole)
    status = qb__plan_fill(p, index, p->slot_of[op->output], op->value);
  if (!status)
    status = add_part(p, source, &kept, from_offsets, &source);
  if (!status)
    status = add_part(p, p->slot_of[op->output], &kept, to_offsets, &part);
  return status ? status : qb__plan_copy(p, index, source, part);
}

/* Whether elements lie in row-major order: where a dimension is 1, its stride does not matter. */
static bool is_row_major(const qb__layout *layout, const qb__dims *dims)
{
  qb__blocking b;
  int64_t stride = 1;
  bool ordered = qb__layout_blocking(layout, &b) && !b.inner_count;
  for (int d = dims->count; ordered && d-- > 0;) {
    ordered = dims->at[d] == 1 || b.strides[d] == stride;
    stride *= dims->at[d];
  }
  return ordered;
}

/* The same bytes: who reads them copies them where their order matters. */
static qb_status transpose(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  const int32_t source = p->slot_of[op->input];
  const qb__dims dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  uint32_t order[QB__ONEDNN_DIMS] = {0};
  for (int i = 1; i < dims.count; i++)
    order[i] = op->order[i - 1] + 1;
  qb__layout *layout = NULL;
  qb_status status =
      qb__layout_permuted(p->context, p->plan->slots[source].layout, dims.count, order, &layout);
  if (!status && is_row_major(layout, &dims)) {
    qb__layout_free(p->context, layout);
    layout = NULL;
    return qb__plan_plain_view(p, source, &dims, &p->slot_of[op->output]);
  }
  if (!status)
    status = qb__plan_view(p, source, &dims, layout, &p->slot_of[op->output]);
  if (status)
    qb__layout_free(p->context, layout);
  return status;
}

qb_status qb__plan_rearrangement(qb__planner *p, uint32_t index)
{
  const qb__operator *op = &p->graph->operators[index];
  return op->kind == QB__OP_CONCAT ? concat(p, index)
         : op->kind == QB__OP_PAD  ? pad(p, index)
                                   : transpose(p, index);
}
