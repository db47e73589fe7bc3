/* SPDX-License-Identifier: Apache-2.0 */
/* Building: operators that move elements. */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "model/graph_impl.h"

#include <string.h>

int32_t qb__graph_concat(qb__graph *graph, const char *name, const int32_t *inputs, size_t count,
                         uint32_t axis)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *first = &graph->tensors[inputs[0]];
  int64_t dims[QB_MAX_DIMS];
  memcpy(dims, first->dims, sizeof dims);
  for (size_t i = 0; i < count; i++) {
    const qb__tensor *t = &graph->tensors[inputs[i]];
    bool fits = t->rank == first->rank && axis < t->rank;
    for (uint32_t d = 0; fits && d < t->rank; d++)
      fits = d == axis || t->dims[d] == first->dims[d];
    if (!fits || (i && __builtin_add_overflow(dims[axis], t->dims[axis], &dims[axis])))
      return qb__graph_wrong_shape(graph, name, "input", inputs[i],
                                   "the shape of the first, but for the axis");
  }
  qb__operator op = qb__operator_blank(QB__OP_CONCAT, inputs[0]);
  op.axis = axis;
  op.rest_count = count - 1;
  op.rest = qb__calloc(graph->context, op.rest_count, sizeof *op.rest);
  if (!op.rest)
    return qb__graph_fail(graph, QB_ERROR_NO_MEMORY);
  memcpy(op.rest, inputs + 1, op.rest_count * sizeof *op.rest);
  return qb__graph_append(graph, name, op, first->rank, dims);
}

int32_t qb__graph_pad(qb__graph *graph, const char *name, int32_t x, const int64_t *before,
                      const int64_t *after, float value)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x];
  int64_t dims[QB_MAX_DIMS];
  bool fits = true;
  for (uint32_t i = 0; fits && i < in->rank; i++)
    fits = before[i] > -in->dims[i] && after[i] > -in->dims[i] &&
           !__builtin_add_overflow(in->dims[i], before[i], &dims[i]) &&
           !__builtin_add_overflow(dims[i], after[i], &dims[i]) && before[i] < dims[i] &&
           after[i] < dims[i]; /* something of the input is left */
  if (!fits)
    return qb__graph_wrong_shape(graph, name, "input", x, "more elements than are cut off");
  qb__operator op = qb__operator_blank(QB__OP_PAD, x);
  memcpy(op.before, before, in->rank * sizeof *before);
  op.value = value;
  return qb__graph_append(graph, name, op, in->rank, dims);
}

/* Copies of what a pick goes by. */
static bool keep_taps(const qb_context *context, qb__operator *op, size_t count,
                      const int64_t *indices, const float *factors)
{
  op->indices = qb__calloc(context, count, sizeof *indices);
  op->factors = factors ? qb__calloc(context, count, sizeof *factors) : NULL;
  if (!op->indices || (factors && !op->factors)) {
    qb__operator_clear(context, op);
    return false;
  }
  memcpy(op->indices, indices, count * sizeof *indices);
  if (factors)
    memcpy(op->factors, factors, count * sizeof *factors);
  return true;
}

int32_t qb__graph_pick(qb__graph *graph, const char *name, int32_t x, uint32_t axis, int64_t count,
                       uint32_t taps, const int64_t *indices, const float *factors, float value)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x];
  int64_t total = 0;
  bool fits = axis < in->rank && count >= 1 && taps >= 1 && qb__mul_i64(count, taps, &total);
  for (int64_t i = 0; fits && i < total; i++)
    fits = indices[i] >= -1 && indices[i] < in->dims[axis];
  if (!fits)
    return qb__graph_wrong_shape(graph, name, "input", x, "the elements that are picked");
  int64_t dims[QB_MAX_DIMS];
  memcpy(dims, in->dims, sizeof dims);
  dims[axis] = count;
  qb__operator op = qb__operator_blank(QB__OP_PICK, x);
  op.axis = axis;
  op.taps = taps;
  op.value = value;
  return keep_taps(graph->context, &op, (size_t)total, indices, factors)
             ? qb__graph_append(graph, name, op, in->rank, dims)
             : qb__graph_fail(graph, QB_ERROR_NO_MEMORY);
}

int32_t qb__graph_transpose(qb__graph *graph, const char *name, int32_t x, const uint32_t *order)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x];
  qb__operator op = qb__operator_blank(QB__OP_TRANSPOSE, x);
  int64_t dims[QB_MAX_DIMS];
  uint32_t seen = 0;
  for (uint32_t i = 0; i < in->rank; i++) {
    if (order[i] >= in->rank || seen >> order[i] & 1)
      return qb__graph_wrong_shape(graph, name, "input", x, "each dimension once in the order");
    seen |= UINT32_C(1) << order[i];
    op.order[i] = order[i];
    dims[i] = in->dims[order[i]];
  }
  return qb__graph_append(graph, name, op, in->rank, dims);
}

int32_t qb__graph_reshape(qb__graph *graph, const char *name, int32_t x, uint32_t rank,
                          const int64_t *dims)
{
  if (graph->status)
    return QB__NONE;
  int64_t elements = 1;
  for (uint32_t i = 0; i < rank; i++)
    if (!qb__mul_i64(elements, dims[i], &elements))
      elements = -1;
  if (elements < 0 || (size_t)elements != graph->tensors[x].elements)
    return qb__graph_wrong_shape(graph, name, "input", x, "as many elements as the new shape");
  return qb__graph_append(graph, name, qb__operator_blank(QB__OP_FLATTEN, x), rank, dims);
}

int32_t qb__graph_flatten(qb__graph *graph, const char *name, int32_t x)
{
  if (graph->status)
    return QB__NONE;
  const int64_t dims[1] = {(int64_t)graph->tensors[x].elements};
  return qb__graph_reshape(graph, name, x, 1, dims);
}
