/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices, and what runs along axes: softmax, means. */
#include "core/error.h"
#include "model/onnx_impl.h"

#include <string.h>

static void scale(float *values, size_t count, float factor)
{
  for (size_t i = 0; factor != 1 && i < count; i++)
    values[i] *= factor;
}

/* A copy of a constant, scaled, repeated to `dims`; its dimensions are aligned to the right. */
static int32_t repeated(qb__onnx *im, const qb__onnx_value *v, uint32_t rank, const int64_t *dims,
                        float factor)
{
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

/* Rows of a batch times constant weights: a fully connected layer. Weights are K, M. */
static int32_t dense(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                     qb__onnx_value *weights, bool transposed, float factor, int32_t bias)
{
  int32_t w;
  if (!transposed)
    w = qb__onnx_transposed(im, weights, weights->dims[0], weights->dims[1]);
  else if (factor == 1)
    w = qb__onnx_constant(im, weights, 2, weights->dims);
  else
    w = repeated(im, weights, 2, weights->dims, 1);
  if (w == QB__NONE || im->graph->status)
    return QB__NONE;
  scale(im->graph->tensors[w].constant, im->graph->tensors[w].elements, factor);
  return qb__graph_dense(im->graph, node->label, x->tensor, w, bias);
}

/* What is added in a Gemm, as one value an output; false where it differs from row to row. */
static bool is_bias(const qb__onnx_value *c, int64_t outputs)
{
  return qb__onnx_is_float(c) && c->rank <= 2 && c->elements &&
         (c->rank == 0 || c->dims[c->rank - 1] == 1 || c->dims[c->rank - 1] == outputs) &&
         (c->rank < 2 || c->dims[0] == 1);
}

/* A matrix of a Gemm that is no batch of rows, transposed where asked for. */
static int32_t matrix(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *v, bool transposed)
{
  static const uint32_t turn[2] = {1, 0};
  if (v->kind == QB__ONNX_CONSTANT)
    return transposed ? qb__onnx_transposed(im, v, v->dims[0], v->dims[1])
                      : qb__onnx_constant(im, v, 2, v->dims);
  return transposed ? qb__graph_transpose(im->graph, node->label, v->tensor, turn) : v->tensor;
}

static void gemm_of_rows(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *a,
                         qb__onnx_value *b, qb__onnx_value *c, int64_t outputs)
{
  const bool transposed = qb__onnx_int(node, "transB") != 0;
  const float alpha = qb__onnx_float(node, "alpha"), beta = qb__onnx_float(node, "beta");
  const int64_t dims[2] = {a->dims[0], outputs};
  int32_t bias = QB__NONE;
  if (c && beta == 1 && c->rank == 1 && c->dims[0] == outputs)
    bias = qb__onnx_constant(im, c, 1, &outputs);
  else if (c)
    bias = repeated(im, c, 1, &outputs, beta);
  qb__onnx_result(im, node, dense(im, node, a, b, transposed, alpha, bias), 2, dims);
}

static void gemm_of_matrices(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *a,
                             qb__onnx_value *b, qb__onnx_value *c, const int64_t dims[2])
{
  qb__graph *g = im->graph;
  const float alpha = qb__onnx_float(node, "alpha"), beta = qb__onnx_float(node, "beta");
  const int32_t left = matrix(im, node, a, qb__onnx_int(node, "transA") != 0);
  const int32_t right = matrix(im, node, b, qb__onnx_int(node, "transB") != 0);
  if (g->status)
    return;
  int32_t x = qb__graph_matmul(g, node->label, left, right);
  if (alpha != 1)
    x = qb__graph_activation(g, node->label, x, QB__ACTIVATION_LINEAR, alpha, 0);
  if (qb__onnx_is_float(c)) {
    const int32_t sum = repeated(im, c, 2, dims, beta);
    if (!g->status)
      x = qb__graph_binary(g, node->label, QB__OP_ADD, x, sum);
  } else if (c) {
    int64_t shape[2] = {1, 1};
    for (uint32_t i = 0; i < c->rank; i++)
      shape[2 - c->rank + i] = c->dims[i];
    int32_t sum = qb__graph_reshape(g, node->label, c->tensor, 2, shape);
    if (beta != 1)
      sum = qb__graph_activation(g, node->label, sum, QB__ACTIVATION_LINEAR, beta, 0);
    if (!g->status)
      x = qb__graph_binary(g, node->label, QB__OP_ADD, x, sum);
  }
  qb__onnx_result(im, node, x, 2, dims);
}

void qb__onnx_map_gemm(qb__onnx *im, const qb__onnx_node *node)
{
  qb__onnx_value *a = qb__onnx_input(node, 0), *b = qb__onnx_input(node, 1);
  qb__onnx_value *c = qb__onnx_input(node, 2);
  const bool turn_a = qb__onnx_int(node, "transA") != 0;
  const bool turn_b = qb__onnx_int(node, "transB") != 0;
  if (!a || !b || a->rank != 2 || b->rank != 2 || a->dims[!turn_a] != b->dims[turn_b]) {
    qb__onnx_problem(im, node, "its inputs are not matrices that fit each other");
    return;
  }
  const int64_t dims[2] = {a->dims[turn_a], b->dims[!turn_b]};
  if (a->kind != QB__ONNX_ACTIVATION || (b->kind == QB__ONNX_CONSTANT && !qb__onnx_is_float(b)) ||
      (c && c->kind == QB__ONNX_CONSTANT && !qb__onnx_is_float(c))) {
    qb__onnx_problem(im, node, "its first input is not computed from the network's inputs");
    return;
  }
  bool fits = !c || c->rank <= 2;
  for (uint32_t i = 1; fits && c && i <= c->rank; i++)
    fits = c->dims[c->rank - i] == 1 || c->dims[c->rank - i] == dims[2 - i];
  if (!fits)
    qb__onnx_problem(im, node, "what it adds does not fit its %lldx%lld outputs",
                     (long long)dims[0], (long long)dims[1]);
  else if (!im->batched)
    gemm_of_matrices(im, node, a, b, c, dims);
  else if (turn_a || b->kind != QB__ONNX_CONSTANT || (c && !is_bias(c, dims[1])))
    qb__onnx_mixing(im, node);
  else
    gemm_of_rows(im, node, a, b, c, dims[1]);
}

/* A sample's matrices times those of `b`, an activation or a constant, with as many dimensions. */
static void multiply(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *a, qb__onnx_value *b)
{
  int64_t dims[QB__ONNX_RANK], full[QB__ONNX_RANK], output[QB__ONNX_RANK];
  const uint32_t missing = a->rank - b->rank;
  for (uint32_t i = 0; i < a->rank; i++)
    full[i] = i < missing ? 1 : b->dims[i - missing];
  if (im->batched && (a->rank < 3 || (b->kind == QB__ONNX_ACTIVATION ? missing : full[0] != 1))) {
    qb__onnx_mixing(im, node);
    return;
  }
  const uint32_t rank = qb__onnx_sample(im, a->rank, full, dims);
  int32_t second = b->tensor;
  if (b->kind == QB__ONNX_CONSTANT)
    second = qb__onnx_constant(im, b, rank, dims);
  else if (missing)
    second = qb__graph_reshape(im->graph, node->label, second, rank, dims);
  if (im->graph->status)
    return;
  memcpy(output, a->dims, sizeof output);
  output[a->rank - 1] = b->dims[b->rank - 1];
  qb__onnx_result(im, node, qb__graph_matmul(im->graph, node->label, a->tensor, second), a->rank,
                  output);
}

void qb__onnx_map_matmul(qb__onnx *im, const qb__onnx_node *node)
{
  qb__onnx_value *a = qb__onnx_input(node, 0), *b = qb__onnx_input(node, 1);
  if (!a || !b || a->kind != QB__ONNX_ACTIVATION ||
      (b->kind == QB__ONNX_CONSTANT && !qb__onnx_is_float(b)) || a->rank < 2 || b->rank < 2 ||
      b->rank > a->rank) {
    qb__onnx_problem(im, node,
                     "only an activation of two dimensions or more times a matrix, "
                     "constant or computed, is supported");
    return;
  }
  if (a->dims[a->rank - 1] != b->dims[b->rank - 2]) {
    qb__onnx_problem(im, node, "matrices of %lld columns and %lld rows do not fit",
                     (long long)a->dims[a->rank - 1], (long long)b->dims[b->rank - 2]);
    return;
  }
  if (im->batched && a->rank == 2 && b->kind == QB__ONNX_CONSTANT) {
    const int64_t dims[2] = {a->dims[0], b->dims[1]};
    qb__onnx_result(im, node, dense(im, node, a, b, false, 1, QB__NONE), 2, dims);
    return;
  }
  multiply(im, node, a, b);
}

void qb__onnx_map_softmax(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  const bool flat = im->opset < 13; /* over all dimensions from the axis on */
  uint32_t axis;
  if (!x || !qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), x->rank, &axis))
    return;
  if (im->batched && axis == 0) {
    qb__onnx_mixing(im, node);
    return;
  }
  qb__graph *g = im->graph;
  const uint32_t skip = im->batched ? 1 : 0;
  if (!flat || axis + 1 == x->rank) {
    qb__onnx_result_like(im, node, qb__graph_softmax(g, node->label, x->tensor, axis - skip, false),
                         x);
    return;
  }
  int64_t dims[2] = {1, 1}, sample[QB__ONNX_RANK];
  for (uint32_t i = skip; i < x->rank; i++)
    dims[i >= axis] *= x->dims[i];
  const uint32_t rank = qb__onnx_sample(im, x->rank, x->dims, sample);
  int32_t y = qb__graph_reshape(g, node->label, x->tensor, 2, dims);
  y = qb__graph_softmax(g, node->label, y, 1, false);
  qb__onnx_result_like(im, node, qb__graph_reshape(g, node->label, y, rank, sample), x);
}

void qb__onnx_map_reduce_mean(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  int64_t axes[QB__ONNX_RANK], dims[QB__ONNX_RANK], sample[QB__ONNX_RANK];
  const int count = qb__onnx_ints_or_input(im, node, "axes", 18, 1, axes, QB__ONNX_RANK);
  if (count < 0 || !x)
    return;
  uint32_t mask = count ? 0 : (UINT32_C(1) << x->rank) - 1;
  for (int i = 0; i < count; i++) {
    uint32_t axis;
    if (!qb__onnx_axis(im, node, axes[i], x->rank, &axis))
      return;
    mask |= UINT32_C(1) << axis;
  }
  if (!count && qb__onnx_int(node, "noop_with_empty_axes"))
    mask = 0;
  if (im->batched && mask & 1) {
    qb__onnx_mixing(im, node);
    return;
  }
  qb__graph *g = im->graph;
  const uint32_t skip = im->batched ? 1 : 0;
  const bool keep = qb__onnx_int(node, "keepdims") != 0;
  uint32_t rank = 0;
  for (uint32_t i = 0; i < x->rank; i++)
    if (!(mask >> i & 1))
      dims[rank++] = x->dims[i];
    else if (keep)
      dims[rank++] = 1;
  const uint32_t in_rank = g->tensors[x->tensor].rank;
  int32_t y;
  if (in_rank >= 2 && in_rank <= 1 + QB__MOST_SPATIAL &&
      mask >> skip == ((UINT32_C(1) << in_rank) - 2)) { /* the whole image of each channel */
    qb__window w = {{0}, {1, 1, 1}, {1, 1, 1}, {0}, {0}};
    memcpy(w.kernel, g->tensors[x->tensor].dims + 1, (in_rank - 1) * sizeof *w.kernel);
    y = qb__graph_pool(g, node->label, QB__OP_AVERAGE_POOL, x->tensor, &w, false);
  } else {
    y = qb__graph_reduce(g, node->label, QB__REDUCTION_MEAN, x->tensor, mask >> skip);
  }
  const uint32_t sample_rank = qb__onnx_sample(im, rank, dims, sample);
  if (!keep && !g->status)
    y = qb__graph_reshape(g, node->label, y, sample_rank, sample);
  qb__onnx_result(im, node, y, rank, dims);
}
