/* SPDX-License-Identifier: Apache-2.0 */
/* Building: windows over images, norms of channels, and the shapes of what they write. */
#include "core/error.h"
#include "model/graph_impl.h"

#include <string.h>

/* Output size of a window along one axis; 0 when the window does not fit. */
static int64_t slide(int64_t size, const qb__window *w, uint32_t axis)
{
  const int64_t extent = (w->kernel[axis] - 1) * w->dilations[axis] + 1;
  const int64_t padded = size + w->pad_before[axis] + w->pad_after[axis];
  return padded < extent ? 0 : (padded - extent) / w->strides[axis] + 1;
}

/* The size of what a window slides over to give `size`. */
static int64_t unslide(int64_t size, const qb__window *w, uint32_t axis)
{
  const int64_t extent = (w->kernel[axis] - 1) * w->dilations[axis] + 1;
  return (size - 1) * w->strides[axis] + extent - w->pad_before[axis] - w->pad_after[axis];
}

static bool window_valid(const qb__window *w, uint32_t spatial, bool deconvolution)
{
  for (uint32_t i = 0; i < spatial; i++)
    if (w->kernel[i] < 1 || w->kernel[i] > INT16_MAX || w->strides[i] < 1 ||
        w->strides[i] > INT16_MAX || w->dilations[i] < 1 || w->dilations[i] > INT16_MAX ||
        w->pad_before[i] < 0 || w->pad_after[i] < (deconvolution ? 1 - w->strides[i] : 0) ||
        w->pad_before[i] > INT16_MAX || w->pad_after[i] > INT16_MAX)
      return false;
  return true;
}

static bool is_image(const qb__tensor *t)
{
  return t->rank >= 2 && t->rank <= 1 + QB__MOST_SPATIAL;
}

static int32_t convolution(qb__graph *graph, const char *name, qb__op_kind kind, int32_t x,
                           int32_t weights, int32_t bias, const qb__window *window, int64_t groups)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x], *w = &graph->tensors[weights];
  const uint32_t spatial = in->rank - 1;
  if (!is_image(in))
    return qb__graph_wrong_shape(graph, name, "input", x, "CxHxW");
  if (w->rank != in->rank + 1 || groups < 1 || w->dims[0] % groups || in->dims[0] % groups ||
      w->dims[1] != in->dims[0] / groups)
    return qb__graph_wrong_shape(graph, name, "weights", weights,
                                 "OxIxHxW, I times groups the input's C");
  if (bias != QB__NONE && graph->tensors[bias].elements != (size_t)w->dims[0])
    return qb__graph_wrong_shape(graph, name, "bias", bias, "one value an output channel");
  qb__operator op = qb__operator_blank(kind, x);
  op.weights = weights;
  op.bias = bias;
  op.groups = groups;
  op.window = *window;
  memcpy(op.window.kernel, w->dims + 2, spatial * sizeof *w->dims);
  const bool deconvolution = kind == QB__OP_DECONVOLUTION;
  if (!window_valid(&op.window, spatial, deconvolution))
    return qb__graph_fail(graph,
                          qb__fail(QB_ERROR_INVALID_ARGUMENT,
                                   "operator '%s': strides and dilations must be at least 1, pads "
                                   "not negative, and all at most %d",
                                   name, INT16_MAX));
  int64_t dims[1 + QB__MOST_SPATIAL] = {w->dims[0]};
  for (uint32_t i = 0; i < spatial; i++)
    dims[1 + i] = deconvolution ? unslide(in->dims[1 + i], &op.window, i)
                                : slide(in->dims[1 + i], &op.window, i);
  return qb__graph_append(graph, name, op, in->rank, dims);
}

int32_t qb__graph_convolution(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                              int32_t bias, const qb__window *window, int64_t groups)
{
  return convolution(graph, name, QB__OP_CONVOLUTION, x, weights, bias, window, groups);
}

int32_t qb__graph_deconvolution(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                                int32_t bias, const qb__window *window, int64_t groups)
{
  return convolution(graph, name, QB__OP_DECONVOLUTION, x, weights, bias, window, groups);
}

int32_t qb__graph_batch_norm(qb__graph *graph, const char *name, int32_t x, int32_t scale,
                             int32_t shift, int32_t mean, int32_t variance, float epsilon)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x];
  const int32_t constants[4] = {scale, shift, mean, variance};
  for (int i = 0; i < 4; i++)
    if (graph->tensors[constants[i]].elements != (size_t)in->dims[0])
      return qb__graph_wrong_shape(graph, name, "constant", constants[i], "one value a channel");
  qb__operator op = qb__operator_blank(QB__OP_BATCH_NORM, x);
  op.weights = scale;
  op.bias = shift;
  op.mean = mean;
  op.variance = variance;
  op.epsilon = epsilon;
  return qb__graph_append(graph, name, op, in->rank, in->dims);
}

int32_t qb__graph_pool(qb__graph *graph, const char *name, qb__op_kind kind, int32_t x,
                       const qb__window *window, bool include_padding)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x];
  if (!is_image(in))
    return qb__graph_wrong_shape(graph, name, "input", x, "CxHxW");
  qb__operator op = qb__operator_blank(kind, x);
  op.window = *window;
  op.include_padding = include_padding;
  int64_t dims[1 + QB__MOST_SPATIAL] = {in->dims[0]};
  if (!window_valid(window, in->rank - 1, false))
    return qb__graph_fail(graph, qb__fail(QB_ERROR_INVALID_ARGUMENT,
                                          "operator '%s': kernel and strides must be at least 1, "
                                          "pads not negative, and all at most %d",
                                          name, INT16_MAX));
  for (uint32_t i = 0; i + 1 < in->rank; i++) {
    const int64_t extent = (window->kernel[i] - 1) * window->dilations[i] + 1;
    if (window->pad_before[i] >= extent || window->pad_after[i] >= extent)
      return qb__graph_fail(graph, qb__fail(QB_ERROR_INVALID_ARGUMENT,
                                            "operator '%s': pads must be smaller than the window, "
                                            "or it covers nothing but padding",
                                            name));
    dims[1 + i] = slide(in->dims[1 + i], window, i);
  }
  return qb__graph_append(graph, name, op, in->rank, dims);
}

int32_t qb__graph_lrn(qb__graph *graph, const char *name, int32_t x, int64_t size, float alpha,
                      float beta, float k)
{
  if (graph->status)
    return QB__NONE;
  if (graph->tensors[x].rank != 3)
    return qb__graph_wrong_shape(graph, name, "input", x, "CxHxW");
  if (size < 1 || size % 2 == 0)
    return qb__graph_fail(graph,
                          qb__fail(QB_ERROR_INVALID_ARGUMENT,
                                   "operator '%s': size %lld must be odd and positive: as many "
                                   "channels on either side",
                                   name, (long long)size));
  qb__operator op = qb__operator_blank(QB__OP_LRN, x);
  op.lrn_size = size;
  op.lrn_alpha = alpha;
  op.lrn_beta = beta;
  op.lrn_k = k;
  return qb__graph_append(graph, name, op, 3, graph->tensors[x].dims);
}

int32_t qb__graph_resize(qb__graph *graph, const char *name, int32_t x, const int64_t *dims,
                         bool linear)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x];
  if (!is_image(in))
    return qb__graph_wrong_shape(graph, name, "input", x, "CxHxW");
  int64_t output[1 + QB__MOST_SPATIAL] = {in->dims[0]};
  memcpy(output + 1, dims, (in->rank - 1) * sizeof *dims);
  qb__operator op = qb__operator_blank(QB__OP_RESIZE, x);
  op.linear = linear;
  return qb__graph_append(graph, name, op, in->rank, output);
}
