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
    qb__onnx_problem(im, node, "the shape asked for has not the elements of its input");
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
    qb__onnx_problem(im, node, "axis %lld is not one of the %u dimensions", (long long)axis,
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
      qb__onnx_problem(im, node, "'perm' is not an order of its %u dimensions", rank);
      return false;
    }
    seen |= UINT32_C(1) << axis;
    order[i] = (uint32_t)axis;
  }
  return true;
}
