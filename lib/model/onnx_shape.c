/* SPDX-License-Identifier: Apache-2.0 */
#include "model/onnx_shape.h"

#include "core/checked.h"

#include <string.h>

static bool product(const int64_t *dims, uint32_t first, uint32_t last, int64_t *result)
{
  *result = 1;
  for (uint32_t i = first; i < last; i++)
    if (!qb__mul_i64(*result, dims[i], result))
      return false;
  return true;
}

bool qb__onnx_elements(uint32_t rank, const int64_t *dims, int64_t *elements)
{
  return product(dims, 0, rank, elements);
}

bool qb__onnx_shape_reshape(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                            uint32_t *rank, int64_t *dims)
{
  const int count = qb__onnx_dims_input(im, node, "shape", 1, dims, QB__ONNX_RANK);
  const bool zero = qb__onnx_int(node, "allowzero") != 0;
  int64_t known = 1, total;
  int open = -1;
  bool valid = count >= 0 && product(x->dims, 0, x->rank, &total);
  for (int i = 0; valid && i < count; i++) {
    if (dims[i] == 0 && !zero && (uint32_t)i < x->rank)
      dims[i] = x->dims[i];
    if (dims[i] == -1 && open < 0)
      open = i;
    else
      valid = dims[i] >= 0 && qb__mul_i64(known, dims[i], &known);
  }
  if (count < 0)
    return false;
  if (valid && open >= 0) {
    valid = known > 0 && total % known == 0;
    dims[open] = valid ? total / known : 0;
  } else {
    valid = valid && known == total;
  }
  if (!valid)
    qb__onnx_problem(im, node, "the requested shape does not have as many elements as its input");
  *rank = (uint32_t)count;
  return valid;
}

bool qb__onnx_shape_flatten(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                            uint32_t *rank, int64_t *dims)
{
  int64_t axis = qb__onnx_int(node, "axis");
  axis = axis < 0 ? axis + x->rank : axis;
  *rank = 2;
  if (axis < 0 || axis > x->rank || !product(x->dims, 0, (uint32_t)axis, &dims[0]) ||
      !product(x->dims, (uint32_t)axis, x->rank, &dims[1])) {
    qb__onnx_problem(im, node, "axis %lld is out of range for %u dimensions", (long long)axis,
                     x->rank);
    return false;
  }
  return true;
}

/* A mask of the axes that a node names among `rank`; -1 after a problem. */
static int64_t named_axes(qb__onnx *im, const qb__onnx_node *node, uint32_t rank)
{
  int64_t axes[QB__ONNX_RANK], mask = 0;
  const int count = qb__onnx_ints_or_input(im, node, "axes", 13, 1, axes, QB__ONNX_RANK);
  for (int i = 0; i < count; i++) {
    uint32_t axis;
    if (!qb__onnx_axis(im, node, axes[i], rank, &axis))
      return -1;
    mask |= INT64_C(1) << axis;
  }
  return count < 0 ? -1 : mask;
}

bool qb__onnx_shape_squeeze(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                            uint32_t *rank, int64_t *dims)
{
  int64_t mask = named_axes(im, node, x->rank);
  if (mask < 0)
    return false;
  const bool all = mask == 0;
  *rank = 0;
  for (uint32_t i = 0; i < x->rank; i++)
    if (all ? x->dims[i] != 1 : !(mask >> i & 1)) {
      dims[(*rank)++] = x->dims[i];
    } else if (x->dims[i] != 1) {
      qb__onnx_problem(im, node, "dimension %u is %lld, not 1", i, (long long)x->dims[i]);
      return false;
    }
  return true;
}

bool qb__onnx_shape_unsqueeze(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                              uint32_t *rank, int64_t *dims)
{
  int64_t axes[QB__ONNX_RANK];
  const int count = qb__onnx_ints_or_input(im, node, "axes", 13, 1, axes, QB__ONNX_RANK);
  if (count < 0)
    return false;
  *rank = x->rank + (uint32_t)count;
  if (*rank > QB__ONNX_RANK) {
    qb__onnx_problem(im, node, "more than %d dimensions", QB__ONNX_RANK);
    return false;
  }
  const int64_t mask = named_axes(im, node, *rank);
  if (mask < 0)
    return false;
  uint32_t from = 0;
  for (uint32_t i = 0; i < *rank; i++)
    if (mask >> i & 1)
      dims[i] = 1;
    else if (from < x->rank)
      dims[i] = x->dims[from++];
    else {
      qb__onnx_problem(im, node, "it names a dimension twice");
      return false;
    }
  return true;
}

void qb__onnx_shape_range(const qb__onnx_node *node, uint32_t rank, int64_t *start, int64_t *end)
{
  *start = qb__onnx_int(node, "start");
  *end = qb__onnx_attribute(node, "end") ? qb__onnx_int(node, "end") : rank;
  *start += *start < 0 ? rank : 0;
  *end += *end < 0 ? rank : 0;
  *start = *start < 0 ? 0 : *start > rank ? rank : *start;
  *end = *end < *start ? *start : *end > rank ? rank : *end;
}

bool qb__onnx_order(qb__onnx *im, const qb__onnx_node *node, uint32_t rank, uint32_t *order)
{
  int64_t perm[QB__ONNX_RANK];
  const int count = qb__onnx_ints(node, "perm", perm, QB__ONNX_RANK);
  uint32_t seen = 0;
  for (uint32_t i = 0; i < rank; i++) {
    const int64_t axis = count == 0 ? (int64_t)(rank - 1 - i) : count == (int)rank ? perm[i] : -1;
    if (axis < 0 || axis >= rank || seen >> axis & 1) {
      qb__onnx_problem(im, node, "'perm' is not a permutation of its %u dimensions", rank);
      return false;
    }
    seen |= UINT32_C(1) << axis;
    order[i] = (uint32_t)axis;
  }
  return true;
}

bool qb__onnx_broadcast(const qb__onnx_value *const *values, size_t count, uint32_t *rank,
                        int64_t *dims)
{
  *rank = 0;
  for (size_t n = 0; n < count; n++)
    *rank = values[n]->rank > *rank ? values[n]->rank : *rank;
  for (uint32_t i = 0; i < *rank; i++) {
    dims[i] = 1;
    for (size_t n = 0; n < count; n++) {
      const uint32_t missing = *rank - values[n]->rank;
      const int64_t dim = i < missing ? 1 : values[n]->dims[i - missing];
      if (dim != 1 && dims[i] != 1 && dim != dims[i])
        return false;
      dims[i] = dim == 1 ? dims[i] : dim;
    }
  }
  return true;
}

/* Starts and ends are clamped to where an element, or the end before or behind them, is. */
static bool slice_axis(qb__onnx *im, const qb__onnx_node *node, int64_t size, int64_t start,
                       int64_t end, int64_t step, qb__onnx_range *range)
{
  const bool back = step < 0;
  if (step == 0 || step == INT64_MIN) {
    qb__onnx_problem(im, node, "its step is %lld", (long long)step);
    return false;
  }
  start += start < 0 ? size : 0;
  end += end < 0 ? size : 0;
  const int64_t least = back ? -1 : 0, most = back ? size - 1 : size;
  start = start < 0 ? 0 : start > most ? most : start;
  end = end < least ? least : end > most ? most : end;
  const int64_t distance = back ? start - end : end - start;
  const int64_t length = back ? -step : step;
  range->start = start;
  range->step = step;
  range->count = distance <= 0 || size == 0 ? 0 : (distance - 1) / length + 1;
  return true;
}

bool qb__onnx_slice(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                    qb__onnx_range *ranges)
{
  int64_t starts[QB__ONNX_RANK], ends[QB__ONNX_RANK], axes[QB__ONNX_RANK], steps[QB__ONNX_RANK];
  const int most = QB__ONNX_RANK;
  const int count = qb__onnx_ints_or_input(im, node, "starts", 10, 1, starts, most);
  const int end_count = qb__onnx_ints_or_input(im, node, "ends", 10, 2, ends, most);
  const int axis_count = qb__onnx_ints_or_input(im, node, "axes", 10, 3, axes, most);
  const int step_count =
      im->opset < 10 ? 0 : qb__onnx_ints_or_input(im, node, "steps", 10, 4, steps, most);
  if (count < 0 || end_count < 0 || axis_count < 0 || step_count < 0)
    return false;
  if (end_count != count || (axis_count && axis_count != count) ||
      (step_count && step_count != count) || count > (int)x->rank) {
    qb__onnx_problem(im, node, "its starts, ends, axes and steps differ in number");
    return false;
  }
  for (uint32_t i = 0; i < x->rank; i++)
    ranges[i] = (qb__onnx_range){0, 1, x->dims[i]};
  for (int i = 0; i < count; i++) {
    uint32_t axis;
    if (!qb__onnx_axis(im, node, axis_count ? axes[i] : i, x->rank, &axis) ||
        !slice_axis(im, node, x->dims[axis], starts[i], ends[i], step_count ? steps[i] : 1,
                    &ranges[axis]))
      return false;
  }
  return true;
}

/*
 * The sizes that a Split node lists; *sizes is NULL where it splits evenly. False after a problem.
 */
static bool split_sizes(qb__onnx *im, const qb__onnx_node *node, const int64_t **sizes,
                        size_t *count)
{
  const Onnx__AttributeProto *a = qb__onnx_attribute(node, "split");
  const qb__onnx_value *v = im->opset < 13 ? NULL : qb__onnx_input(node, 1);
  if (v && (!qb__onnx_is_integer(v) || (v->open && memchr(v->open, 1, v->elements)))) {
    qb__onnx_problem(im, node,
                     "its sizes are not constant integers, or depend on an open batch size");
    return false;
  }
  *count = a ? a->n_ints : v ? v->elements : 0;
  *sizes = a ? a->ints : v ? v->data : NULL;
  return true;
}

/* Whether parts of sizes that are listed make a whole. */
static bool is_whole(const int64_t *sizes, size_t count, int64_t whole)
{
  int64_t sum = 0;
  for (size_t i = 0; i < count; i++)
    if (sizes[i] < 0 || __builtin_add_overflow(sum, sizes[i], &sum))
      return false;
  return sum == whole;
}

/* From opset 18 on either sizes are given or the number of parts, which is that of the outputs. */
static bool check_parts(qb__onnx *im, const qb__onnx_node *node, bool sized)
{
  const bool counted = qb__onnx_attribute(node, "num_outputs") != NULL;
  if (im->opset < 18 ||
      (sized ? !counted
             : counted && qb__onnx_int(node, "num_outputs") == (int64_t)node->proto->n_output))
    return true;
  if (counted && !sized)
    qb__onnx_problem(im, node, "'num_outputs' is %lld; it has %zu",
                     (long long)qb__onnx_int(node, "num_outputs"), node->proto->n_output);
  else
    qb__onnx_problem(im, node, "%s; expected one of them",
                     counted ? "it has both sizes and 'num_outputs'"
                             : "it has neither sizes nor 'num_outputs'");
  return false;
}

bool qb__onnx_split(qb__onnx *im, const qb__onnx_node *node, int64_t size, size_t index,
                    int64_t *count)
{
  const int64_t parts = (int64_t)node->proto->n_output, part = (size + parts - 1) / parts;
  const bool uneven = im->opset >= 18; /* the last may be smaller */
  const int64_t *sizes;
  size_t listed;
  if (!split_sizes(im, node, &sizes, &listed) || !check_parts(im, node, sizes != NULL))
    return false;
  const bool fits = sizes    ? (int64_t)listed == parts && is_whole(sizes, listed, size)
                    : uneven ? part * (parts - 1) <= size
                             : size % parts == 0;
  if (!fits) {
    qb__onnx_problem(im, node, "%lld elements cannot be split into %lld parts", (long long)size,
                     (long long)parts);
    return false;
  }
  *count = sizes ? sizes[index] : (int64_t)index + 1 == parts ? size - part * (parts - 1) : part;
  return true;
}

bool qb__onnx_reduced(qb__onnx *im, const qb__onnx_node *node, uint32_t rank, uint32_t *mask)
{
  int64_t axes[QB__ONNX_RANK];
  const int since = !strcmp(node->proto->op_type, "ReduceSum") ? 13 : 18;
  const int count = qb__onnx_ints_or_input(im, node, "axes", since, 1, axes, QB__ONNX_RANK);
  *mask = count || qb__onnx_int(node, "noop_with_empty_axes") ? 0 : (UINT32_C(1) << rank) - 1;
  for (int i = 0; i < count; i++) {
    uint32_t axis;
    if (!qb__onnx_axis(im, node, axes[i], rank, &axis))
      return false;
    *mask |= UINT32_C(1) << axis;
  }
  return count >= 0;
}
