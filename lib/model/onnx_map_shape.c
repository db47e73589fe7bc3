/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that only move elements, or give them another shape. */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "model/onnx_impl.h"
#include "model/onnx_shape.h"

#include <string.h>

static const qb__onnx_value *first_input(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  if (x && x->kind == QB__ONNX_ACTIVATION)
    return x;
  qb__onnx_problem(im, node, "its first input is not computed from the network's inputs");
  return NULL;
}

void qb__onnx_map_identity(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = first_input(im, node);
  const Onnx__AttributeProto *to = qb__onnx_attribute(node, "to");
  if (!x)
    return;
  if (!strcmp(node->proto->op_type, "Cast") &&
      (!to || to->i != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT))
    qb__onnx_problem(im, node,
                     "activations are 32-bit floats; only shapes are cast to other types");
  else
    qb__onnx_result_like(im, node, x->tensor, x);
}

/* The same elements as another shape, which must keep samples apart. */
static void reshape(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x, uint32_t rank,
                    const int64_t *dims)
{
  if (im->batched && (rank == 0 || dims[0] != im->batch)) {
    qb__onnx_mixing(im, node);
    return;
  }
  int64_t sample[QB__ONNX_RANK];
  const uint32_t sample_rank = qb__onnx_sample(im, rank, dims, sample);
  const qb__tensor *t = &im->graph->tensors[x->tensor];
  const bool same =
      t->rank == sample_rank && !memcmp(t->dims, sample, sample_rank * sizeof *sample);
  qb__onnx_result(im, node,
                  same ? x->tensor
                       : qb__graph_reshape(im->graph, node->label, x->tensor, sample_rank, sample),
                  rank, dims);
}

static void map_shape(qb__onnx *im, const qb__onnx_node *node, qb__onnx_shape_of *shape_of)
{
  const qb__onnx_value *x = first_input(im, node);
  uint32_t rank;
  int64_t dims[QB__ONNX_RANK];
  if (x && shape_of(im, node, x, &rank, dims))
    reshape(im, node, x, rank, dims);
}

void qb__onnx_map_reshape(qb__onnx *im, const qb__onnx_node *node)
{
  map_shape(im, node, qb__onnx_shape_reshape);
}

void qb__onnx_map_flatten(qb__onnx *im, const qb__onnx_node *node)
{
  map_shape(im, node, qb__onnx_shape_flatten);
}

void qb__onnx_map_squeeze(qb__onnx *im, const qb__onnx_node *node)
{
  map_shape(im, node, qb__onnx_shape_squeeze);
}

void qb__onnx_map_unsqueeze(qb__onnx *im, const qb__onnx_node *node)
{
  map_shape(im, node, qb__onnx_shape_unsqueeze);
}

void qb__onnx_map_transpose(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = first_input(im, node);
  uint32_t order[QB__ONNX_RANK], sample[QB_MAX_DIMS];
  if (!x || !qb__onnx_order(im, node, x->rank, order))
    return;
  if (im->batched && order[0] != 0) {
    qb__onnx_mixing(im, node);
    return;
  }
  int64_t dims[QB__ONNX_RANK];
  for (uint32_t i = 0; i < x->rank; i++)
    dims[i] = x->dims[order[i]];
  const uint32_t skip = im->batched ? 1 : 0;
  for (uint32_t i = skip; i < x->rank; i++)
    sample[i - skip] = order[i] - skip;
  qb__onnx_result(im, node,
                  x->rank > skip ? qb__graph_transpose(im->graph, node->label, x->tensor, sample)
                                 : x->tensor,
                  x->rank, dims);
}

void qb__onnx_map_concat(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = first_input(im, node);
  uint32_t axis;
  if (!x || !qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), x->rank, &axis))
    return;
  int64_t dims[QB__ONNX_RANK];
  memcpy(dims, x->dims, sizeof dims);
  dims[axis] = 0;
  for (size_t i = 0; i < node->input_count; i++) {
    const qb__onnx_value *v = node->inputs[i];
    if (!v || v->kind != QB__ONNX_ACTIVATION || v->rank != x->rank) {
      qb__onnx_problem(im, node, "it joins activations with constants or other shapes");
      return;
    }
    dims[axis] += v->dims[axis];
  }
  if (im->batched && axis == 0) {
    qb__onnx_mixing(im, node);
    return;
  }
  int32_t *tensors = qb__calloc(im->context, node->input_count, sizeof *tensors);
  if (!tensors) {
    im->status = QB_ERROR_NO_MEMORY;
    return;
  }
  for (size_t i = 0; i < node->input_count; i++)
    tensors[i] = node->inputs[i]->tensor;
  qb__onnx_result(im, node,
                  qb__graph_concat(im->graph, node->label, tensors, node->input_count,
                                   axis - (im->batched ? 1 : 0)),
                  x->rank, dims);
  qb__free(im->context, tensors);
}

/* Element `index` along an axis, alone. */
static int32_t slice(qb__onnx *im, const qb__onnx_node *node, int32_t x, uint32_t axis,
                     int64_t index)
{
  int64_t before[QB_MAX_DIMS] = {0}, after[QB_MAX_DIMS] = {0};
  before[axis] = -index;
  after[axis] = index + 1 - im->graph->tensors[x].dims[axis];
  return qb__graph_pad(im->graph, node->label, x, before, after, 0);
}

/* Padding one axis with elements of its own: `edge` repeats the outermost, else they are mirrored. */
static int32_t extend(qb__onnx *im, const qb__onnx_node *node, int32_t x, uint32_t axis,
                      int64_t before, int64_t after, bool edge)
{
  enum { MOST = 64 };
  const int64_t size = im->graph->tensors[x].dims[axis];
  int32_t parts[MOST + 1];
  size_t count = 0;
  if (before < 0 || after < 0 || before + after > MOST ||
      (!edge && (before >= size || after >= size))) {
    qb__onnx_problem(im, node,
                     "edge and reflect pads of 0 to %d elements, less than there are, "
                     "are supported",
                     MOST);
    return QB__NONE;
  }
  for (int64_t i = before; i > 0; i--)
    parts[count++] = slice(im, node, x, axis, edge ? 0 : i);
  parts[count++] = x;
  for (int64_t i = 1; i <= after; i++)
    parts[count++] = slice(im, node, x, axis, edge ? size - 1 : size - 1 - i);
  return count > 1 ? qb__graph_concat(im->graph, node->label, parts, count, axis) : x;
}

/* The value of a constant pad. */
static bool pad_value(qb__onnx *im, const qb__onnx_node *node, float *value)
{
  const qb__onnx_value *v = qb__onnx_input(node, 2);
  *value = im->opset < 11 ? qb__onnx_float(node, "value") : 0;
  if (im->opset < 11 || !v)
    return true;
  if (qb__onnx_number(v, value))
    return true;
  qb__onnx_problem(im, node, "its value is not a constant number");
  return false;
}

/* Pads of every dimension of the file's shape. */
static bool read_pads(qb__onnx *im, const qb__onnx_node *node, uint32_t rank, int64_t *before,
                      int64_t *after)
{
  int64_t pads[2 * QB__ONNX_RANK], axes[QB__ONNX_RANK];
  const int count = qb__onnx_ints_or_input(im, node, "pads", 11, 1, pads, 2 * QB__ONNX_RANK);
  int chosen = 0;
  if (count < 0)
    return false;
  if (im->opset >= 18 &&
      (chosen = qb__onnx_ints_or_input(im, node, "axes", 18, 3, axes, QB__ONNX_RANK)) < 0)
    return false;
  for (int i = 0; !chosen && i < (int)rank; i++)
    axes[i] = i;
  chosen = chosen ? chosen : (int)rank;
  if (count != 2 * chosen) {
    qb__onnx_problem(im, node, "its pads are not two for each dimension");
    return false;
  }
  memset(before, 0, QB__ONNX_RANK * sizeof *before);
  memset(after, 0, QB__ONNX_RANK * sizeof *after);
  for (int i = 0; i < chosen; i++) {
    uint32_t axis;
    if (!qb__onnx_axis(im, node, axes[i], rank, &axis))
      return false;
    before[axis] = pads[i];
    after[axis] = pads[chosen + i];
  }
  return true;
}

void qb__onnx_map_pad(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = first_input(im, node);
  int64_t before[QB__ONNX_RANK], after[QB__ONNX_RANK], dims[QB__ONNX_RANK];
  float value;
  const bool edge = qb__onnx_text_is(node, "mode", "edge");
  const bool reflect = qb__onnx_text_is(node, "mode", "reflect");
  if (!edge && !reflect && !qb__onnx_text_is(node, "mode", "constant"))
    qb__onnx_problem(im, node, "only the modes constant, edge and reflect are supported");
  else if (x && read_pads(im, node, x->rank, before, after) && pad_value(im, node, &value)) {
    const uint32_t skip = im->batched ? 1 : 0;
    if (im->batched && (before[0] || after[0])) {
      qb__onnx_mixing(im, node);
      return;
    }
    for (uint32_t i = 0; i < x->rank; i++)
      if (__builtin_add_overflow(x->dims[i], before[i], &dims[i]) ||
          __builtin_add_overflow(dims[i], after[i], &dims[i])) {
        qb__onnx_problem(im, node, "its pads are too large");
        return;
      }
    int32_t y = x->tensor;
    if (!edge && !reflect)
      y = x->rank > skip
              ? qb__graph_pad(im->graph, node->label, y, before + skip, after + skip, value)
              : y;
    for (uint32_t i = skip; (edge || reflect) && i < x->rank && y != QB__NONE; i++)
      y = extend(im, node, y, i - skip, before[i], after[i], edge);
    qb__onnx_result(im, node, y, x->rank, dims);
  }
}

void qb__onnx_map_shape(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = first_input(im, node);
  if (x)
    qb__onnx_make_shape(im, node, x, qb__onnx_find(im, node->proto->output[0]));
}

void qb__onnx_map_fold_only(qb__onnx *im, const qb__onnx_node *node)
{
  qb__onnx_problem(im, node, "it is supported only where it computes shapes from constants");
}
