/* SPDX-License-Identifier: Apache-2.0 */
/* Operators on images: convolutions, pools, normalisations. */
#include "core/error.h"
#include "model/onnx_impl.h"

#include <string.h>

/* The image that an input is: channels first, the batch put aside. */
static const qb__onnx_value *image_input(qb__onnx *im, const qb__onnx_node *node, int32_t *tensor)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  *tensor = QB__NONE;
  if (!x || x->kind != QB__ONNX_ACTIVATION) {
    qb__onnx_problem(im, node, "its first input is not computed from the network's inputs");
    return NULL;
  }
  if (x->rank < 3 || x->rank > 2 + QB__MOST_SPATIAL) {
    qb__onnx_problem(im, node,
                     "an image of %u dimensions; 1 to %d behind batch and channels are "
                     "supported",
                     x->rank, QB__MOST_SPATIAL);
    return NULL;
  }
  *tensor = x->tensor;
  if (!im->batched && x->dims[0] != 1) {
    qb__onnx_problem(im, node,
                     "its first dimension, %lld, is not the batch, because another node "
                     "goes across it",
                     (long long)x->dims[0]);
    return NULL;
  }
  if (!im->batched)
    *tensor = qb__graph_reshape(im->graph, node->label, x->tensor, x->rank - 1, x->dims + 1);
  return im->graph->status ? NULL : x;
}

static void image_result(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                         int32_t tensor)
{
  if (im->graph->status || tensor == QB__NONE)
    return;
  int64_t dims[QB__ONNX_RANK] = {x->dims[0]};
  memcpy(dims + 1, im->graph->tensors[tensor].dims, (x->rank - 1) * sizeof *dims);
  if (!im->batched)
    tensor = qb__graph_reshape(im->graph, node->label, tensor, x->rank, dims);
  qb__onnx_result(im, node, tensor, x->rank, dims);
}

/* `count` integers of an attribute, or `otherwise` each. */
static bool spatial(qb__onnx *im, const qb__onnx_node *node, const char *name, int64_t *values,
                    int count, int64_t otherwise)
{
  for (int i = 0; i < count; i++)
    values[i] = otherwise;
  const int found = qb__onnx_ints(node, name, values, count);
  if (found == 0 || found == count)
    return true;
  qb__onnx_problem(im, node, "'%s' has not %d elements", name, count);
  return false;
}

/* Keeps arithmetic on what a file claims far from overflow. */
static bool in_range(qb__onnx *im, const qb__onnx_node *node, const char *name,
                     const int64_t *values, int count, int64_t least)
{
  for (int i = 0; i < count; i++)
    if (values[i] < least || values[i] > INT16_MAX) {
      qb__onnx_problem(im, node, "'%s' is %lld; %lld to %d are supported", name,
                       (long long)values[i], (long long)least, INT16_MAX);
      return false;
    }
  return true;
}

static int64_t extent(const qb__window *w, int axis)
{
  return (w->kernel[axis] - 1) * w->dilations[axis] + 1;
}

/* A window whose kernel is set by the caller; pads are worked out for images of `size`. */
static bool read_window(qb__onnx *im, const qb__onnx_node *node, const int64_t *size, int count,
                        qb__window *w)
{
  int64_t pads[2 * QB__MOST_SPATIAL];
  if (!spatial(im, node, "strides", w->strides, count, 1) ||
      !spatial(im, node, "dilations", w->dilations, count, 1) ||
      !spatial(im, node, "pads", pads, 2 * count, 0) ||
      !in_range(im, node, "kernel_shape", w->kernel, count, 1) ||
      !in_range(im, node, "strides", w->strides, count, 1) ||
      !in_range(im, node, "dilations", w->dilations, count, 1) ||
      !in_range(im, node, "pads", pads, 2 * count, 0))
    return false;
  const bool upper = qb__onnx_text_is(node, "auto_pad", "SAME_UPPER");
  const bool lower = qb__onnx_text_is(node, "auto_pad", "SAME_LOWER");
  const bool valid = qb__onnx_text_is(node, "auto_pad", "VALID");
  for (int i = 0; i < count; i++) {
    const int64_t outputs = (size[i] - 1) / w->strides[i] + 1;
    int64_t total = (outputs - 1) * w->strides[i] + extent(w, i) - size[i];
    total = total < 0 ? 0 : total;
    w->pad_before[i] = upper ? total / 2 : lower ? total - total / 2 : valid ? 0 : pads[i];
    w->pad_after[i] = upper ? total - total / 2 : lower ? total / 2 : valid ? 0 : pads[count + i];
  }
  return true;
}

/* Constant input `index`, of floats; NULL where it is left out, with a problem where it is wrong. */
static bool constant_input(qb__onnx *im, const qb__onnx_node *node, size_t index, const char *what,
                           bool needed, qb__onnx_value **value)
{
  *value = qb__onnx_input(node, index);
  if (!*value && !needed)
    return true;
  if (qb__onnx_is_float(*value))
    return true;
  qb__onnx_problem(im, node, "its %s are not constants of the model", what);
  return false;
}

static int32_t bias_of(qb__onnx *im, qb__onnx_value *bias)
{
  if (!bias)
    return QB__NONE;
  const int64_t dims[1] = {(int64_t)bias->elements};
  return qb__onnx_constant(im, bias, 1, dims);
}

void qb__onnx_map_conv(qb__onnx *im, const qb__onnx_node *node)
{
  int32_t x;
  qb__onnx_value *weights, *bias;
  const qb__onnx_value *in = image_input(im, node, &x);
  if (!in || !constant_input(im, node, 1, "weights", true, &weights) ||
      !constant_input(im, node, 2, "biases", false, &bias))
    return;
  const int count = (int)in->rank - 2;
  qb__window w = {{0}, {0}, {0}, {0}, {0}};
  if (weights->rank != in->rank) {
    qb__onnx_problem(im, node, "weights of %u dimensions for an image of %u", weights->rank,
                     in->rank);
    return;
  }
  memcpy(w.kernel, weights->dims + 2, (size_t)count * sizeof *w.kernel);
  if (!read_window(im, node, in->dims + 2, count, &w))
    return;
  const int32_t o = qb__onnx_constant(im, weights, weights->rank, weights->dims);
  const int32_t b = bias_of(im, bias);
  if (im->graph->status)
    return;
  image_result(
      im, node, in,
      qb__graph_convolution(im->graph, node->label, x, o, b, &w, qb__onnx_int(node, "group")));
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

/* Pads of a transposed convolution, less what is added behind; from the output where that is set. */
static bool unpad(qb__onnx *im, const qb__onnx_node *node, const int64_t *size, int count,
                  qb__window *w)
{
  int64_t added[QB__MOST_SPATIAL], wanted[QB__MOST_SPATIAL];
  const bool upper = qb__onnx_text_is(node, "auto_pad", "SAME_UPPER");
  const bool same = upper || qb__onnx_text_is(node, "auto_pad", "SAME_LOWER");
  if (!spatial(im, node, "output_padding", added, count, 0) ||
      !spatial(im, node, "output_shape", wanted, count, 0) ||
      !in_range(im, node, "output_padding", added, count, 0))
    return false;
  for (int i = 0; i < count; i++) {
    if (wanted[i] || same) {
      const int64_t output = wanted[i] ? wanted[i] : size[i] * w->strides[i];
      const int64_t total = w->strides[i] * (size[i] - 1) + added[i] + extent(w, i) - output;
      w->pad_before[i] = total < 0 ? 0 : upper ? total / 2 : total - total / 2;
      w->pad_after[i] = total - w->pad_before[i];
    }
    w->pad_after[i] -= added[i];
  }
  return true;
}

void qb__onnx_map_conv_transpose(qb__onnx *im, const qb__onnx_node *node)
{
  int32_t x;
  qb__onnx_value *weights, *bias;
  const qb__onnx_value *in = image_input(im, node, &x);
  if (!in || !constant_input(im, node, 1, "weights", true, &weights) ||
      !constant_input(im, node, 2, "biases", false, &bias))
    return;
  const int count = (int)in->rank - 2;
  const int64_t groups = qb__onnx_int(node, "group");
  qb__window w = {{0}, {0}, {0}, {0}, {0}};
  if (weights->rank != in->rank || groups < 1 || weights->dims[0] != in->dims[1] ||
      in->dims[1] % groups || !weights->elements) {
    qb__onnx_problem(im, node, "its weights do not fit %lld channels in %lld groups",
                     (long long)in->dims[1], (long long)groups);
    return;
  }
  memcpy(w.kernel, weights->dims + 2, (size_t)count * sizeof *w.kernel);
  for (int i = 0; i < count; i++) /* pads that "same" asks for are those of the output */
    w.pad_before[i] = w.pad_after[i] = 0;
  if (!read_window(im, node, in->dims + 2, count, &w))
    return;
  if (!unpad(im, node, in->dims + 2, count, &w))
    return;
  const int32_t o = transposed_weights(im, weights, groups);
  const int32_t b = bias_of(im, bias);
  if (im->graph->status)
    return;
  image_result(im, node, in, qb__graph_deconvolution(im->graph, node->label, x, o, b, &w, groups));
}

/* With `ceil_mode` the last window may go beyond the image by less than a stride. */
static void round_up(const int64_t *size, int count, qb__window *w)
{
  for (int i = 0; i < count; i++) {
    const int64_t space = size[i] + w->pad_before[i] + w->pad_after[i] - extent(w, i);
    if (space > 0 && space % w->strides[i])
      w->pad_after[i] += w->strides[i] - space % w->strides[i];
  }
}

void qb__onnx_map_pool(qb__onnx *im, const qb__onnx_node *node)
{
  const bool max = !strcmp(node->proto->op_type, "MaxPool");
  int32_t x;
  const qb__onnx_value *in = image_input(im, node, &x);
  if (!in)
    return;
  const int count = (int)in->rank - 2;
  qb__window w = {{0}, {0}, {0}, {0}, {0}};
  if (!spatial(im, node, "kernel_shape", w.kernel, count, 0) ||
      !read_window(im, node, in->dims + 2, count, &w))
    return;
  const bool include = !max && qb__onnx_int(node, "count_include_pad");
  if (qb__onnx_int(node, "ceil_mode")) {
    const qb__window before = w;
    round_up(in->dims + 2, count, &w);
    if (include && memcmp(&before, &w, sizeof w) != 0) {
      qb__onnx_problem(im, node, "count_include_pad with a last window beyond the padding");
      return;
    }
  }
  image_result(im, node, in,
               qb__graph_pool(im->graph, node->label, max ? QB__OP_MAX_POOL : QB__OP_AVERAGE_POOL,
                              x, &w, include));
}

void qb__onnx_map_global_pool(qb__onnx *im, const qb__onnx_node *node)
{
  const bool max = !strcmp(node->proto->op_type, "GlobalMaxPool");
  int32_t x;
  const qb__onnx_value *in = image_input(im, node, &x);
  if (!in)
    return;
  qb__window w = {{0}, {1, 1, 1}, {1, 1, 1}, {0}, {0}};
  memcpy(w.kernel, in->dims + 2, (in->rank - 2) * sizeof *w.kernel);
  image_result(im, node, in,
               qb__graph_pool(im->graph, node->label, max ? QB__OP_MAX_POOL : QB__OP_AVERAGE_POOL,
                              x, &w, false));
}

void qb__onnx_map_lrn(qb__onnx *im, const qb__onnx_node *node)
{
  int32_t x;
  const qb__onnx_value *in = image_input(im, node, &x);
  if (in)
    image_result(im, node, in,
                 qb__graph_lrn(im->graph, node->label, x, qb__onnx_int(node, "size"),
                               qb__onnx_float(node, "alpha"), qb__onnx_float(node, "beta"),
                               qb__onnx_float(node, "bias")));
}

void qb__onnx_map_batch_norm(qb__onnx *im, const qb__onnx_node *node)
{
  static const char *const names[] = {"scales", "shifts", "means", "variances"};
  qb__onnx_value *in = qb__onnx_input(node, 0), *values[4];
  int32_t constants[4];
  if (!in || in->kind != QB__ONNX_ACTIVATION || in->rank < 2) {
    qb__onnx_problem(im, node, "its first input is not an image or features of the network");
    return;
  }
  if (im->opset < 9 && !qb__onnx_int(node, "spatial")) {
    qb__onnx_problem(im, node, "only one mean a channel is supported");
    return;
  }
  for (size_t i = 0; i < 4; i++)
    if (!constant_input(im, node, i + 1, names[i], true, &values[i]))
      return;
  int32_t x = in->tensor;
  if (!im->batched && in->dims[0] != 1) {
    qb__onnx_problem(im, node,
                     "its first dimension, %lld, is not the batch, because another node "
                     "goes across it",
                     (long long)in->dims[0]);
    return;
  }
  if (!im->batched)
    x = qb__graph_reshape(im->graph, node->label, x, in->rank - 1, in->dims + 1);
  for (int i = 0; i < 4; i++)
    constants[i] = bias_of(im, values[i]);
  if (im->graph->status)
    return;
  image_result(im, node, in,
               qb__graph_batch_norm(im->graph, node->label, x, constants[0], constants[1],
                                    constants[2], constants[3], qb__onnx_float(node, "epsilon")));
}
