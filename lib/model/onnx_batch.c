/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the batch lies. Networks move it about: transformers put it second, join it with their
 * heads, windows or positions, and take it apart again. Dimension `batch_axis` of an activation is
 * outer * batch * inner; element (o * batch + b) * inner + i along it belongs to sample b. The
 * graph's tensor has outer * inner there, or no dimension at all where that is 1. A node that would
 * join elements of different samples ends the attempt. What a node computes of each sample but the
 * file has no batch dimension for, as the range of a DynamicQuantizeLinear, has an outer of 0.
 */
#include "core/checked.h"
#include "core/error.h"
#include "model/onnx_constant.h"
#include "model/onnx_map.h"

#include <string.h>

qb__onnx_shape qb__onnx_shape_of(const qb__onnx_value *x)
{
  qb__onnx_shape shape = {
      .rank = x->rank, .batch_axis = x->batch_axis, .batch_outer = x->batch_outer};
  memcpy(shape.dims, x->dims, x->rank * sizeof *x->dims);
  return shape;
}

/* Elements of one sample in the dimension of the batch. */
static int64_t multiple(const qb__onnx *im, const qb__onnx_shape *shape)
{
  return shape->dims[shape->batch_axis] / im->batch;
}

/* Whether the graph's tensors of a shape have no dimension for the batch. */
static bool drops_axis(const qb__onnx *im, const qb__onnx_shape *shape)
{
  return im->batched && shape->batch_outer && multiple(im, shape) == 1;
}

uint32_t qb__onnx_sample(const qb__onnx *im, const qb__onnx_shape *shape, int64_t *sample)
{
  const bool drop = drops_axis(im, shape);
  uint32_t rank = 0;
  for (uint32_t i = 0; i < shape->rank; i++)
    if (!qb__onnx_is_batch(im, shape, i))
      sample[rank++] = shape->dims[i];
    else if (!drop)
      sample[rank++] = multiple(im, shape);
  if (!rank)
    sample[rank++] = 1;
  return rank;
}

uint32_t qb__onnx_sample_axis(const qb__onnx *im, const qb__onnx_shape *shape, uint32_t axis)
{
  return axis - (drops_axis(im, shape) && axis > shape->batch_axis ? 1 : 0);
}

bool qb__onnx_is_batch(const qb__onnx *im, const qb__onnx_shape *shape, uint32_t axis)
{
  return im->batched && shape->batch_outer && axis == shape->batch_axis;
}

bool qb__onnx_within(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x, int64_t axis,
                     uint32_t *result)
{
  const qb__onnx_shape shape = qb__onnx_shape_of(x);
  if (!qb__onnx_axis(im, node, axis, x->rank, result))
    return false;
  if (!qb__onnx_is_batch(im, &shape, *result))
    return true;
  qb__onnx_mixing(im, node);
  return false;
}

bool qb__onnx_is_image(const qb__onnx *im, const qb__onnx_value *x)
{
  const qb__onnx_shape shape = qb__onnx_shape_of(x);
  return x->rank &&
         (im->batched ? x->batch_axis == 0 && multiple(im, &shape) == 1 : x->dims[0] == 1);
}

/*
 * How good a guess a place for the batch is. With an open batch, or one of a size that nothing else
 * has, there is but one; with a batch of 1 there may be several, of which all are right, but some
 * end in a node that joins samples. The batch alone is best; then its old place in as many
 * dimensions.
 */
static int likeliness(const qb__onnx *im, const qb__onnx_shape *from, const qb__onnx_shape *to,
                      uint32_t axis, int64_t outer)
{
  return to->dims[axis] == im->batch && outer == 1            ? 3
         : to->rank == from->rank && axis == from->batch_axis ? 2
                                                              : 1;
}

bool qb__onnx_find_batch(const qb__onnx *im, const qb__onnx_shape *from, qb__onnx_shape *to)
{
  int64_t before = 1, wanted = from->batch_outer;
  int best = 0;
  if (!im->batched)
    return true;
  for (uint32_t i = 0; i < from->batch_axis; i++)
    wanted *= from->dims[i];
  for (uint32_t i = 0; i < to->rank && before <= wanted; i++) {
    const int64_t outer = wanted / before;
    if (wanted % before == 0 && to->dims[i] > 0 && to->dims[i] % im->batch == 0 &&
        to->dims[i] / im->batch % outer == 0 && likeliness(im, from, to, i, outer) > best) {
      best = likeliness(im, from, to, i, outer);
      to->batch_axis = i;
      to->batch_outer = outer;
    }
    if (!qb__mul_i64(before, to->dims[i], &before) || before == 0)
      break;
  }
  return best > 0;
}

/*
 * The dimension of an input that meets dimension `axis` of a result of `rank`; 1 where it has none.
 */
static int64_t aligned(const qb__onnx_value *x, uint32_t rank, uint32_t axis)
{
  const uint32_t missing = rank - x->rank;
  return axis < missing ? 1 : x->dims[axis - missing];
}

/* Whether what has no batch is the same for each sample, and repeated along no other dimension. */
static bool is_same_in_all(const qb__onnx *im, const qb__onnx_value *c, const qb__onnx_shape *out)
{
  for (uint32_t d = 0; d < out->rank; d++) {
    const int64_t there = aligned(c, out->rank, d);
    if (d == out->batch_axis ? there != 1 && im->batch != 1 && !qb__onnx_is_open(im, there)
                             : qb__onnx_is_open(im, there))
      return false;
  }
  return true;
}

/* Whether an activation has the batch among its dimensions. */
static bool has_batch(const qb__onnx_value *x)
{
  return x->kind == QB__ONNX_ACTIVATION && x->batch_outer;
}

/* Where the batch of inputs that are aligned to the right lies; false where they do not agree. */
static bool agree(const qb__onnx *im, qb__onnx_value *const *values, size_t count,
                  qb__onnx_shape *out)
{
  const qb__onnx_value *first = NULL;
  for (size_t i = 0; i < count; i++) {
    const qb__onnx_value *x = values[i];
    if (!has_batch(x))
      continue;
    const uint32_t axis = out->rank - x->rank + x->batch_axis;
    if (first &&
        (axis != out->batch_axis || ((x->dims[x->batch_axis] != first->dims[first->batch_axis] ||
                                      x->batch_outer != first->batch_outer) &&
                                     im->batch != 1)))
      return false;
    out->batch_axis = axis;
    out->batch_outer = x->batch_outer;
    first = x;
  }
  for (size_t i = 0; i < count; i++)
    if (!has_batch(values[i]) && first && !is_same_in_all(im, values[i], out))
      return false;
  for (size_t i = 0; !first && i < count; i++)
    if (values[i]->kind == QB__ONNX_CONSTANT && qb__onnx_is_repeated(im, values[i]))
      return false;
  out->batch_outer = first ? out->batch_outer : 0;
  return true;
}

static bool broadcast(qb__onnx_value *const *values, size_t count, uint32_t tail,
                      qb__onnx_shape *out)
{
  for (uint32_t d = 0; d + tail < out->rank; d++) {
    out->dims[d] = 1;
    for (size_t i = 0; i < count; i++) {
      const int64_t there = aligned(values[i], out->rank, d);
      if (there != out->dims[d] && there != 1 && out->dims[d] != 1)
        return false;
      out->dims[d] = there == 1 ? out->dims[d] : there;
    }
  }
  return true;
}

/* One input as a tensor of the graph of as many dimensions as the result has. */
static int32_t operand(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *x,
                       const qb__onnx_shape *out)
{
  int64_t dims[QB__ONNX_RANK];
  const bool drop = drops_axis(im, out);
  uint32_t rank = 0;
  for (uint32_t d = 0; d < out->rank; d++) {
    const bool batch = qb__onnx_is_batch(im, out, d);
    int64_t there = qb__onnx_stored(im, aligned(x, out->rank, d));
    if (batch && has_batch(x))
      there = aligned(x, out->rank, d) / im->batch;
    if (!batch || !drop)
      dims[rank++] = there;
  }
  if (!rank)
    dims[rank++] = 1;
  if (x->kind == QB__ONNX_CONSTANT)
    return qb__onnx_constant(im, x, rank, dims);
  if (im->graph->tensors[x->tensor].rank == rank)
    return x->tensor;
  return qb__graph_reshape(im->graph, node->label, x->tensor, rank, dims);
}

bool qb__onnx_align(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *const *values,
                    size_t count, uint32_t tail, qb__onnx_shape *out, int32_t *tensors)
{
  out->rank = out->batch_axis = 0;
  out->batch_outer = 1;
  for (size_t i = 0; i < count; i++)
    out->rank = values[i]->rank > out->rank ? values[i]->rank : out->rank;
  if (im->batched && (!agree(im, values, count, out) ||
                      (out->batch_outer && out->batch_axis + tail >= out->rank))) {
    qb__onnx_mixing(im, node);
    return false;
  }
  if (!broadcast(values, count, tail, out)) {
    qb__onnx_problem(im, node, "the shapes of its inputs are incompatible");
    return false;
  }
  for (uint32_t d = out->rank - tail; d < out->rank; d++)
    out->dims[d] = aligned(values[0], out->rank, d);
  for (size_t i = 0; i < count && !im->graph->status; i++)
    tensors[i] = operand(im, node, values[i], out);
  return !im->graph->status;
}
