/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that keep all elements: other shapes, other orders, joined. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/onnx_constant.h"
#include "model/onnx_map.h"
#include "model/onnx_shape.h"

#include <string.h>

void qb__onnx_map_identity(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  if (x)
    qb__onnx_result_like(im, node, x->tensor, x);
}

/* The dimensions of an activation, or their product, as a constant. */
void qb__onnx_map_shape(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  if (x)
    qb__onnx_make_shape(im, node, x, qb__onnx_find(im, node->proto->output[0]));
}

static void reshape_to(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                       qb__onnx_shape *shape)
{
  const qb__onnx_shape from = qb__onnx_shape_of(x);
  if (qb__onnx_find_batch(im, &from, shape))
    qb__onnx_result(im, node, qb__onnx_reshaped(im, node, x->tensor, shape), shape);
  else
    qb__onnx_mixing(im, node);
}

static void map_reshaping(qb__onnx *im, const qb__onnx_node *node, qb__onnx_reshaping *reshaping)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  qb__onnx_shape shape = {.rank = 0};
  if (x && reshaping(im, node, x, &shape.rank, shape.dims))
    reshape_to(im, node, x, &shape);
}

void qb__onnx_map_reshape(qb__onnx *im, const qb__onnx_node *node)
{
  map_reshaping(im, node, qb__onnx_shape_reshape);
}

void qb__onnx_map_flatten(qb__onnx *im, const qb__onnx_node *node)
{
  map_reshaping(im, node, qb__onnx_shape_flatten);
}

void qb__onnx_map_squeeze(qb__onnx *im, const qb__onnx_node *node)
{
  map_reshaping(im, node, qb__onnx_shape_squeeze);
}

void qb__onnx_map_unsqueeze(qb__onnx *im, const qb__onnx_node *node)
{
  map_reshaping(im, node, qb__onnx_shape_unsqueeze);
}

/* An activation with its dimensions in another order. */
static int32_t transposed(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                          const uint32_t *order, qb__onnx_shape *shape)
{
  const qb__onnx_shape from = qb__onnx_shape_of(x);
  const uint32_t rank = im->graph->tensors[x->tensor].rank;
  uint32_t within[QB_MAX_DIMS], count = 0;
  shape->rank = x->rank;
  shape->batch_outer = x->batch_outer;
  for (uint32_t i = 0; i < x->rank; i++) {
    shape->dims[i] = x->dims[order[i]];
    if (order[i] == x->batch_axis)
      shape->batch_axis = i;
    if (rank == x->rank || order[i] != x->batch_axis)
      within[count++] = qb__onnx_sample_axis(im, &from, order[i]);
  }
  return count ? qb__graph_transpose(im->graph, node->label, x->tensor, within) : x->tensor;
}

void qb__onnx_map_transpose(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  uint32_t order[QB__ONNX_RANK];
  qb__onnx_shape shape;
  if (x && qb__onnx_order(im, node, x->rank, order)) {
    const int32_t y = transposed(im, node, x, order, &shape);
    qb__onnx_result(im, node, y, &shape);
  }
}

/* The common shape of what is joined, with the sum of their sizes along the axis. */
static bool joined_shape(qb__onnx *im, const qb__onnx_node *node, uint32_t axis,
                         qb__onnx_shape *shape)
{
  const qb__onnx_value *first = NULL;
  for (size_t i = 0; i < node->input_count; i++)
    if (node->inputs[i]->kind == QB__ONNX_ACTIVATION && !first)
      first = node->inputs[i];
  *shape = qb__onnx_shape_of(first);
  shape->dims[axis] = 0;
  for (size_t i = 0; i < node->input_count; i++) {
    const qb__onnx_value *v = node->inputs[i];
    bool fits = v->rank == first->rank;
    for (uint32_t d = 0; fits && d < v->rank; d++)
      fits = d == axis || v->dims[d] == first->dims[d];
    if (!fits || __builtin_add_overflow(shape->dims[axis], v->dims[axis], &shape->dims[axis])) {
      qb__onnx_problem(im, node, "the shapes of its inputs are incompatible");
      return false;
    }
    if (im->batched &&
        (v->kind == QB__ONNX_ACTIVATION
             ? v->batch_axis != shape->batch_axis || v->batch_outer != shape->batch_outer
             : im->batch != 1 && !qb__onnx_is_open(im, v->dims[shape->batch_axis]))) {
      qb__onnx_mixing(im, node);
      return false;
    }
  }
  return true;
}

/* An input of a concat as a tensor of the graph; a constant is the same in every sample. */
static int32_t part_of(qb__onnx *im, qb__onnx_value *v, const qb__onnx_shape *shape, uint32_t axis)
{
  int64_t sample[QB__ONNX_RANK];
  qb__onnx_shape part = *shape;
  if (v->kind == QB__ONNX_ACTIVATION)
    return v->tensor;
  part.dims[axis] = v->dims[axis];
  const uint32_t rank = qb__onnx_sample(im, &part, sample);
  return qb__onnx_constant(im, v, rank, sample);
}

void qb__onnx_map_concat(qb__onnx *im, const qb__onnx_node *node)
{
  uint32_t axis;
  qb__onnx_shape shape;
  if (!qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), node->inputs[0]->rank, &axis) ||
      !joined_shape(im, node, axis, &shape))
    return;
  if (qb__onnx_is_batch(im, &shape, axis)) {
    qb__onnx_mixing(im, node);
    return;
  }
  int32_t *tensors = qb__calloc(im->context, node->input_count, sizeof *tensors);
  if (!tensors) {
    im->status = QB_ERROR_NO_MEMORY;
    return;
  }
  for (size_t i = 0; i < node->input_count && !im->graph->status; i++)
    tensors[i] = part_of(im, node->inputs[i], &shape, axis);
  if (!im->graph->status)
    qb__onnx_result(im, node,
                    qb__graph_concat(im->graph, node->label, tensors, node->input_count,
                                     qb__onnx_sample_axis(im, &shape, axis)),
                    &shape);
  qb__free(im->context, tensors);
}

/* Reshapes to five dimensions, turns them, and joins them again. */
static void rearrange(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *image,
                      int32_t x, const int64_t split[5], const uint32_t order[5],
                      const int64_t joined[3])
{
  qb__graph *g = im->graph;
  int32_t y = qb__graph_reshape(g, node->label, x, 5, split);
  y = qb__graph_transpose(g, node->label, y, order);
  qb__onnx_image_result(im, node, image, qb__graph_reshape(g, node->label, y, 3, joined));
}

static const qb__onnx_value *blocks_input(qb__onnx *im, const qb__onnx_node *node, int64_t *block,
                                          int32_t *tensor)
{
  const qb__onnx_value *x = qb__onnx_image_input(im, node, tensor);
  *block = qb__onnx_int(node, "blocksize");
  if (!x || (x->rank == 4 && *block >= 1 && *block <= 1024))
    return x;
  qb__onnx_problem(im, node,
                   "an image of %u dimensions in blocks of %lld; 2 and 1 to 1024 are "
                   "supported",
                   x->rank - 2, (long long)*block);
  return NULL;
}

void qb__onnx_map_depth_to_space(qb__onnx *im, const qb__onnx_node *node)
{
  static const uint32_t depth_first[5] = {2, 3, 0, 4, 1}, channels_first[5] = {0, 3, 1, 4, 2};
  int32_t tensor;
  int64_t b;
  const qb__onnx_value *x = blocks_input(im, node, &b, &tensor);
  if (!x)
    return;
  const int64_t c = x->dims[1] / (b * b), h = x->dims[2], w = x->dims[3];
  const int64_t joined[3] = {c, h * b, w * b};
  const bool dcr = im->opset < 11 || qb__onnx_text_is(node, "mode", "DCR");
  const int64_t split[2][5] = {{c, b, b, h, w}, {b, b, c, h, w}};
  if (x->dims[1] % (b * b))
    qb__onnx_problem(im, node, "%lld channels do not divide into blocks of %lldx%lld",
                     (long long)x->dims[1], (long long)b, (long long)b);
  else
    rearrange(im, node, x, tensor, split[dcr], dcr ? depth_first : channels_first, joined);
}

void qb__onnx_map_space_to_depth(qb__onnx *im, const qb__onnx_node *node)
{
  static const uint32_t order[5] = {2, 4, 0, 1, 3};
  int32_t tensor;
  int64_t b;
  const qb__onnx_value *x = blocks_input(im, node, &b, &tensor);
  if (!x)
    return;
  const int64_t c = x->dims[1], h = x->dims[2] / b, w = x->dims[3] / b;
  const int64_t split[5] = {c, h, b, w, b}, joined[3] = {c * b * b, h, w};
  if (x->dims[2] % b || x->dims[3] % b)
    qb__onnx_problem(im, node, "an image of %lldx%lld does not divide into blocks of %lldx%lld",
                     (long long)x->dims[2], (long long)x->dims[3], (long long)b, (long long)b);
  else
    rearrange(im, node, x, tensor, split, order, joined);
}
