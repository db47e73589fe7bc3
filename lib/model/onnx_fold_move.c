/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that only move elements of constants, marks included. */
#include "model/onnx_fold.h"

#include "core/checked.h"
#include "model/onnx_shape.h"

#include <string.h>

/* The same data in another shape; they move where nothing else reads them. */
static void give_shape(qb__onnx *im, qb__onnx_value *x, qb__onnx_value *result, uint32_t rank,
                       const int64_t *dims)
{
  if (x->owned && x->uses == 1) {
    result->kind = QB__ONNX_CONSTANT;
    result->type = x->type;
    result->rank = rank;
    memmove(result->dims, dims, rank * sizeof *dims);
    result->elements = x->elements;
    result->data = x->data;
    result->open = x->open;
    result->owned = true;
    x->owned = false;
    x->data = NULL;
    x->open = NULL;
    x->kind = QB__ONNX_UNKNOWN;
  } else if (qb__onnx_make_like(im, result, x, rank, dims) && x->elements) {
    memcpy(result->data, x->data, x->elements * qb__onnx_width(x->type));
    if (x->open)
      memcpy(result->open, x->open, x->elements);
  }
}

void qb__onnx_fold_identity(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  qb__onnx_value *x = qb__onnx_input(node, 0);
  give_shape(im, x, result, x->rank, x->dims);
}

/* Whether a shape keeps what is repeated along the batch as one dimension, the first. */
static bool keeps_repeated(const qb__onnx *im, const qb__onnx_value *x, uint32_t rank,
                           const int64_t *dims)
{
  for (uint32_t i = 1; i < x->rank; i++)
    if (qb__onnx_is_open(im, x->dims[i]))
      return false;
  for (uint32_t i = 1; i < rank; i++)
    if (qb__onnx_is_open(im, dims[i]))
      return false;
  return rank && x->rank && dims[0] == x->dims[0];
}

/* Dimensions that `regroup` are split and merged; else only those of 1 come and go. */
static void reshaped(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result,
                     qb__onnx_reshaping *shape_of, bool regroup)
{
  qb__onnx_value *x = qb__onnx_input(node, 0);
  uint32_t rank;
  int64_t dims[QB__ONNX_RANK];
  if (!shape_of(im, node, x, &rank, dims))
    return;
  if (regroup && qb__onnx_is_repeated(im, x) && !keeps_repeated(im, x, rank, dims))
    qb__onnx_open_problem(im, node);
  else
    give_shape(im, x, result, rank, dims);
}

void qb__onnx_fold_reshape(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  reshaped(im, node, result, qb__onnx_shape_reshape, true);
}

void qb__onnx_fold_flatten(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  reshaped(im, node, result, qb__onnx_shape_flatten, true);
}

void qb__onnx_fold_squeeze(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  reshaped(im, node, result, qb__onnx_shape_squeeze, false);
}

void qb__onnx_fold_unsqueeze(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  reshaped(im, node, result, qb__onnx_shape_unsqueeze, false);
}

/* The elements that a walk finds in x from an index on. */
static void take(qb__onnx_value *result, const qb__onnx_value *x, int64_t from, qb__onnx_walk *walk)
{
  for (size_t i = 0; i < result->elements; i++, qb__onnx_walk_next(walk))
    qb__onnx_copy(result, i, x, (size_t)(from + walk->index[0]));
}

void qb__onnx_fold_transpose(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  uint32_t order[QB__ONNX_RANK];
  int64_t dims[QB__ONNX_RANK], strides[QB__ONNX_RANK];
  qb__onnx_walk walk;
  if (!qb__onnx_order(im, node, x->rank, order))
    return;
  for (uint32_t i = 0; i < x->rank; i++)
    dims[i] = x->dims[order[i]];
  if (!qb__onnx_make_like(im, result, x, x->rank, dims))
    return;
  qb__onnx_walk_init(im, &walk, x->rank, dims);
  qb__onnx_strides(im, x, strides);
  for (uint32_t i = 0; i < x->rank; i++)
    walk.strides[0][i] = strides[order[i]];
  take(result, x, 0, &walk);
}

void qb__onnx_fold_expand(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  qb__onnx_value target = {.rank = 0};
  const int count = qb__onnx_dims_input(im, node, "shape", 1, target.dims, QB__ONNX_RANK);
  const qb__onnx_value *const values[2] = {x, &target};
  uint32_t rank;
  int64_t dims[QB__ONNX_RANK];
  qb__onnx_walk walk;
  if (count < 0)
    return;
  target.rank = (uint32_t)count;
  bool fits = true;
  for (int i = 0; i < count; i++)
    fits = fits && target.dims[i] >= 0;
  if (!fits || !qb__onnx_broadcast(values, 2, &rank, dims)) {
    qb__onnx_problem(im, node, "its constant does not match the requested shape");
    return;
  }
  if (!qb__onnx_make_like(im, result, x, rank, dims))
    return;
  qb__onnx_walk_init(im, &walk, rank, dims);
  qb__onnx_walk_repeat(im, &walk, 0, x);
  take(result, x, 0, &walk);
}

/* Repeats along a dimension of 1 may be as many as an open batch has samples. */
void qb__onnx_fold_tile(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  int64_t repeats[QB__ONNX_RANK], dims[QB__ONNX_RANK], strides[QB__ONNX_RANK];
  const int count = qb__onnx_dims_input(im, node, "repeats", 1, repeats, QB__ONNX_RANK);
  qb__onnx_walk walk;
  if (count < 0)
    return;
  for (uint32_t i = 0; i < x->rank; i++) {
    if (count != (int)x->rank || repeats[i] < 0 || !qb__mul_i64(x->dims[i], repeats[i], &dims[i])) {
      qb__onnx_problem(im, node, "it needs one repeat for each of %u dimensions", x->rank);
      return;
    }
    if (qb__onnx_is_open(im, repeats[i]) && x->dims[i] != 1) {
      qb__onnx_open_problem(im, node);
      return;
    }
  }
  if (!qb__onnx_make_like(im, result, x, x->rank, dims))
    return;
  qb__onnx_walk_init(im, &walk, x->rank, dims);
  qb__onnx_strides(im, x, strides);
  for (size_t i = 0; i < result->elements; i++, qb__onnx_walk_next(&walk)) {
    int64_t from = 0;
    for (uint32_t d = 0; d < x->rank; d++)
      from += walk.at[d] % x->dims[d] * strides[d];
    qb__onnx_copy(result, i, x, (size_t)from);
  }
}

/* The shape of what is joined along an axis. */
static bool joined(qb__onnx *im, const qb__onnx_node *node, uint32_t axis, int64_t *dims,
                   bool *open)
{
  const qb__onnx_value *first = node->inputs[0];
  memcpy(dims, first->dims, sizeof first->dims);
  dims[axis] = 0;
  *open = false;
  for (size_t n = 0; n < node->input_count; n++) {
    const qb__onnx_value *v = node->inputs[n];
    bool fits = v->rank == first->rank && v->type == first->type;
    for (uint32_t d = 0; fits && d < v->rank; d++)
      fits = d == axis ? !qb__onnx_is_open(im, v->dims[d]) : v->dims[d] == first->dims[d];
    if (!fits || __builtin_add_overflow(dims[axis], v->dims[axis], &dims[axis])) {
      qb__onnx_problem(im, node, "the shapes or types of its inputs are incompatible");
      return false;
    }
    *open = *open || v->open;
  }
  return true;
}

void qb__onnx_fold_concat(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *first = qb__onnx_input(node, 0);
  int64_t dims[QB__ONNX_RANK];
  uint32_t axis;
  bool open;
  if (!qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), first->rank, &axis) ||
      !joined(im, node, axis, dims, &open) ||
      !qb__onnx_make(im, result, first->type, first->rank, dims) ||
      (open && !qb__onnx_may_open(im, result)) || !result->elements)
    return;
  const size_t outer = qb__onnx_product(im, result, 0, axis);
  size_t to = 0;
  for (size_t o = 0; o < outer; o++)
    for (size_t n = 0; n < node->input_count; n++) {
      const qb__onnx_value *v = node->inputs[n];
      const size_t inner = v->elements / outer;
      for (size_t i = 0; i < inner; i++)
        qb__onnx_copy(result, to++, v, o * inner + i);
    }
}

/* The part of x that has `ranges` along its axes. */
static void cut(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                const qb__onnx_range *ranges, qb__onnx_value *result)
{
  int64_t dims[QB__ONNX_RANK], strides[QB__ONNX_RANK], from = 0;
  qb__onnx_walk walk;
  for (uint32_t i = 0; i < x->rank; i++) {
    dims[i] = ranges[i].count;
    if (qb__onnx_is_open(im, x->dims[i]) && (dims[i] != x->dims[i] || ranges[i].step < 0)) {
      qb__onnx_open_problem(im, node);
      return;
    }
  }
  if (!qb__onnx_make_like(im, result, x, x->rank, dims) || !result->elements)
    return;
  qb__onnx_walk_init(im, &walk, x->rank, dims);
  qb__onnx_strides(im, x, strides);
  for (uint32_t i = 0; i < x->rank; i++) {
    from += strides[i] * ranges[i].start;
    walk.strides[0][i] = ranges[i].count > 1 ? strides[i] * ranges[i].step : 0;
  }
  take(result, x, from, &walk);
}

void qb__onnx_fold_slice(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  qb__onnx_range ranges[QB__ONNX_RANK];
  if (qb__onnx_slice(im, node, x, ranges))
    cut(im, node, x, ranges, result);
}

void qb__onnx_fold_split(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  const size_t problems = im->problem_count;
  qb__onnx_range ranges[QB__ONNX_RANK];
  uint32_t axis;
  if (!qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), x->rank, &axis))
    return;
  for (uint32_t i = 0; i < x->rank; i++)
    ranges[i] = (qb__onnx_range){0, 1, x->dims[i]};
  int64_t start = 0;
  for (size_t n = 0; n < node->proto->n_output; n++) {
    const char *name = node->proto->output[n];
    if (!qb__onnx_split(im, node, x->dims[axis], n, &ranges[axis].count))
      return;
    ranges[axis].start = start;
    start += ranges[axis].count;
    if (*name)
      cut(im, node, x, ranges, n ? qb__onnx_find(im, name) : result);
    if (im->status || im->problem_count != problems)
      return;
  }
}

void qb__onnx_fold_trilu(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  const bool upper = qb__onnx_int(node, "upper") != 0;
  int64_t k = 0;
  if (x->rank < 2) {
    qb__onnx_problem(im, node, "its input is not a matrix");
    return;
  }
  if (qb__onnx_ints_or_input(im, node, "k", 14, 1, &k, 1) < 0 ||
      !qb__onnx_make(im, result, x->type, x->rank, x->dims))
    return;
  const int64_t columns = x->dims[x->rank - 1], rows = x->dims[x->rank - 2];
  const int64_t diagonal = k < -rows ? -rows : k > columns ? columns : k;
  for (size_t i = 0; i < x->elements; i++) {
    const int64_t column = (int64_t)i % columns, row = (int64_t)i / columns % rows;
    const bool kept = upper ? column - row >= diagonal : column - row <= diagonal;
    if (kept)
      qb__onnx_copy(result, i, x, i);
    else
      memset((char *)result->data + i * qb__onnx_width(x->type), 0, qb__onnx_width(x->type));
  }
}
