/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions, and transposed ones. */
#include "core/error.h"
#include "model/onnx_window.h"

#include <string.h>

typedef struct layer {
  const qb__onnx_value *image;
  int32_t x;
  int count; /* spatial dimensions */
  qb__onnx_value *weights, *bias;
  qb__window window;
} layer;

static int32_t bias_of(qb__onnx *im, qb__onnx_value *bias)
{
  if (!bias)
    return QB__NONE;
  const int64_t dims[1] = {(int64_t)bias->elements};
  return qb__onnx_constant(im, bias, 1, dims);
}

/* What both kinds of convolution read of a node. */
static bool read_layer(qb__onnx *im, const qb__onnx_node *node, layer *l)
{
  int64_t kernel[QB__MOST_SPATIAL];
  memset(l, 0, sizeof *l);
  l->image = qb__onnx_image_input(im, node, &l->x);
  if (!l->image || !qb__onnx_constant_input(im, node, 1, "weights", true, &l->weights) ||
      !qb__onnx_constant_input(im, node, 2, "biases", false, &l->bias))
    return false;
  l->count = (int)l->image->rank - 2;
  if (l->weights->rank != l->image->rank) {
    qb__onnx_problem(im, node, "its weights have %u dimensions and its image %u", l->weights->rank,
                     l->image->rank);
    return false;
  }
  memcpy(l->window.kernel, l->weights->dims + 2, (size_t)l->count * sizeof *kernel);
  if (!qb__onnx_spatial(im, node, "kernel_shape", kernel, l->count, 0))
    return false;
  for (int i = 0; i < l->count && qb__onnx_attribute(node, "kernel_shape"); i++)
    if (kernel[i] != l->window.kernel[i]) {
      qb__onnx_problem(im, node, "'kernel_shape' is %lld where its weights have %lld",
                       (long long)kernel[i], (long long)l->window.kernel[i]);
      return false;
    }
  return qb__onnx_read_window(im, node, l->image->dims + 2, l->count, &l->window);
}

void qb__onnx_map_conv(qb__onnx *im, const qb__onnx_node *node)
{
  layer l;
  if (!read_layer(im, node, &l))
    return;
  const int32_t weights = qb__onnx_constant(im, l.weights, l.weights->rank, l.weights->dims);
  const int32_t bias = bias_of(im, l.bias);
  if (!im->graph->status)
    qb__onnx_image_result(im, node, l.image,
                          qb__graph_convolution(im->graph, node->label, l.x, weights, bias,
                                                &l.window, qb__onnx_int(node, "group")));
}

/* Weights of I, O/groups, .. as O, I/groups, .. */
static int32_t transposed_weights(qb__onnx *im, const qb__onnx_value *weights, int64_t groups)
{
  int64_t dims[QB__ONNX_RANK];
  memcpy(dims, weights->dims, sizeof dims);
  const int64_t inputs = weights->dims[0] / groups, outputs = weights->dims[1];
  dims[0] = outputs * groups;
  dims[1] = inputs;
  const int32_t tensor = qb__graph_constant(im->graph, weights->name, weights->rank, dims);
  if (tensor == QB__NONE)
    return QB__NONE;
  float *to = im->graph->tensors[tensor].constant;
  const float *from = weights->data;
  const size_t kernel = weights->elements / (size_t)(weights->dims[0] * outputs);
  for (int64_t g = 0; g < groups; g++)
    for (int64_t o = 0; o < outputs; o++)
      for (int64_t i = 0; i < inputs; i++)
        memcpy(to + (size_t)((g * outputs + o) * inputs + i) * kernel,
               from + (size_t)((g * inputs + i) * outputs + o) * kernel, kernel * sizeof *to);
  return tensor;
}

/*
 * Pads of a transposed convolution, less what is added behind; from the output where that is set.
 * What is added beyond the reach of the last element goes into `beyond`.
 */
static bool unpad(qb__onnx *im, const qb__onnx_node *node, const int64_t *size, int count,
                  qb__window *w, int64_t *beyond)
{
  int64_t added[QB__MOST_SPATIAL], wanted[QB__MOST_SPATIAL];
  const bool upper = qb__onnx_text_is(node, "auto_pad", "SAME_UPPER");
  const bool same = upper || qb__onnx_text_is(node, "auto_pad", "SAME_LOWER");
  const bool fixed = qb__onnx_attribute(node, "output_shape") != NULL;
  if (!qb__onnx_spatial(im, node, "output_padding", added, count, 0) ||
      !qb__onnx_spatial(im, node, "output_shape", wanted, count, 0) ||
      !qb__onnx_in_range(im, node, "output_padding", added, count, 0) ||
      (fixed && !qb__onnx_in_range(im, node, "output_shape", wanted, count, 1)))
    return false;
  for (int i = 0; i < count; i++) {
    if (fixed || same) {
      const int64_t output = fixed ? wanted[i] : size[i] * w->strides[i];
      const int64_t total =
          w->strides[i] * (size[i] - 1) + added[i] + qb__onnx_extent(w, i) - output;
      w->pad_before[i] = total < 0 ? 0 : upper ? total / 2 : total - total / 2;
      w->pad_after[i] = total - w->pad_before[i];
    }
    w->pad_after[i] -= added[i];
    beyond[i] = 1 - w->strides[i] - w->pad_after[i];
    beyond[i] = beyond[i] < 0 ? 0 : beyond[i];
    w->pad_after[i] += beyond[i];
  }
  return true;
}

/* Rows that no window reaches have the bias alone. */
static int32_t extend(qb__onnx *im, const qb__onnx_node *node, const layer *l, int32_t y,
                      const int64_t *beyond)
{
  int64_t before[QB_MAX_DIMS] = {0}, after[QB_MAX_DIMS] = {0}, dims[QB_MAX_DIMS] = {0};
  qb__graph *g = im->graph;
  memcpy(after + 1, beyond, (size_t)l->count * sizeof *beyond);
  y = qb__graph_pad(g, node->label, y, before, after, 0);
  if (!l->bias || g->status)
    return y;
  dims[0] = (int64_t)l->bias->elements;
  for (int i = 1; i <= l->count; i++)
    dims[i] = 1;
  const int32_t bias = qb__onnx_constant(im, l->bias, (uint32_t)l->count + 1, dims);
  return g->status ? QB__NONE : qb__graph_add(g, node->label, y, bias);
}

void qb__onnx_map_conv_transpose(qb__onnx *im, const qb__onnx_node *node)
{
  layer l;
  int64_t beyond[QB__MOST_SPATIAL];
  if (!read_layer(im, node, &l))
    return;
  const int64_t groups = qb__onnx_int(node, "group"), channels = l.image->dims[1];
  if (groups < 1 || l.weights->dims[0] != channels || channels % groups || !l.weights->elements) {
    qb__onnx_problem(im, node, "its weights do not match %lld channels in %lld groups",
                     (long long)channels, (long long)groups);
    return;
  }
  if (!unpad(im, node, l.image->dims + 2, l.count, &l.window, beyond))
    return;
  bool reached = true;
  for (int i = 0; i < l.count; i++)
    reached = reached && beyond[i] == 0;
  const int32_t weights = transposed_weights(im, l.weights, groups);
  const int32_t bias = reached ? bias_of(im, l.bias) : QB__NONE;
  if (im->graph->status)
    return;
  int32_t y =
      qb__graph_deconvolution(im->graph, node->label, l.x, weights, bias, &l.window, groups);
  if (!reached && !im->graph->status)
    y = extend(im, node, &l, y, beyond);
  qb__onnx_image_result(im, node, l.image, y);
}
