/* SPDX-License-Identifier: Apache-2.0 */
/* Products of constant matrices. */
#include "model/onnx_fold.h"

#include "model/onnx_shape.h"

#include <string.h>

/* One element of a product: rows and columns of `length` elements, each a stride apart. */
static void multiply(const qb__onnx_value *a, size_t from, size_t a_stride, const qb__onnx_value *b,
                     size_t with, size_t b_stride, size_t length, qb__onnx_value *result, size_t i)
{
  if (qb__onnx_is_real_type(a->type)) {
    double sum = 0;
    for (size_t n = 0; n < length; n++)
      sum += qb__onnx_real_at(a, from + n * a_stride) * qb__onnx_real_at(b, with + n * b_stride);
    qb__onnx_set_real(result, i, sum);
    return;
  }
  uint64_t sum = 0;
  for (size_t n = 0; n < length; n++)
    sum += (uint64_t)qb__onnx_int_at(a, from + n * a_stride) *
           (uint64_t)qb__onnx_int_at(b, with + n * b_stride);
  qb__onnx_set_int(result, i, (int64_t)sum);
}

/* A vector is a matrix of one row, or one column, which the result does not have. */
static void as_matrix(qb__onnx_value *v, bool row)
{
  if (v->rank != 1)
    return;
  v->dims[1] = row ? v->dims[0] : 1;
  v->dims[0] = row ? 1 : v->dims[0];
  v->rank = 2;
}

static void remove_dim(qb__onnx_value *v, uint32_t at)
{
  memmove(v->dims + at, v->dims + at + 1, (v->rank - at - 1) * sizeof *v->dims);
  v->rank--;
}

/* Matrices of the last two dimensions, for all of those before them. */
static void multiply_all(qb__onnx *im, const qb__onnx_value *a, const qb__onnx_value *b,
                         qb__onnx_value *result)
{
  const size_t rows = (size_t)a->dims[a->rank - 2], columns = (size_t)b->dims[b->rank - 1];
  const size_t length = (size_t)a->dims[a->rank - 1];
  qb__onnx_walk walk;
  qb__onnx_walk_init(im, &walk, result->rank - 2, result->dims);
  for (int n = 0; n < 2; n++) {
    qb__onnx_value matrices = n ? *b : *a;
    const int64_t size = (int64_t)(n ? length * columns : rows * length);
    matrices.rank -= 2;
    qb__onnx_walk_repeat(im, &walk, n, &matrices);
    for (uint32_t i = 0; i < walk.rank; i++)
      walk.strides[n][i] *= size;
  }
  for (size_t i = 0; i < result->elements;) {
    for (size_t row = 0; row < rows; row++)
      for (size_t column = 0; column < columns; column++)
        multiply(a, (size_t)walk.index[0] + row * length, 1, b, (size_t)walk.index[1] + column,
                 columns, length, result, i++);
    qb__onnx_walk_next(&walk);
  }
}

/*
 * The shape of a product, the dimensions before the last two repeated; false where there is none.
 */
static bool product_shape(const qb__onnx_value *a, const qb__onnx_value *b, uint32_t *rank,
                          int64_t *dims)
{
  if (a->rank < 2 || b->rank < 2 || a->type != b->type ||
      a->dims[a->rank - 1] != b->dims[b->rank - 2])
    return false;
  qb__onnx_value outer[2] = {*a, *b};
  const qb__onnx_value *const values[2] = {&outer[0], &outer[1]};
  outer[0].rank -= 2;
  outer[1].rank -= 2;
  if (!qb__onnx_broadcast(values, 2, rank, dims))
    return false;
  dims[(*rank)++] = a->dims[a->rank - 2];
  dims[(*rank)++] = b->dims[b->rank - 1];
  return true;
}

void qb__onnx_fold_matmul(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  qb__onnx_value a = *qb__onnx_input(node, 0), b = *qb__onnx_input(node, 1);
  const bool row = a.rank == 1, column = b.rank == 1;
  uint32_t rank;
  int64_t dims[QB__ONNX_RANK];
  as_matrix(&a, true);
  as_matrix(&b, false);
  if (!product_shape(&a, &b, &rank, dims)) {
    qb__onnx_problem(im, node, "its constants are not compatible matrices");
    return;
  }
  if (!qb__onnx_make(im, result, a.type, rank, dims))
    return;
  multiply_all(im, &a, &b, result);
  if (column)
    remove_dim(result, rank - 1);
  if (row)
    remove_dim(result, rank - 2);
}

/* Whether c can be repeated to the product of a Gemm, whose shape is given. */
static bool is_addend(const qb__onnx_value *c, const qb__onnx_value *product)
{
  const qb__onnx_value *const values[2] = {product, c};
  uint32_t rank;
  int64_t dims[QB__ONNX_RANK];
  return c->type == product->type && qb__onnx_broadcast(values, 2, &rank, dims) && rank == 2 &&
         !memcmp(dims, product->dims, 2 * sizeof *dims);
}

void qb__onnx_fold_gemm(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *a = qb__onnx_input(node, 0), *b = qb__onnx_input(node, 1);
  const qb__onnx_value *c = qb__onnx_input(node, 2);
  const int turn_a = qb__onnx_int(node, "transA") != 0, turn_b = qb__onnx_int(node, "transB") != 0;
  const qb__onnx_value shape = {
      .rank = 2, .type = a->type, .dims = {a->dims[turn_a], b->dims[!turn_b]}};
  qb__onnx_walk walk;
  if (a->rank != 2 || b->rank != 2 || a->dims[!turn_a] != b->dims[turn_b] || a->type != b->type ||
      !qb__onnx_is_real_type(a->type) || (c && !is_addend(c, &shape))) {
    qb__onnx_problem(im, node, "its constants are not compatible matrices");
    return;
  }
  if (!qb__onnx_make(im, result, a->type, 2, shape.dims))
    return;
  qb__onnx_walk_init(im, &walk, 2, shape.dims);
  if (c)
    qb__onnx_walk_repeat(im, &walk, 0, c);
  const double alpha = qb__onnx_float(node, "alpha"), beta = qb__onnx_float(node, "beta");
  const size_t a_width = (size_t)a->dims[1], b_width = (size_t)b->dims[1];
  for (size_t i = 0; i < result->elements; i++, qb__onnx_walk_next(&walk)) {
    const size_t row = (size_t)walk.at[0], column = (size_t)walk.at[1];
    multiply(a, turn_a ? row : row * a_width, turn_a ? a_width : 1, b,
             turn_b ? column * b_width : column, turn_b ? 1 : b_width, (size_t)a->dims[!turn_a],
             result, i);
    const double addend = c ? beta * qb__onnx_real_at(c, (size_t)walk.index[0]) : 0;
    qb__onnx_set_real(result, i, alpha * qb__onnx_real_at(result, i) + addend);
  }
}
