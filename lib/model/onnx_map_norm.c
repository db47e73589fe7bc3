/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisations. */
#include "core/error.h"
#include "model/onnx_map.h"

#include <string.h>

void qb__onnx_map_lrn(qb__onnx *im, const qb__onnx_node *node)
{
  int32_t x;
  const qb__onnx_value *in = qb__onnx_image_input(im, node, &x);
  if (in)
    qb__onnx_image_result(im, node, in,
                          qb__graph_lrn(im->graph, node->label, x, qb__onnx_int(node, "size"),
                                        qb__onnx_float(node, "alpha"), qb__onnx_float(node, "beta"),
                                        qb__onnx_float(node, "bias")));
}

/* A constant of as many elements as the graph wants, as one dimension. */
static int32_t row(qb__onnx *im, qb__onnx_value *value)
{
  const int64_t dims[1] = {(int64_t)value->elements};
  return qb__onnx_constant(im, value, 1, dims);
}

/*
 * Dimension 1 of an activation as dimension 0 of a tensor of the graph; QB__NONE after a problem.
 */
static int32_t channels_first(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x)
{
  if (qb__onnx_is_image(im, x))
    return im->batched
               ? x->tensor
               : qb__graph_reshape(im->graph, node->label, x->tensor, x->rank - 1, x->dims + 1);
  if (im->batched)
    qb__onnx_mixing(im, node);
  else
    qb__onnx_problem(
        im, node, "its first dimension, %lld, is not the batch, because another node mixes samples",
        (long long)x->dims[0]);
  return QB__NONE;
}

void qb__onnx_map_batch_norm(qb__onnx *im, const qb__onnx_node *node)
{
  static const char *const names[] = {"scales", "shifts", "means", "variances"};
  const qb__onnx_value *in = qb__onnx_activation_input(im, node);
  qb__onnx_value *values[4];
  int32_t constants[4];
  if (!in)
    return;
  if (in->rank < 2 || (im->opset < 9 && !qb__onnx_int(node, "spatial"))) {
    qb__onnx_problem(im, node, "only one mean per channel of an image or of features is supported");
    return;
  }
  for (size_t i = 0; i < 4; i++)
    if (!qb__onnx_constant_input(im, node, i + 1, names[i], true, &values[i]))
      return;
  const int32_t x = channels_first(im, node, in);
  for (int i = 0; i < 4; i++)
    constants[i] = row(im, values[i]);
  if (im->graph->status || x == QB__NONE)
    return;
  qb__onnx_image_result(im, node, in,
                        qb__graph_batch_norm(im->graph, node->label, x, constants[0], constants[1],
                                             constants[2], constants[3],
                                             qb__onnx_float(node, "epsilon")));
}

static void group_norm(qb__onnx *im, const qb__onnx_node *node, int64_t groups, bool by_group)
{
  const qb__onnx_value *in = qb__onnx_activation_input(im, node);
  qb__onnx_value *scale, *shift;
  if (!in || !qb__onnx_constant_input(im, node, 1, "scales", true, &scale) ||
      !qb__onnx_constant_input(im, node, 2, "shifts", true, &shift))
    return;
  const int64_t channels = in->rank > 1 ? in->dims[1] : 0, expected = by_group ? groups : channels;
  if (groups < 1 || channels < 1 || channels % groups || scale->elements != (size_t)expected ||
      shift->elements != (size_t)expected) {
    qb__onnx_problem(im, node,
                     "%lld channels in %lld groups do not match %zu scales and %zu shifts",
                     (long long)channels, (long long)groups, scale->elements, shift->elements);
    return;
  }
  const int32_t x = channels_first(im, node, in);
  int32_t constants[2];
  qb__onnx_value *values[2] = {scale, shift};
  for (int i = 0; i < 2; i++) {
    constants[i] =
        by_group ? qb__graph_constant(im->graph, node->label, 1, &channels) : row(im, values[i]);
    for (int64_t c = 0; by_group && constants[i] != QB__NONE && c < channels; c++)
      im->graph->tensors[constants[i]].constant[c] =
          ((const float *)values[i]->data)[c / (channels / groups)];
  }
  if (im->graph->status || x == QB__NONE)
    return;
  qb__onnx_image_result(im, node, in,
                        qb__graph_group_norm(im->graph, node->label, x, groups, constants[0],
                                             constants[1], qb__onnx_float(node, "epsilon")));
}

void qb__onnx_map_instance_norm(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  group_norm(im, node, x->rank > 1 ? x->dims[1] : 0, false);
}

/* Scales are those of groups before opset 21, and of channels from there on. */
void qb__onnx_map_group_norm(qb__onnx *im, const qb__onnx_node *node)
{
  group_norm(im, node, qb__onnx_int(node, "num_groups"), im->opset < 21);
}

/* The dimensions from `axis` to the last, which may not hold the batch. */
static bool trailing(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                     uint32_t *axis)
{
  if (!qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), x->rank, axis))
    return false;
  if (!im->batched || x->batch_axis < *axis)
    return true;
  qb__onnx_mixing(im, node);
  return false;
}

/* A scale or shift of normalised dimensions; QB__NONE where there is none. */
static int32_t of_trailing(qb__onnx *im, const qb__onnx_value *x, uint32_t axis,
                           qb__onnx_value *value)
{
  const uint32_t rank = x->rank - axis;
  size_t elements = 1;
  if (!value)
    return QB__NONE;
  for (uint32_t i = axis; i < x->rank; i++)
    elements *= (size_t)x->dims[i];
  return value->elements == elements ? qb__onnx_constant(im, value, rank, x->dims + axis)
                                     : qb__onnx_repeated(im, value, rank, x->dims + axis, 1);
}

void qb__onnx_map_layer_norm(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  qb__onnx_value *scale, *shift;
  uint32_t axis;
  if (!x || !trailing(im, node, x, &axis) ||
      !qb__onnx_constant_input(im, node, 1, "scales", true, &scale) ||
      !qb__onnx_constant_input(im, node, 2, "shifts", false, &shift))
    return;
  const qb__onnx_shape shape = qb__onnx_shape_of(x);
  const int32_t s = of_trailing(im, x, axis, scale), b = of_trailing(im, x, axis, shift);
  if (!im->graph->status)
    qb__onnx_result_like(im, node,
                         qb__graph_layer_norm(im->graph, node->label, x->tensor,
                                              qb__onnx_sample_axis(im, &shape, axis), s, b,
                                              qb__onnx_float(node, "epsilon")),
                         x);
}

/* x / sqrt(mean(x^2) + epsilon) * scale (Zhang and Sennrich, NeurIPS 2019, equation 4). */
void qb__onnx_map_rms_norm(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  qb__graph *g = im->graph;
  qb__onnx_value *scale;
  int64_t dims[QB_MAX_DIMS];
  uint32_t axis, mask = 0;
  if (!x || !trailing(im, node, x, &axis) ||
      !qb__onnx_constant_input(im, node, 1, "scales", true, &scale))
    return;
  const qb__onnx_shape shape = qb__onnx_shape_of(x);
  const uint32_t first = qb__onnx_sample_axis(im, &shape, axis), rank = g->tensors[x->tensor].rank;
  for (uint32_t i = 0; i < rank; i++) {
    mask |= i < first ? 0 : UINT32_C(1) << i;
    dims[i] = i < first ? 1 : g->tensors[x->tensor].dims[i];
  }
  int32_t y = qb__graph_binary(g, node->label, QB__OP_MULTIPLY, x->tensor, x->tensor);
  y = qb__graph_reduce(g, node->label, QB__REDUCTION_MEAN, y, mask);
  y = qb__graph_activation(g, node->label, y, QB__ACTIVATION_LINEAR, 1,
                           qb__onnx_float(node, "epsilon"));
  y = qb__graph_activation(g, node->label, y, QB__ACTIVATION_SQRT, 0, 0);
  const int32_t s = qb__onnx_repeated(im, scale, rank, dims, 1);
  if (g->status)
    return;
  y = qb__graph_binary(g, node->label, QB__OP_DIVIDE, x->tensor, y);
  qb__onnx_result_like(im, node, qb__graph_binary(g, node->label, QB__OP_MULTIPLY, y, s), x);
}
