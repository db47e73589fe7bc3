/* SPDX-License-Identifier: Apache-2.0 */
/* Pools: maxima, averages and norms of windows and of whole images. */
#include "core/error.h"
#include "model/onnx_window.h"

#include <string.h>

/*
 * With `ceil_mode` the last window may go beyond the padded image by less than a stride, unless it
 * would begin in the padding behind.
 */
static void round_up(const int64_t *size, int count, qb__window *w)
{
  for (int i = 0; i < count; i++) {
    const int64_t extent = qb__onnx_extent(w, i), stride = w->strides[i];
    const int64_t space = size[i] + w->pad_before[i] + w->pad_after[i] - extent;
    if (space < 0)
      continue;
    int64_t outputs = (space + stride - 1) / stride + 1;
    if ((outputs - 1) * stride >= size[i] + w->pad_before[i])
      outputs--;
    const int64_t needed = (outputs - 1) * stride + extent - size[i] - w->pad_before[i];
    w->pad_after[i] = needed < 0 ? 0 : needed;
  }
}

static bool read_pool(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *image,
                      qb__window *w, int64_t *pad_after)
{
  const int count = (int)image->rank - 2;
  memset(w, 0, sizeof *w);
  if (!qb__onnx_spatial(im, node, "kernel_shape", w->kernel, count, 0) ||
      !qb__onnx_read_window(im, node, image->dims + 2, count, w))
    return false;
  memcpy(pad_after, w->pad_after, (size_t)count * sizeof *pad_after);
  if (qb__onnx_int(node, "ceil_mode"))
    round_up(image->dims + 2, count, w);
  return true;
}

/* How many elements of window `place` lie in the image and its own padding. */
static int64_t counted(const qb__window *w, int axis, int64_t size, int64_t pad_after,
                       int64_t place)
{
  int64_t count = 0;
  for (int64_t k = 0; k < w->kernel[axis]; k++) {
    const int64_t at = place * w->strides[axis] - w->pad_before[axis] + k * w->dilations[axis];
    count += at < size + pad_after;
  }
  return count;
}

/*
 * Averages that count padding, by windows that go beyond it: all elements of the window have been
 * counted, and those beyond must not.
 */
static int32_t recount(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *image,
                       int32_t y, const qb__window *w, const int64_t *pad_after)
{
  qb__graph *g = im->graph;
  int64_t dims[QB_MAX_DIMS];
  if (g->status)
    return QB__NONE;
  const uint32_t rank = g->tensors[y].rank;
  memcpy(dims, g->tensors[y].dims, sizeof dims);
  dims[0] = 1;
  const int32_t factors = qb__graph_constant(g, node->label, rank, dims);
  if (factors == QB__NONE)
    return QB__NONE;
  const qb__tensor *t = &g->tensors[factors];
  for (size_t i = 0; i < t->elements; i++) {
    size_t rest = i;
    double factor = 1;
    for (uint32_t d = rank; d-- > 1;) {
      const int64_t place = (int64_t)(rest % (size_t)dims[d]);
      rest /= (size_t)dims[d];
      factor *= (double)w->kernel[d - 1] /
                (double)counted(w, (int)d - 1, image->dims[d + 1], pad_after[d - 1], place);
    }
    t->constant[i] = (float)factor;
  }
  return qb__graph_binary(g, node->label, QB__OP_MULTIPLY, y, factors);
}

void qb__onnx_map_pool(qb__onnx *im, const qb__onnx_node *node)
{
  const bool max = !strcmp(node->proto->op_type, "MaxPool");
  int32_t x;
  qb__window w;
  int64_t pad_after[QB__MOST_SPATIAL];
  const qb__onnx_value *image = qb__onnx_image_input(im, node, &x);
  if (!image || !read_pool(im, node, image, &w, pad_after))
    return;
  const bool include = !max && qb__onnx_int(node, "count_include_pad");
  bool beyond = false;
  for (uint32_t i = 0; i + 2 < image->rank; i++)
    beyond = beyond || w.pad_after[i] > pad_after[i];
  int32_t y = qb__graph_pool(im->graph, node->label, max ? QB__OP_MAX_POOL : QB__OP_AVERAGE_POOL, x,
                             &w, include);
  if (include && beyond)
    y = recount(im, node, image, y, &w, pad_after);
  qb__onnx_image_result(im, node, image, y);
}

/*
 * The p-th root of the sum of |x| ^ p over windows: their average with padding, times their size.
 */
static int32_t norm(qb__onnx *im, const qb__onnx_node *node, int32_t x, const qb__window *w,
                    uint32_t rank)
{
  const float p = (float)qb__onnx_int(node, "p");
  float elements = 1;
  for (uint32_t i = 0; i + 2 < rank; i++)
    elements *= (float)w->kernel[i];
  if (!(p >= 1)) {
    qb__onnx_problem(im, node, "'p' is %g; 1 and more are supported", (double)p);
    return QB__NONE;
  }
  int32_t y = qb__onnx_activate(im, node, x, QB__ACTIVATION_ABS, 0, 0);
  if (p != 1)
    y = qb__onnx_activate(im, node, y, QB__ACTIVATION_POWER, 1, p);
  y = qb__graph_pool(im->graph, node->label, QB__OP_AVERAGE_POOL, y, w, true);
  y = qb__onnx_activate(im, node, y, QB__ACTIVATION_LINEAR, elements, 0);
  return p == 1 ? y : qb__onnx_activate(im, node, y, QB__ACTIVATION_POWER, 1, 1 / p);
}

void qb__onnx_map_lp_pool(qb__onnx *im, const qb__onnx_node *node)
{
  int32_t x;
  qb__window w;
  int64_t pad_after[QB__MOST_SPATIAL];
  const qb__onnx_value *image = qb__onnx_image_input(im, node, &x);
  if (image && read_pool(im, node, image, &w, pad_after))
    qb__onnx_image_result(im, node, image, norm(im, node, x, &w, image->rank));
}

void qb__onnx_map_global_pool(qb__onnx *im, const qb__onnx_node *node)
{
  const bool max = !strcmp(node->proto->op_type, "GlobalMaxPool");
  int32_t x;
  const qb__onnx_value *image = qb__onnx_image_input(im, node, &x);
  if (!image)
    return;
  qb__window w = {{0}, {1, 1, 1}, {1, 1, 1}, {0}, {0}};
  memcpy(w.kernel, image->dims + 2, (image->rank - 2) * sizeof *w.kernel);
  const int32_t y = !strcmp(node->proto->op_type, "GlobalLpPool")
                        ? norm(im, node, x, &w, image->rank)
                        : qb__graph_pool(im->graph, node->label,
                                         max ? QB__OP_MAX_POOL : QB__OP_AVERAGE_POOL, x, &w, false);
  qb__onnx_image_result(im, node, image, y);
}
