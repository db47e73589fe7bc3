/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that take some elements along their axes, or some of them several times. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/onnx_constant.h"
#include "model/onnx_map.h"
#include "model/onnx_shape.h"

#include <string.h>

/* The element of the input that element `i` of an axis is; -1 for none. */
typedef int64_t source(const void *how, int64_t i);

/* An axis anew; the shape follows. */
static int32_t rebuild(qb__onnx *im, const qb__onnx_node *node, int32_t x, qb__onnx_shape *shape,
                       uint32_t axis, int64_t count, source *from, const void *how)
{
  if (im->graph->status || im->status)
    return QB__NONE;
  int64_t *indices = qb__calloc(im->context, (size_t)count, sizeof *indices);
  if (!indices) {
    im->status = QB_ERROR_NO_MEMORY;
    return QB__NONE;
  }
  for (int64_t i = 0; i < count; i++)
    indices[i] = from(how, i);
  const int32_t y = qb__graph_pick(im->graph, node->label, x, qb__onnx_sample_axis(im, shape, axis),
                                   count, 1, indices, NULL, 0);
  shape->dims[axis] = count;
  qb__free(im->context, indices);
  return y;
}

static int64_t in_range(const void *how, int64_t i)
{
  const qb__onnx_range *r = how;
  return r->start + i * r->step;
}

/* A range of each axis: cut out at once where steps are 1. */
static int32_t take_ranges(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                           const qb__onnx_range *ranges, qb__onnx_shape *shape)
{
  int64_t before[QB_MAX_DIMS] = {0}, after[QB_MAX_DIMS] = {0};
  bool cut = false;
  int32_t y = x->tensor;
  for (uint32_t i = 0; i < x->rank; i++) {
    const qb__onnx_range *r = &ranges[i];
    if (r->step != 1 || r->count == x->dims[i] || qb__onnx_is_batch(im, shape, i))
      continue;
    const uint32_t within = qb__onnx_sample_axis(im, shape, i);
    before[within] = -r->start;
    after[within] = r->start + r->count - x->dims[i];
    cut = true;
  }
  if (cut)
    y = qb__graph_pad(im->graph, node->label, y, before, after, 0);
  for (uint32_t i = 0; i < x->rank; i++)
    if (!qb__onnx_is_batch(im, shape, i) && ranges[i].step == 1)
      shape->dims[i] = ranges[i].count;
    else if (!qb__onnx_is_batch(im, shape, i))
      y = rebuild(im, node, y, shape, i, ranges[i].count, in_range, &ranges[i]);
  return y;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
  return value < low ? low : value > high ? high : value;
}

void qb__onnx_map_slice(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  qb__onnx_range ranges[QB__ONNX_RANK];
  if (!x || !qb__onnx_slice(im, node, x, ranges))
    return;
  qb__onnx_shape shape = qb__onnx_shape_of(x);
  /* A start or end within an open batch cannot be told from one behind it. */
  if (im->batched &&
      (ranges[x->batch_axis].count != x->dims[x->batch_axis] || ranges[x->batch_axis].step != 1)) {
    qb__onnx_mixing(im, node);
    return;
  }
  for (uint32_t i = 0; i < x->rank; i++)
    if (ranges[i].count < 1) {
      qb__onnx_problem(im, node, "nothing is left of dimension %u", i);
      return;
    }
  const int32_t y = take_ranges(im, node, x, ranges, &shape);
  qb__onnx_result(im, node, y, &shape);
}

void qb__onnx_map_split(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  qb__onnx_range ranges[QB__ONNX_RANK];
  uint32_t axis;
  if (!x || !qb__onnx_within(im, node, x, qb__onnx_int(node, "axis"), &axis))
    return;
  for (uint32_t i = 0; i < x->rank; i++)
    ranges[i] = (qb__onnx_range){0, 1, x->dims[i]};
  ranges[axis].count = 0;
  for (size_t i = 0; i < node->proto->n_output; i++) {
    qb__onnx_shape shape = qb__onnx_shape_of(x);
    ranges[axis].start += ranges[axis].count;
    if (!qb__onnx_split(im, node, x->dims[axis], i, &ranges[axis].count))
      return;
    if (ranges[axis].count < 1) {
      qb__onnx_problem(im, node, "its output %zu has no elements", i + 1);
      return;
    }
    if (*node->proto->output[i]) {
      const int32_t y = take_ranges(im, node, x, ranges, &shape);
      qb__onnx_result_at(im, node, i, y, &shape);
    }
  }
}

/* Positions that a constant lists, counted from the end where negative. */
typedef struct listed {
  const int64_t *indices;
  int64_t size;
} listed;

static int64_t in_list(const void *how, int64_t i)
{
  const listed *l = how;
  return l->indices[i] < 0 ? l->indices[i] + l->size : l->indices[i];
}

static bool check_indices(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *indices,
                          int64_t size)
{
  const int64_t *list = indices->data;
  for (size_t i = 0; i < indices->elements; i++)
    if (list[i] < -size || list[i] >= size || (indices->open && indices->open[i])) {
      qb__onnx_problem(im, node, "index %lld is out of range for a dimension of %lld",
                       (long long)list[i], (long long)size);
      return false;
    }
  return true;
}

/* One element, or several at constant positions, whose dimensions take the axis's place. */
void qb__onnx_map_gather(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node), *indices = qb__onnx_input(node, 1);
  uint32_t axis;
  if (!x)
    return;
  if (!qb__onnx_is_integer(indices) || !indices->elements ||
      x->rank - 1 + indices->rank > QB__ONNX_RANK) {
    qb__onnx_problem(im, node, "its indices are not constant integers");
    return;
  }
  if (!qb__onnx_within(im, node, x, qb__onnx_int(node, "axis"), &axis) ||
      !check_indices(im, node, indices, x->dims[axis]))
    return;
  const listed list = {indices->data, x->dims[axis]};
  qb__onnx_shape flat = qb__onnx_shape_of(x), shape = {.rank = 0, .batch_outer = x->batch_outer};
  qb__onnx_range ranges[QB__ONNX_RANK];
  int32_t y;
  for (uint32_t i = 0; i < x->rank; i++)
    ranges[i] = (qb__onnx_range){0, 1, x->dims[i]};
  if (indices->elements == 1) {
    ranges[axis] = (qb__onnx_range){in_list(&list, 0), 1, 1};
    y = take_ranges(im, node, x, ranges, &flat);
  } else {
    y = rebuild(im, node, x->tensor, &flat, axis, (int64_t)indices->elements, in_list, &list);
  }
  for (uint32_t i = 0; i < x->rank; i++) {
    if (i == x->batch_axis)
      shape.batch_axis = shape.rank;
    if (i != axis)
      shape.dims[shape.rank++] = x->dims[i];
    for (uint32_t n = 0; i == axis && n < indices->rank; n++)
      shape.dims[shape.rank++] = indices->dims[n];
  }
  qb__onnx_result(im, node, qb__onnx_reshaped(im, node, y, &shape), &shape);
}

/* Over and over. */
static int64_t modulo(const void *how, int64_t i)
{
  return i % *(const int64_t *)how;
}

void qb__onnx_map_expand(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  int64_t wanted[QB__ONNX_RANK];
  const int count = qb__onnx_dims_input(im, node, "shape", 1, wanted, QB__ONNX_RANK);
  if (!x || count < 0)
    return;
  qb__onnx_shape shape = {.rank = (uint32_t)count > x->rank ? (uint32_t)count : x->rank};
  const uint32_t missing = shape.rank - x->rank;
  shape.batch_axis = x->batch_axis + missing;
  shape.batch_outer = x->batch_outer;
  for (uint32_t i = 0; i < shape.rank; i++)
    shape.dims[i] = i < missing ? 1 : x->dims[i - missing];
  int32_t y = qb__onnx_reshaped(im, node, x->tensor, &shape);
  for (uint32_t i = 0; i < (uint32_t)count && y != QB__NONE; i++) {
    const uint32_t axis = shape.rank - (uint32_t)count + i;
    const int64_t size = shape.dims[axis];
    if (wanted[i] == size || wanted[i] == 1)
      continue;
    if (qb__onnx_is_batch(im, &shape, axis)) {
      qb__onnx_mixing(im, node);
      return;
    }
    if (size != 1 || wanted[i] < 1 || qb__onnx_is_open(im, wanted[i])) {
      qb__onnx_problem(im, node, "dimension %u of %lld cannot be broadcast to %lld", axis,
                       (long long)size, (long long)wanted[i]);
      return;
    }
    y = rebuild(im, node, y, &shape, axis, wanted[i], modulo, &size);
  }
  qb__onnx_result(im, node, y, &shape);
}

void qb__onnx_map_tile(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  int64_t repeats[QB__ONNX_RANK];
  const int count = qb__onnx_ints_or_input(im, node, "repeats", 1, 1, repeats, QB__ONNX_RANK);
  if (!x || count < 0)
    return;
  if ((uint32_t)count != x->rank) {
    qb__onnx_problem(im, node, "%d repeats for %u dimensions", count, x->rank);
    return;
  }
  qb__onnx_shape shape = qb__onnx_shape_of(x);
  int32_t y = x->tensor;
  for (uint32_t i = 0; i < x->rank; i++) {
    const int64_t size = x->dims[i];
    if (repeats[i] == 1)
      continue;
    if (qb__onnx_is_batch(im, &shape, i)) {
      qb__onnx_mixing(im, node);
      return;
    }
    if (repeats[i] < 1 || repeats[i] > INT32_MAX / size) {
      qb__onnx_problem(im, node, "%lld times dimension %u of %lld", (long long)repeats[i], i,
                       (long long)size);
      return;
    }
    y = rebuild(im, node, y, &shape, i, size * repeats[i], modulo, &size);
  }
  qb__onnx_result(im, node, y, &shape);
}

/* Pads that repeat what is there: the outermost element, a mirror's, or the other end's. */
typedef struct mirror {
  int64_t before, size;
  enum { EDGE, REFLECT, WRAP } mode;
} mirror;

static int64_t mirrored(const void *how, int64_t i)
{
  const mirror *m = how;
  const int64_t at = i - m->before;
  if (m->mode == EDGE)
    return clamp(at, 0, m->size - 1);
  const int64_t period = m->mode == WRAP ? m->size : m->size > 1 ? 2 * (m->size - 1) : 1;
  const int64_t within = (at % period + period) % period;
  return within < m->size ? within : period - within;
}

/* Pads of every dimension of the file's shape. */
static bool read_pads(qb__onnx *im, const qb__onnx_node *node, uint32_t rank, int64_t *before,
                      int64_t *after)
{
  int64_t pads[2 * QB__ONNX_RANK], axes[QB__ONNX_RANK];
  const int count = qb__onnx_ints_or_input(im, node, "pads", 11, 1, pads, 2 * QB__ONNX_RANK);
  const bool named = im->opset >= 18 && qb__onnx_input(node, 3);
  int chosen = (int)rank;
  for (int i = 0; i < chosen; i++)
    axes[i] = i;
  if (count >= 0 && named)
    chosen = qb__onnx_ints_or_input(im, node, "axes", 18, 3, axes, QB__ONNX_RANK);
  if (count < 0 || chosen < 0)
    return false;
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

/* The padded shape; the batch cannot be padded. */
static bool padded_shape(qb__onnx *im, const qb__onnx_node *node, const int64_t *before,
                         const int64_t *after, qb__onnx_shape *shape)
{
  for (uint32_t i = 0; i < shape->rank; i++) {
    if (qb__onnx_is_batch(im, shape, i) && (before[i] || after[i])) {
      qb__onnx_mixing(im, node);
      return false;
    }
    if (before[i] < -INT32_MAX || before[i] > INT32_MAX || after[i] < -INT32_MAX ||
        after[i] > INT32_MAX || shape->dims[i] + before[i] + after[i] < 1) {
      qb__onnx_problem(im, node, "pads of %lld and %lld on dimension %u of %lld",
                       (long long)before[i], (long long)after[i], i, (long long)shape->dims[i]);
      return false;
    }
    shape->dims[i] += before[i] + after[i];
  }
  return true;
}

/* The value of a constant pad. */
static bool pad_value(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                      float *value)
{
  const qb__onnx_value *v = qb__onnx_input(node, 2);
  *value = im->opset < 11 ? qb__onnx_float(node, "value") : 0;
  if (im->opset < 11 || !v || qb__onnx_number_like(v, x, value))
    return true;
  qb__onnx_problem(im, node, "its value is not a constant number");
  return false;
}

void qb__onnx_map_pad(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  int64_t before[QB__ONNX_RANK], after[QB__ONNX_RANK];
  int64_t first[QB_MAX_DIMS] = {0}, last[QB_MAX_DIMS] = {0};
  float value;
  if (!x || !read_pads(im, node, x->rank, before, after) || !pad_value(im, node, x, &value))
    return;
  const bool constant = qb__onnx_text_is(node, "mode", "constant");
  qb__onnx_shape shape = qb__onnx_shape_of(x), padded = shape;
  if (!padded_shape(im, node, before, after, &padded))
    return;
  int32_t y = x->tensor;
  for (uint32_t i = 0; i < x->rank; i++) {
    const mirror m = {before[i], x->dims[i],
                      qb__onnx_text_is(node, "mode", "edge")      ? EDGE
                      : qb__onnx_text_is(node, "mode", "reflect") ? REFLECT
                                                                  : WRAP};
    if (qb__onnx_is_batch(im, &shape, i) || (!before[i] && !after[i]))
      continue;
    if (!constant)
      y = rebuild(im, node, y, &shape, i, padded.dims[i], mirrored, &m);
    first[qb__onnx_sample_axis(im, &shape, i)] = before[i];
    last[qb__onnx_sample_axis(im, &shape, i)] = after[i];
  }
  if (constant)
    y = qb__graph_pad(im->graph, node->label, y, first, last, value);
  qb__onnx_result(im, node, y, &padded);
}
