/* SPDX-License-Identifier: Apache-2.0 */
/* What runs along axes: reductions, softmax, the place of an extreme. */
#include "core/error.h"
#include "model/onnx_map.h"
#include "model/onnx_shape.h"

#include <string.h>

void qb__onnx_map_softmax(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  const bool logarithm = !strcmp(node->proto->op_type, "LogSoftmax");
  const bool flat = im->opset < 13; /* over all dimensions from the axis on */
  qb__graph *g = im->graph;
  uint32_t axis;
  if (!x || !qb__onnx_within(im, node, x, qb__onnx_int(node, "axis"), &axis))
    return;
  const qb__onnx_shape shape = qb__onnx_shape_of(x);
  const uint32_t within = qb__onnx_sample_axis(im, &shape, axis);
  if (!flat || axis + 1 == x->rank) {
    qb__onnx_result_like(im, node, qb__graph_softmax(g, node->label, x->tensor, within, logarithm),
                         x);
    return;
  }
  if (im->batched && x->batch_axis > axis) {
    qb__onnx_mixing(im, node);
    return;
  }
  const qb__tensor *t = &g->tensors[x->tensor];
  int64_t dims[2] = {1, 1};
  for (uint32_t i = 0; i < t->rank; i++)
    dims[i >= within] *= t->dims[i];
  int32_t y = qb__graph_reshape(g, node->label, x->tensor, 2, dims);
  y = qb__graph_softmax(g, node->label, y, 1, logarithm);
  qb__onnx_result_like(im, node, qb__onnx_reshaped(im, node, y, &shape), x);
}

/* The shape behind a reduction of the axes in `mask`, which become 1 or go. */
static qb__onnx_shape reduced(const qb__onnx_value *x, uint32_t mask, bool keep)
{
  qb__onnx_shape shape = {.rank = 0, .batch_outer = x->batch_outer};
  for (uint32_t i = 0; i < x->rank; i++) {
    const bool gone = mask >> i & 1;
    if (i == x->batch_axis)
      shape.batch_axis = shape.rank;
    if (!gone || keep)
      shape.dims[shape.rank++] = gone ? 1 : x->dims[i];
  }
  return shape;
}

static qb__reduction reduction_of(const qb__onnx_node *node)
{
  static const char *const types[QB__REDUCTION_COUNT] = {
      [QB__REDUCTION_MEAN] = "ReduceMean",      [QB__REDUCTION_MAX] = "ReduceMax",
      [QB__REDUCTION_MIN] = "ReduceMin",        [QB__REDUCTION_SUM] = "ReduceSum",
      [QB__REDUCTION_PRODUCT] = "ReduceProd",   [QB__REDUCTION_L1] = "ReduceL1",
      [QB__REDUCTION_L2] = "ReduceL2",          [QB__REDUCTION_SUM_SQUARE] = "ReduceSumSquare",
      [QB__REDUCTION_LOG_SUM] = "ReduceLogSum", [QB__REDUCTION_LOG_SUM_EXP] = "ReduceLogSumExp",
  };
  int i = 0;
  while (strcmp(node->proto->op_type, types[i]) != 0)
    i++;
  return (qb__reduction)i;
}

/* Means of whole images are a pool, which oneDNN has in the layouts of convolutions. */
static int32_t reduce(qb__onnx *im, const qb__onnx_node *node, int32_t x, uint32_t mask)
{
  qb__graph *g = im->graph;
  const qb__tensor *t = &g->tensors[x];
  const qb__reduction reduction = reduction_of(node);
  if (reduction != QB__REDUCTION_MEAN || t->rank < 2 || t->rank > 1 + QB__MOST_SPATIAL ||
      mask != (UINT32_C(1) << t->rank) - 2)
    return qb__graph_reduce(g, node->label, reduction, x, mask);
  qb__window w = {{0}, {1, 1, 1}, {1, 1, 1}, {0}, {0}};
  memcpy(w.kernel, t->dims + 1, (t->rank - 1) * sizeof *w.kernel);
  return qb__graph_pool(g, node->label, QB__OP_AVERAGE_POOL, x, &w, false);
}

void qb__onnx_map_reduce(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  uint32_t mask, within = 0;
  if (!x || !qb__onnx_reduced(im, node, x->rank, &mask))
    return;
  if (im->batched && mask >> x->batch_axis & 1) {
    qb__onnx_mixing(im, node);
    return;
  }
  const qb__onnx_shape from = qb__onnx_shape_of(x);
  const qb__onnx_shape shape = reduced(x, mask, qb__onnx_int(node, "keepdims") != 0);
  for (uint32_t i = 0; i < x->rank; i++)
    within |= mask >> i & 1 ? UINT32_C(1) << qb__onnx_sample_axis(im, &from, i) : 0;
  const int32_t y = reduce(im, node, x->tensor, within);
  qb__onnx_result(im, node, qb__onnx_reshaped(im, node, y, &shape), &shape);
}

void qb__onnx_map_arg(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  uint32_t axis;
  if (!x || !qb__onnx_within(im, node, x, qb__onnx_int(node, "axis"), &axis))
    return;
  const qb__onnx_shape from = qb__onnx_shape_of(x);
  const qb__onnx_shape shape = reduced(x, UINT32_C(1) << axis, qb__onnx_int(node, "keepdims") != 0);
  const int32_t y = qb__graph_arg(
      im->graph, node->label, x->tensor, qb__onnx_sample_axis(im, &from, axis),
      !strcmp(node->proto->op_type, "ArgMax"), qb__onnx_int(node, "select_last_index") != 0);
  qb__onnx_result(im, node, qb__onnx_reshaped(im, node, y, &shape), &shape);
}
