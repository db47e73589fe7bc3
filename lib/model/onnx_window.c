/* SPDX-License-Identifier: Apache-2.0 */
#include "model/onnx_window.h"

#include "core/error.h"

#include <string.h>

const qb__onnx_value *qb__onnx_image_input(qb__onnx *im, const qb__onnx_node *node, int32_t *tensor)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  *tensor = QB__NONE;
  if (!x)
    return NULL;
  if (x->rank < 3 || x->rank > 2 + QB__MOST_SPATIAL) {
    qb__onnx_problem(im, node,
                     "its image has %u dimensions; 1 to %d after batch and channels are supported",
                     x->rank, QB__MOST_SPATIAL);
    return NULL;
  }
  if (!qb__onnx_is_image(im, x)) {
    if (im->batched)
      qb__onnx_mixing(im, node);
    else
      qb__onnx_problem(
          im, node,
          "its first dimension, %lld, is not the batch, because another node mixes samples",
          (long long)x->dims[0]);
    return NULL;
  }
  *tensor = im->batched
                ? x->tensor
                : qb__graph_reshape(im->graph, node->label, x->tensor, x->rank - 1, x->dims + 1);
  return im->graph->status ? NULL : x;
}

void qb__onnx_image_result(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                           int32_t tensor)
{
  if (im->graph->status || tensor == QB__NONE)
    return;
  qb__onnx_shape shape = qb__onnx_shape_of(x);
  memcpy(shape.dims + 1, im->graph->tensors[tensor].dims, (x->rank - 1) * sizeof *shape.dims);
  qb__onnx_result(im, node, qb__onnx_reshaped(im, node, tensor, &shape), &shape);
}

int64_t qb__onnx_extent(const qb__window *w, int axis)
{
  return (w->kernel[axis] - 1) * w->dilations[axis] + 1;
}

bool qb__onnx_spatial(qb__onnx *im, const qb__onnx_node *node, const char *name, int64_t *values,
                      int count, int64_t otherwise)
{
  for (int i = 0; i < count; i++)
    values[i] = otherwise;
  const int found = qb__onnx_ints(node, name, values, count);
  if (found == count || !qb__onnx_attribute(node, name))
    return true;
  qb__onnx_problem(im, node, "'%s' does not have %d elements", name, count);
  return false;
}

bool qb__onnx_in_range(qb__onnx *im, const qb__onnx_node *node, const char *name,
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

bool qb__onnx_read_window(qb__onnx *im, const qb__onnx_node *node, const int64_t *size, int count,
                          qb__window *w)
{
  int64_t pads[2 * QB__MOST_SPATIAL];
  if (!qb__onnx_spatial(im, node, "strides", w->strides, count, 1) ||
      !qb__onnx_spatial(im, node, "dilations", w->dilations, count, 1) ||
      !qb__onnx_spatial(im, node, "pads", pads, 2 * count, 0) ||
      !qb__onnx_in_range(im, node, "kernel_shape", w->kernel, count, 1) ||
      !qb__onnx_in_range(im, node, "strides", w->strides, count, 1) ||
      !qb__onnx_in_range(im, node, "dilations", w->dilations, count, 1) ||
      !qb__onnx_in_range(im, node, "pads", pads, 2 * count, 0))
    return false;
  const bool upper = qb__onnx_text_is(node, "auto_pad", "SAME_UPPER");
  const bool lower = qb__onnx_text_is(node, "auto_pad", "SAME_LOWER");
  const bool valid = qb__onnx_text_is(node, "auto_pad", "VALID");
  for (int i = 0; i < count; i++) {
    const int64_t outputs = (size[i] - 1) / w->strides[i] + 1;
    int64_t total = (outputs - 1) * w->strides[i] + qb__onnx_extent(w, i) - size[i];
    total = total < 0 ? 0 : total;
    w->pad_before[i] = upper ? total / 2 : lower ? total - total / 2 : valid ? 0 : pads[i];
    w->pad_after[i] = upper ? total - total / 2 : lower ? total / 2 : valid ? 0 : pads[count + i];
  }
  return true;
}
