/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that pick elements of constants by indices, which are constants, too. */
#include "model/onnx_fold.h"

#include <string.h>

/* Whether a value holds indices, none of which depends on an open batch. */
static bool are_indices(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *indices)
{
  if (qb__onnx_is_integer(indices))
    return qb__onnx_closed(im, node, indices);
  qb__onnx_problem(im, node, "its indices are not integers");
  return false;
}

/* An index from 0; false after a problem. */
static bool index_at(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *indices,
                     size_t i, int64_t size, size_t *index)
{
  const int64_t given = qb__onnx_int_at(indices, i), from_start = given < 0 ? given + size : given;
  *index = (size_t)from_start;
  if (from_start >= 0 && from_start < size)
    return true;
  qb__onnx_problem(im, node, "index %lld is out of range for a dimension of %lld", (long long)given,
                   (long long)size);
  return false;
}

static bool too_many_dims(qb__onnx *im, const qb__onnx_node *node, uint32_t rank)
{
  if (rank <= QB__ONNX_RANK)
    return false;
  qb__onnx_problem(im, node, "its result has %u dimensions; %d are supported", rank, QB__ONNX_RANK);
  return true;
}

void qb__onnx_fold_gather(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0), *indices = qb__onnx_input(node, 1);
  int64_t dims[2 * QB__ONNX_RANK];
  uint32_t axis;
  if (!are_indices(im, node, indices) ||
      !qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), x->rank, &axis))
    return;
  const uint32_t rank = x->rank + indices->rank - 1;
  memcpy(dims, x->dims, axis * sizeof *dims);
  memcpy(dims + axis, indices->dims, indices->rank * sizeof *dims);
  memcpy(dims + axis + indices->rank, x->dims + axis + 1, (x->rank - axis - 1) * sizeof *dims);
  if (too_many_dims(im, node, rank) || !qb__onnx_make_like(im, result, x, rank, dims) ||
      !result->elements)
    return;
  const size_t outer = qb__onnx_product(im, x, 0, axis);
  const size_t inner = qb__onnx_product(im, x, axis + 1, x->rank);
  const int64_t size = x->dims[axis];
  size_t index, to = 0;
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < indices->elements; i++) {
      if (!index_at(im, node, indices, i, size, &index))
        return;
      for (size_t n = 0; n < inner; n++)
        qb__onnx_copy(result, to++, x, (o * (size_t)size + index) * inner + n);
    }
}

void qb__onnx_fold_gather_elements(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0), *indices = qb__onnx_input(node, 1);
  uint32_t axis;
  qb__onnx_walk walk;
  if (!are_indices(im, node, indices) ||
      !qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), x->rank, &axis))
    return;
  bool fits = indices->rank == x->rank;
  for (uint32_t i = 0; fits && i < x->rank; i++)
    fits = i == axis || indices->dims[i] <= x->dims[i];
  if (!fits) {
    qb__onnx_problem(im, node, "its indices do not match its constant");
    return;
  }
  if (!qb__onnx_make_like(im, result, x, indices->rank, indices->dims))
    return;
  qb__onnx_walk_init(im, &walk, indices->rank, indices->dims);
  qb__onnx_strides(im, x, walk.strides[0]);
  const int64_t stride = walk.strides[0][axis];
  walk.strides[0][axis] = 0;
  for (size_t i = 0; i < result->elements; i++, qb__onnx_walk_next(&walk)) {
    size_t index;
    if (!index_at(im, node, indices, i, x->dims[axis], &index))
      return;
    qb__onnx_copy(result, i, x, (size_t)walk.index[0] + index * (size_t)stride);
  }
}

/* Where in x the tuple `i` of `length` indices points, behind its first `skip` dimensions. */
static bool tuple_at(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                     uint32_t skip, const qb__onnx_value *indices, size_t i, uint32_t length,
                     size_t *slice)
{
  *slice = 0;
  for (uint32_t d = 0; d < length; d++) {
    size_t index;
    if (!index_at(im, node, indices, i * length + d, x->dims[skip + d], &index))
      return false;
    *slice = *slice * (size_t)x->dims[skip + d] + index;
  }
  return true;
}

/* The length of the tuples that the last dimension of indices holds; false after a problem. */
static bool tuple_length(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                         const qb__onnx_value *indices, uint32_t skip, uint32_t *length)
{
  const int64_t last = indices->rank ? indices->dims[indices->rank - 1] : -1;
  bool fits = last >= 1 && last <= (int64_t)x->rank - skip && indices->rank > skip;
  for (uint32_t i = 0; fits && i < skip; i++)
    fits = indices->dims[i] == x->dims[i];
  *length = (uint32_t)last;
  if (!fits)
    qb__onnx_problem(im, node, "its indices do not match its constant");
  return fits;
}

/* The slices that tuples of indices pick, `skip` dimensions being the same in both. */
static void pick_slices(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                        uint32_t skip, const qb__onnx_value *indices, uint32_t length,
                        qb__onnx_value *result)
{
  const size_t inner = qb__onnx_product(im, x, skip + length, x->rank);
  const size_t outer = qb__onnx_product(im, x, 0, skip);
  const size_t tuples = indices->elements / length, each = tuples / outer;
  const size_t slices = x->elements / outer / inner;
  for (size_t i = 0; i < tuples; i++) {
    size_t slice;
    if (!tuple_at(im, node, x, skip, indices, i, length, &slice))
      return;
    for (size_t n = 0; n < inner; n++)
      qb__onnx_copy(result, i * inner + n, x, (i / each * slices + slice) * inner + n);
  }
}

void qb__onnx_fold_gather_nd(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0), *indices = qb__onnx_input(node, 1);
  const int64_t batch_dims = qb__onnx_int(node, "batch_dims");
  int64_t dims[2 * QB__ONNX_RANK];
  uint32_t length;
  if (batch_dims < 0 || batch_dims > x->rank) {
    qb__onnx_problem(im, node, "batch_dims is %lld", (long long)batch_dims);
    return;
  }
  const uint32_t skip = (uint32_t)batch_dims;
  if (!are_indices(im, node, indices) || !tuple_length(im, node, x, indices, skip, &length))
    return;
  const uint32_t before = indices->rank - 1, behind = x->rank - skip - length;
  memcpy(dims, indices->dims, before * sizeof *dims);
  memcpy(dims + before, x->dims + skip + length, behind * sizeof *dims);
  if (!too_many_dims(im, node, before + behind) &&
      qb__onnx_make_like(im, result, x, before + behind, dims) && result->elements)
    pick_slices(im, node, x, skip, indices, length, result);
}

/* Replaces the slices that tuples of indices point to. */
static void replace_slices(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *indices,
                           uint32_t length, const qb__onnx_value *updates, size_t inner,
                           qb__onnx_value *result)
{
  for (size_t i = 0; i < indices->elements / length; i++) {
    size_t slice;
    if (!tuple_at(im, node, result, 0, indices, i, length, &slice))
      return;
    for (size_t n = 0; n < inner; n++)
      qb__onnx_copy(result, slice * inner + n, updates, i * inner + n);
  }
}

void qb__onnx_fold_scatter_nd(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0), *indices = qb__onnx_input(node, 1);
  const qb__onnx_value *updates = qb__onnx_input(node, 2);
  uint32_t length;
  if (im->opset >= 16 && !qb__onnx_text_is(node, "reduction", "none")) {
    qb__onnx_problem(im, node, "scattering constants with a reduction is not supported");
    return;
  }
  if (!are_indices(im, node, indices) || !tuple_length(im, node, x, indices, 0, &length))
    return;
  const size_t inner = qb__onnx_product(im, x, length, x->rank);
  size_t needed;
  if (updates->type != x->type ||
      __builtin_mul_overflow(indices->elements / length, inner, &needed) ||
      updates->elements != needed) {
    qb__onnx_problem(im, node, "its updates do not match its constant and indices");
    return;
  }
  if (!qb__onnx_make(im, result, x->type, x->rank, x->dims) ||
      ((x->open || updates->open) && !qb__onnx_may_open(im, result)))
    return;
  for (size_t i = 0; i < x->elements; i++)
    qb__onnx_copy(result, i, x, i);
  replace_slices(im, node, indices, length, updates, inner, result);
}
