/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices. */
#include "core/error.h"
#include "model/onnx_map.h"

#include <string.h>

static void scale(float *values, size_t count, float factor)
{
  for (size_t i = 0; factor != 1 && i < count; i++)
    values[i] *= factor;
}

int32_t qb__onnx_repeated(qb__onnx *im, const qb__onnx_value *v, uint32_t rank, const int64_t *dims,
                          float factor)
{
  bool fits = qb__onnx_is_float(v);
  for (uint32_t d = 1; fits && d <= v->rank; d++)
    fits = v->dims[v->rank - d] == 1 || (d <= rank && v->dims[v->rank - d] == dims[rank - d]);
  if (!fits && !im->graph->status)
    im->graph->status = qb__fail(QB_ERROR_INVALID_ARGUMENT,
                                 "'%.64s' cannot be broadcast to where it is used", v->name);
  const int32_t tensor = qb__graph_constant(im->graph, v->name, rank, dims);
  if (tensor == QB__NONE)
    return QB__NONE;
  const qb__tensor *t = &im->graph->tensors[tensor];
  for (size_t i = 0; i < t->elements; i++) {
    size_t rest = i, from = 0, step = 1;
    for (uint32_t d = 1; d <= v->rank && d <= rank; d++) { /* what is left are 1s */
      const size_t at = rest % (size_t)dims[rank - d];
      rest /= (size_t)dims[rank - d];
      from += v->dims[v->rank - d] == 1 ? 0 : at * step;
      step *= (size_t)v->dims[v->rank - d];
    }
    t->constant[i] = factor * ((const float *)v->data)[from];
  }
  return tensor;
}

/* Rows times constant weights of K, M, or of M, K where `transposed`: a fully connected layer. */
static int32_t fully_connected(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                               qb__onnx_value *weights, bool transposed, float factor, int32_t bias)
{
  qb__graph *g = im->graph;
  const int64_t *dims = weights->dims + weights->rank - 2; /* those before are 1 */
  int32_t w;
  if (!transposed)
    w = qb__onnx_transposed(im, weights, dims[0], dims[1]);
  else if (factor == 1)
    w = qb__onnx_constant(im, weights, 2, dims);
  else
    w = qb__onnx_repeated(im, weights, 2, dims, 1);
  if (w == QB__NONE || g->status)
    return QB__NONE;
  scale(g->tensors[w].constant, g->tensors[w].elements, factor);
  return g->tensors[x->tensor].rank == 1 ? qb__graph_dense(g, node->label, x->tensor, w, bias)
                                         : qb__graph_linear(g, node->label, x->tensor, w, bias);
}

/* What a Gemm adds, as one value an output; false where it differs from row to row. */
static bool is_bias(const qb__onnx_value *c, int64_t outputs)
{
  return qb__onnx_is_float(c) && c->rank <= 2 && c->elements &&
         (c->rank == 0 || c->dims[c->rank - 1] == 1 || c->dims[c->rank - 1] == outputs) &&
         (c->rank < 2 || c->dims[0] == 1);
}

/* A matrix of a Gemm, transposed where asked for. */
static int32_t matrix(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *v, bool transposed)
{
  static const uint32_t turn[2] = {1, 0};
  if (v->kind == QB__ONNX_CONSTANT)
    return transposed ? qb__onnx_transposed(im, v, v->dims[0], v->dims[1])
                      : qb__onnx_constant(im, v, 2, v->dims);
  return transposed ? qb__graph_transpose(im->graph, node->label, v->tensor, turn) : v->tensor;
}

/* The product of a Gemm, with its bias where that is one. */
static int32_t gemm_product(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *a,
                            qb__onnx_value *b, qb__onnx_value *bias, int64_t outputs)
{
  const bool turn_a = qb__onnx_int(node, "transA"), turn_b = qb__onnx_int(node, "transB");
  const float alpha = qb__onnx_float(node, "alpha"), beta = qb__onnx_float(node, "beta");
  if (!turn_a && a->kind == QB__ONNX_ACTIVATION && b->kind == QB__ONNX_CONSTANT) {
    int32_t c = QB__NONE;
    if (bias && beta == 1 && bias->rank == 1 && bias->dims[0] == outputs)
      c = qb__onnx_constant(im, bias, 1, &outputs);
    else if (bias)
      c = qb__onnx_repeated(im, bias, 1, &outputs, beta);
    return fully_connected(im, node, a, b, turn_b, alpha, c);
  }
  const int32_t left = matrix(im, node, a, turn_a), right = matrix(im, node, b, turn_b);
  if (im->graph->status)
    return QB__NONE;
  const int32_t y = qb__graph_matmul(im->graph, node->label, left, right);
  return alpha == 1
             ? y
             : qb__graph_activation(im->graph, node->label, y, QB__ACTIVATION_LINEAR, alpha, 0);
}

/* Adds beta * c to a product. */
static int32_t add_scaled(qb__onnx *im, const qb__onnx_node *node, int32_t product,
                          const qb__onnx_shape *shape, qb__onnx_value *c)
{
  qb__onnx_value y = {.name = node->label, .writer = QB__NONE};
  qb__onnx_value *values[2] = {&y, c};
  qb__onnx_shape out;
  int32_t tensors[2];
  const float beta = qb__onnx_float(node, "beta");
  qb__onnx_set(&y, product, shape);
  if (!qb__onnx_align(im, node, values, 2, 0, &out, tensors))
    return QB__NONE;
  if (beta != 1 && c->kind == QB__ONNX_CONSTANT)
    tensors[1] = qb__onnx_repeated(im, c, im->graph->tensors[tensors[1]].rank,
                                   im->graph->tensors[tensors[1]].dims, beta);
  else if (beta != 1)
    tensors[1] =
        qb__graph_activation(im->graph, node->label, tensors[1], QB__ACTIVATION_LINEAR, beta, 0);
  return im->graph->status ? QB__NONE
                           : qb__graph_add(im->graph, node->label, tensors[0], tensors[1]);
}

void qb__onnx_map_gemm(qb__onnx *im, const qb__onnx_node *node)
{
  qb__onnx_value *a = qb__onnx_input(node, 0), *b = qb__onnx_input(node, 1);
  qb__onnx_value *c = qb__onnx_input(node, 2);
  const bool turn_a = qb__onnx_int(node, "transA"), turn_b = qb__onnx_int(node, "transB");
  if (a->rank != 2 || b->rank != 2 || a->dims[!turn_a] != b->dims[turn_b]) {
    qb__onnx_problem(im, node, "its inputs are not compatible matrices");
    return;
  }
  qb__onnx_shape shape = {
      .rank = 2, .batch_outer = a->batch_outer, .dims = {a->dims[turn_a], b->dims[!turn_b]}};
  bool fits = !c || c->rank <= 2;
  for (uint32_t i = 1; fits && c && i <= c->rank; i++)
    fits = c->dims[c->rank - i] == 1 || c->dims[c->rank - i] == shape.dims[2 - i];
  if (!fits) {
    qb__onnx_problem(im, node, "its addend does not match its %lldx%lld outputs",
                     (long long)shape.dims[0], (long long)shape.dims[1]);
    return;
  }
  if (im->batched && (turn_a || a->kind != QB__ONNX_ACTIVATION || b->kind != QB__ONNX_CONSTANT ||
                      a->batch_axis != 0)) {
    qb__onnx_mixing(im, node);
    return;
  }
  const bool fused = c && is_bias(c, shape.dims[1]) && !turn_a && a->kind == QB__ONNX_ACTIVATION &&
                     b->kind == QB__ONNX_CONSTANT;
  int32_t y = gemm_product(im, node, a, b, fused ? c : NULL, shape.dims[1]);
  if (c && !fused && y != QB__NONE)
    y = add_scaled(im, node, y, &shape, c);
  qb__onnx_result(im, node, y, &shape);
}

static bool is_one_matrix(const qb__onnx_value *v)
{
  for (uint32_t i = 0; i + 2 < v->rank; i++)
    if (v->dims[i] != 1)
      return false;
  return true;
}

/* The shape of a product without the dimensions that vectors were given. */
static void matmul_result(qb__onnx *im, const qb__onnx_node *node, int32_t y, qb__onnx_shape *shape,
                          bool drop_row, bool drop_column)
{
  if (drop_column)
    shape->rank--;
  if (drop_row) {
    const uint32_t row = shape->rank - (drop_column ? 1 : 2);
    memmove(shape->dims + row, shape->dims + row + 1,
            (shape->rank - row - 1) * sizeof *shape->dims);
    shape->rank--;
    shape->batch_axis -= shape->batch_axis > row;
  }
  qb__onnx_result(im, node, qb__onnx_reshaped(im, node, y, shape), shape);
}

/* Each row of an activation times the same constant matrix. */
static int32_t rows_times(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *a,
                          qb__onnx_value *b, qb__onnx_shape *shape)
{
  *shape = qb__onnx_shape_of(a);
  shape->dims[a->rank - 1] = b->dims[b->rank - 1];
  if (qb__onnx_is_batch(im, shape, a->rank - 1)) {
    qb__onnx_mixing(im, node);
    return QB__NONE;
  }
  return fully_connected(im, node, a, b, false, 1, QB__NONE);
}

static void multiply(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *a, qb__onnx_value *b,
                     bool drop_row, bool drop_column)
{
  qb__onnx_value *values[2] = {a, b};
  qb__onnx_shape shape;
  int32_t tensors[2], y = QB__NONE;
  if (a->dims[a->rank - 1] != b->dims[b->rank - 2]) {
    qb__onnx_problem(im, node, "matrices of %lld columns and %lld rows do not match",
                     (long long)a->dims[a->rank - 1], (long long)b->dims[b->rank - 2]);
  } else if (a->kind == QB__ONNX_ACTIVATION && b->kind == QB__ONNX_CONSTANT && is_one_matrix(b) &&
             b->rank <= a->rank) {
    y = rows_times(im, node, a, b, &shape);
  } else if (qb__onnx_align(im, node, values, 2, 2, &shape, tensors)) {
    shape.dims[shape.rank - 2] = a->dims[a->rank - 2];
    shape.dims[shape.rank - 1] = b->dims[b->rank - 1];
    y = qb__graph_matmul(im->graph, node->label, tensors[0], tensors[1]);
  }
  if (y != QB__NONE)
    matmul_result(im, node, y, &shape, drop_row, drop_column);
}

/* A vector is a matrix of one row on the left, of one column on the right. */
void qb__onnx_map_matmul(qb__onnx *im, const qb__onnx_node *node)
{
  qb__onnx_value *a = qb__onnx_input(node, 0), *b = qb__onnx_input(node, 1);
  const bool row = a->rank == 1, column = b->rank == 1;
  if (!a->rank || !b->rank) {
    qb__onnx_problem(im, node, "a scalar is not a matrix");
    return;
  }
  if (im->batched &&
      ((row && a->kind == QB__ONNX_ACTIVATION) || (column && b->kind == QB__ONNX_ACTIVATION))) {
    qb__onnx_mixing(im, node);
    return;
  }
  if ((row || column) && a == b) {
    qb__onnx_problem(im, node, "a vector times itself is not supported");
    return;
  }
  if (row) {
    a->dims[1] = a->dims[0];
    a->dims[0] = 1;
    a->rank = 2;
  }
  if (column) {
    b->dims[1] = 1;
    b->rank = 2;
  }
  multiply(im, node, a, b, row, column);
  if (row)
    a->dims[0] = a->dims[1];
  a->rank = row ? 1 : a->rank;
  b->rank = column ? 1 : b->rank;
}
