/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resize has a dozen ways to place and round new elements. Those that come to the same as placing
 * them by their middle (in the graph's operator, and in oneDNN) are taken, element by element.
 */
#include "core/error.h"
#include "model/onnx_impl.h"

#include <math.h>
#include <string.h>

typedef struct axis_map {
  int64_t from, to;
  double scale;
} axis_map;

/* Where new element `i` lies among the old ones (ONNX, Resize, coordinate_transformation_mode). */
static bool place(const qb__onnx *im, const qb__onnx_node *node, const axis_map *a, int64_t i,
                  double *result)
{
  const char *const mode = "coordinate_transformation_mode";
  const double x = (double)i;
  if (im->opset < 11 || qb__onnx_text_is(node, mode, "asymmetric"))
    *result = x / a->scale;
  else if (qb__onnx_text_is(node, mode, "half_pixel"))
    *result = (x + 0.5) / a->scale - 0.5;
  else if (qb__onnx_text_is(node, mode, "pytorch_half_pixel"))
    *result = a->to > 1 ? (x + 0.5) / a->scale - 0.5 : 0;
  else if (qb__onnx_text_is(node, mode, "tf_half_pixel_for_nn"))
    *result = (x + 0.5) / a->scale;
  else if (qb__onnx_text_is(node, mode, "align_corners"))
    *result = a->to > 1 ? x * (double)(a->from - 1) / (double)(a->to - 1) : 0;
  else
    return false;
  return true;
}

static int64_t clamp(double index, int64_t size)
{
  return (int64_t)fmin(fmax(index, 0), (double)(size - 1));
}

static double rounded(const qb__onnx *im, const qb__onnx_node *node, double x)
{
  if (im->opset < 11 || qb__onnx_text_is(node, "nearest_mode", "floor"))
    return floor(x);
  if (qb__onnx_text_is(node, "nearest_mode", "ceil"))
    return ceil(x);
  if (qb__onnx_text_is(node, "nearest_mode", "round_prefer_ceil"))
    return floor(x + 0.5);
  return ceil(x - 0.5);
}

/* Whether the node's way along an axis is that of the middles. */
static bool is_middle(const qb__onnx *im, const qb__onnx_node *node, const axis_map *a, bool linear)
{
  for (int64_t i = 0; i < a->to; i++) {
    const double middle = ((double)i + 0.5) * (double)a->from / (double)a->to - 0.5;
    double x;
    if (!place(im, node, a, i, &x))
      return false;
    if (linear ? fabs(fmin(fmax(x, 0), (double)(a->from - 1)) -
                      fmin(fmax(middle, 0), (double)(a->from - 1))) > 1e-5
               : clamp(rounded(im, node, x), a->from) != clamp(round(middle), a->from))
      return false;
  }
  return true;
}

/* Sizes or scales of an input; false without them. */
static bool target(const qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                   axis_map *axes)
{
  const qb__onnx_value *scales = qb__onnx_input(node, im->opset < 11 ? 1 : 2);
  const qb__onnx_value *sizes = im->opset < 11 ? NULL : qb__onnx_input(node, 3);
  if (scales && !scales->elements)
    scales = NULL;
  const qb__onnx_value *given = sizes && sizes->elements ? sizes : scales;
  int64_t chosen[QB__ONNX_RANK];
  int count = im->opset < 18 ? 0 : qb__onnx_ints(node, "axes", chosen, QB__ONNX_RANK);
  for (int i = 0; !count && i < (int)x->rank; i++)
    chosen[i] = i;
  count = count ? count : (int)x->rank;
  const bool fits = given == sizes ? qb__onnx_is_integer(given) : qb__onnx_is_float(given);
  if (!fits || count < 0 || given->elements != (size_t)count)
    return false;
  for (uint32_t i = 0; i < x->rank; i++)
    axes[i] = (axis_map){x->dims[i], x->dims[i], 1};
  for (int i = 0; i < count; i++) {
    const int64_t axis = chosen[i] < 0 ? chosen[i] + x->rank : chosen[i];
    if (axis < 0 || axis >= x->rank)
      return false;
    axis_map *a = &axes[axis];
    a->scale = given == sizes ? (double)((const int64_t *)given->data)[i] / (double)a->from
                              : ((const float *)given->data)[i];
    const double to = given == sizes ? (double)((const int64_t *)given->data)[i]
                                     : floor((double)a->from * a->scale);
    if (a->scale == 1)
      continue;
    if (!(to >= 1 && to <= 1 << 24))
      return false;
    a->to = (int64_t)to;
  }
  return true;
}

void qb__onnx_map_resize(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  axis_map axes[QB__ONNX_RANK];
  if (!x || x->rank < 3 || x->rank > 2 + QB__MOST_SPATIAL || !target(im, node, x, axes)) {
    qb__onnx_problem(im, node, "only images, with constant sizes or scales, are supported");
    return;
  }
  const bool linear = qb__onnx_text_is(node, "mode", "linear");
  if ((!linear && !qb__onnx_text_is(node, "mode", "nearest")) || qb__onnx_int(node, "antialias") ||
      qb__onnx_int(node, "exclude_outside") ||
      (im->opset >= 18 && !qb__onnx_text_is(node, "keep_aspect_ratio_policy", "stretch"))) {
    qb__onnx_problem(im, node, "only nearest and linear modes are supported");
    return;
  }
  if (axes[0].to != x->dims[0] || axes[1].to != x->dims[1] || (!im->batched && x->dims[0] != 1)) {
    qb__onnx_problem(im, node, "only the dimensions behind batch and channels can be resized");
    return;
  }
  int64_t dims[QB__ONNX_RANK] = {x->dims[0], x->dims[1]};
  for (uint32_t i = 2; i < x->rank; i++) {
    dims[i] = axes[i].to;
    if (!is_middle(im, node, &axes[i], linear)) {
      qb__onnx_problem(im, node,
                       "oneDNN places and rounds new elements in another way than its "
                       "coordinate_transformation_mode and nearest_mode");
      return;
    }
  }
  qb__graph *g = im->graph;
  int32_t y = x->tensor;
  if (!im->batched)
    y = qb__graph_reshape(g, node->label, y, x->rank - 1, x->dims + 1);
  y = qb__graph_resize(g, node->label, y, dims + 2, linear);
  if (!im->batched)
    y = qb__graph_reshape(g, node->label, y, x->rank, dims);
  qb__onnx_result(im, node, y, x->rank, dims);
}
