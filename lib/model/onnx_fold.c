/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluating nodes that read only constants: shapes that are computed, and weights prepared. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/onnx_impl.h"
#include "model/onnx_shape.h"

#include <math.h>
#include <string.h>

typedef void evaluation(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result);

static size_t width(const qb__onnx_value *v)
{
  return qb__onnx_width(v->type);
}

static void copy_element(qb__onnx_value *to, size_t i, const qb__onnx_value *from, size_t j)
{
  memcpy((char *)to->data + i * width(to), (const char *)from->data + j * width(from), width(to));
}

/* The position of element `index`. */
static void position(const qb__onnx_value *v, size_t index, int64_t *at)
{
  for (uint32_t d = v->rank; d-- > 0;) {
    at[d] = (int64_t)(index % (size_t)v->dims[d]);
    index /= (size_t)v->dims[d];
  }
}

static size_t index_of(const qb__onnx_value *v, const int64_t *at)
{
  size_t index = 0;
  for (uint32_t d = 0; d < v->rank; d++)
    index = index * (size_t)v->dims[d] + (size_t)at[d];
  return index;
}

/* The same data in another shape; it moves where nothing else reads it. */
static void give_shape(qb__onnx *im, qb__onnx_value *x, qb__onnx_value *result, uint32_t rank,
                       const int64_t *dims)
{
  if (x->owned && x->uses == 1) {
    result->kind = QB__ONNX_CONSTANT;
    result->type = x->type;
    result->rank = rank;
    memcpy(result->dims, dims, rank * sizeof *dims);
    result->elements = x->elements;
    result->data = x->data;
    result->open = x->open;
    result->owned = true;
    x->owned = false;
    x->data = NULL;
    x->open = NULL;
    x->kind = QB__ONNX_UNKNOWN;
  } else if (qb__onnx_make(im, result, x->type, rank, dims) && x->elements) {
    memcpy(result->data, x->data, x->elements * width(x));
  }
}

static void identity(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  qb__onnx_value *x = qb__onnx_input(node, 0);
  if (x)
    give_shape(im, x, result, x->rank, x->dims);
}

static void reshaped(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result,
                     qb__onnx_shape_of *shape_of)
{
  qb__onnx_value *x = qb__onnx_input(node, 0);
  uint32_t rank;
  int64_t dims[QB__ONNX_RANK];
  if (x && shape_of(im, node, x, &rank, dims))
    give_shape(im, x, result, rank, dims);
}

static void reshape(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  reshaped(im, node, result, qb__onnx_shape_reshape);
}

static void flatten(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  reshaped(im, node, result, qb__onnx_shape_flatten);
}

static void squeeze(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  reshaped(im, node, result, qb__onnx_shape_squeeze);
}

static void unsqueeze(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  reshaped(im, node, result, qb__onnx_shape_unsqueeze);
}

static void shape(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  int64_t start, end;
  if (!x)
    return;
  qb__onnx_shape_range(node, x->rank, &start, &end);
  const int64_t count = end - start;
  if (qb__onnx_make(im, result, QB__ONNX_TYPE(INT64), 1, &count) && count)
    memcpy(result->data, x->dims + start, (size_t)count * sizeof *x->dims);
}

static void cast(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  const int64_t to = qb__onnx_int(node, "to");
  const bool real =
      to == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT || to == ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE;
  if (!x)
    return;
  if (!real && to != ONNX__TENSOR_PROTO__DATA_TYPE__INT64 &&
      to != ONNX__TENSOR_PROTO__DATA_TYPE__INT32) {
    qb__onnx_problem(im, node,
                     "constants are cast to floats, doubles and integers of 32 and 64 "
                     "bits only");
    return;
  }
  if (!qb__onnx_make(im, result, real ? QB__ONNX_TYPE(FLOAT) : (int32_t)to, x->rank, x->dims))
    return;
  for (size_t i = 0; i < x->elements; i++) {
    const double value = qb__onnx_is_integer(x) ? (double)((const int64_t *)x->data)[i]
                                                : ((const float *)x->data)[i];
    if (real)
      ((float *)result->data)[i] = (float)value;
    else if (qb__onnx_is_integer(x))
      copy_element(result, i, x, i);
    else
      ((int64_t *)result->data)[i] = fabs(value) < 9e18 ? (int64_t)value : 0;
  }
}

static int64_t combine_integers(char kind, int64_t a, int64_t b)
{
  int64_t result = 0;
  switch (kind) {
  case 'A': return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
  case 'S': return __builtin_sub_overflow(a, b, &result) ? INT64_MAX : result;
  case 'M': return __builtin_mul_overflow(a, b, &result) ? INT64_MAX : result;
  default: return b == 0 || (b == -1 && a == INT64_MIN) ? 0 : a / b;
  }
}

static float combine_floats(char kind, float a, float b)
{
  return kind == 'A' ? a + b : kind == 'S' ? a - b : kind == 'M' ? a * b : a / b;
}

/* The element of a repeated input at a position of the result. */
static size_t repeated(const qb__onnx_value *v, uint32_t rank, const int64_t *at)
{
  size_t index = 0;
  for (uint32_t d = 0; d < v->rank; d++)
    index = index * (size_t)v->dims[d] + (v->dims[d] == 1 ? 0 : (size_t)at[rank - v->rank + d]);
  return index;
}

static void binary(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *a = qb__onnx_input(node, 0), *b = qb__onnx_input(node, 1);
  const char kind = *node->proto->op_type;
  int64_t dims[QB__ONNX_RANK], at[QB__ONNX_RANK];
  bool fits = a && b && a->type == b->type;
  const uint32_t rank = !fits ? 0 : a->rank > b->rank ? a->rank : b->rank;
  for (uint32_t i = 1; fits && i <= rank; i++) {
    const int64_t x = i <= a->rank ? a->dims[a->rank - i] : 1;
    const int64_t y = i <= b->rank ? b->dims[b->rank - i] : 1;
    fits = x == y || x == 1 || y == 1;
    dims[rank - i] = x == 1 ? y : x;
  }
  if (!fits) {
    qb__onnx_problem(im, node, "its constants do not fit each other");
    return;
  }
  if (!qb__onnx_make(im, result, a->type, rank, dims))
    return;
  for (size_t i = 0; i < result->elements; i++) {
    position(result, i, at);
    const size_t from = repeated(a, rank, at), with = repeated(b, rank, at);
    if (qb__onnx_is_integer(a))
      ((int64_t *)result->data)[i] = combine_integers(kind, ((const int64_t *)a->data)[from],
                                                      ((const int64_t *)b->data)[with]);
    else
      ((float *)result->data)[i] =
          combine_floats(kind, ((const float *)a->data)[from], ((const float *)b->data)[with]);
  }
}

static void concat(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *first = qb__onnx_input(node, 0);
  int64_t dims[QB__ONNX_RANK], at[QB__ONNX_RANK], offset = 0;
  uint32_t axis;
  if (!first || !qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), first->rank, &axis))
    return;
  memcpy(dims, first->dims, sizeof dims);
  dims[axis] = 0;
  for (size_t n = 0; n < node->input_count; n++) {
    const qb__onnx_value *v = node->inputs[n];
    bool fits = v && v->rank == first->rank && v->type == first->type;
    for (uint32_t d = 0; fits && d < v->rank; d++)
      fits = d == axis || v->dims[d] == first->dims[d];
    if (!fits || __builtin_add_overflow(dims[axis], v->dims[axis], &dims[axis])) {
      qb__onnx_problem(im, node, "its constants do not fit each other");
      return;
    }
  }
  if (!qb__onnx_make(im, result, first->type, first->rank, dims))
    return;
  for (size_t n = 0; n < node->input_count; n++) {
    const qb__onnx_value *v = node->inputs[n];
    for (size_t i = 0; i < v->elements; i++) {
      position(v, i, at);
      at[axis] += offset;
      copy_element(result, index_of(result, at), v, i);
    }
    offset += v->dims[axis];
  }
}

static void transpose(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  uint32_t order[QB__ONNX_RANK];
  int64_t dims[QB__ONNX_RANK], at[QB__ONNX_RANK], from[QB__ONNX_RANK];
  if (!x || !qb__onnx_order(im, node, x->rank, order))
    return;
  for (uint32_t i = 0; i < x->rank; i++)
    dims[i] = x->dims[order[i]];
  if (!qb__onnx_make(im, result, x->type, x->rank, dims))
    return;
  for (size_t i = 0; i < result->elements; i++) {
    position(result, i, at);
    for (uint32_t d = 0; d < x->rank; d++)
      from[order[d]] = at[d];
    copy_element(result, i, x, index_of(x, from));
  }
}

static void gather(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0), *indices = qb__onnx_input(node, 1);
  int64_t dims[2 * QB__ONNX_RANK];
  uint32_t axis, rank = 0;
  if (!x || !indices || !qb__onnx_is_integer(indices) ||
      x->rank + indices->rank > QB__ONNX_RANK + 1) {
    qb__onnx_problem(im, node, "its indices are not constant integers");
    return;
  }
  if (!qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), x->rank, &axis))
    return;
  size_t outer = 1, inner = 1;
  for (uint32_t i = 0; i < axis; i++)
    outer *= (size_t)(dims[rank++] = x->dims[i]);
  for (uint32_t i = 0; i < indices->rank; i++)
    dims[rank++] = indices->dims[i];
  for (uint32_t i = axis + 1; i < x->rank; i++)
    inner *= (size_t)(dims[rank++] = x->dims[i]);
  if (!qb__onnx_make(im, result, x->type, rank, dims))
    return;
  const int64_t size = x->dims[axis];
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < indices->elements; i++) {
      int64_t index = ((const int64_t *)indices->data)[i];
      index += index < 0 ? size : 0;
      if (index < 0 || index >= size) {
        qb__onnx_problem(im, node, "index %lld is not one of %lld", (long long)index,
                         (long long)size);
        return;
      }
      for (size_t n = 0; n < inner; n++)
        copy_element(result, (o * indices->elements + i) * inner + n, x,
                     (o * (size_t)size + (size_t)index) * inner + n);
    }
}

static void constant(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const Onnx__AttributeProto *a = qb__onnx_attribute(node, "value");
  int64_t count = 1;
  if (a && a->t) {
    qb__onnx_read_tensor(im, a->t, result);
  } else if ((a = qb__onnx_attribute(node, "value_int"))) {
    if (qb__onnx_make(im, result, QB__ONNX_TYPE(INT64), 0, &count))
      *(int64_t *)result->data = a->i;
  } else if ((a = qb__onnx_attribute(node, "value_float"))) {
    if (qb__onnx_make(im, result, QB__ONNX_TYPE(FLOAT), 0, &count))
      *(float *)result->data = a->f;
  } else if ((a = qb__onnx_attribute(node, "value_ints"))) {
    count = (int64_t)a->n_ints;
    if (qb__onnx_make(im, result, QB__ONNX_TYPE(INT64), 1, &count) && count)
      memcpy(result->data, a->ints, a->n_ints * sizeof *a->ints);
  } else if ((a = qb__onnx_attribute(node, "value_floats"))) {
    count = (int64_t)a->n_floats;
    if (qb__onnx_make(im, result, QB__ONNX_TYPE(FLOAT), 1, &count) && count)
      memcpy(result->data, a->floats, a->n_floats * sizeof *a->floats);
  } else {
    qb__onnx_problem(im, node, "its value is not a tensor or numbers");
  }
}

static void constant_of_shape(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const Onnx__AttributeProto *a = qb__onnx_attribute(node, "value");
  int64_t dims[QB__ONNX_RANK];
  qb__onnx_value value = {.name = "value", .tensor = QB__NONE, .type = QB__ONNX_TYPE(FLOAT)};
  const int rank = qb__onnx_ints_or_input(im, node, "shape", 0, 0, dims, QB__ONNX_RANK);
  if (rank < 0)
    return;
  if (a && a->t)
    qb__onnx_read_tensor(im, a->t, &value);
  if (!im->status && a && value.elements != 1)
    qb__onnx_problem(im, node, "its value is not one number");
  else if (!im->status && qb__onnx_make(im, result, value.type, (uint32_t)rank, dims))
    for (size_t i = 0; a && i < result->elements; i++)
      copy_element(result, i, &value, 0);
  if (value.owned)
    qb__free(im->context, value.data);
}

bool qb__onnx_fold(qb__onnx *im, const qb__onnx_node *node)
{
  static const struct {
    const char *name;
    evaluation *evaluate;
  } evaluations[] = {
      {"Add", binary},
      {"Cast", cast},
      {"Concat", concat},
      {"Constant", constant},
      {"ConstantOfShape", constant_of_shape},
      {"Div", binary},
      {"Dropout", identity},
      {"Flatten", flatten},
      {"Gather", gather},
      {"Identity", identity},
      {"Mul", binary},
      {"Reshape", reshape},
      {"Shape", shape},
      {"Squeeze", squeeze},
      {"Sub", binary},
      {"Transpose", transpose},
      {"Unsqueeze", unsqueeze},
  };
  for (size_t i = 0; i < sizeof evaluations / sizeof *evaluations; i++)
    if (!strcmp(evaluations[i].name, node->proto->op_type)) {
      qb__onnx_value *result = qb__onnx_find(im, node->proto->output[0]);
      for (size_t n = 0; n < node->input_count; n++)
        if (node->inputs[n])
          qb__onnx_narrow(node->inputs[n]);
      evaluations[i].evaluate(im, node, result);
      if (!im->status && qb__onnx_is_integer(result) && !result->open)
        (void)qb__onnx_mark_open(im, result);
      return true;
    }
  return false;
}
