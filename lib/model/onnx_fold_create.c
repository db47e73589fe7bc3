/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that make constants: of attributes, of shapes, of a few numbers. */
#include "model/onnx_fold.h"

#include "core/alloc.h"
#include "model/onnx_shape.h"

#include <math.h>
#include <string.h>

#define TYPE QB__ONNX_TYPE

static void of_ints(qb__onnx *im, uint32_t rank, const int64_t *values, size_t count,
                    qb__onnx_value *result)
{
  const int64_t dims = (int64_t)count;
  if (qb__onnx_make(im, result, TYPE(INT64), rank, &dims) && count)
    memcpy(result->data, values, count * sizeof *values);
}

static void of_floats(qb__onnx *im, uint32_t rank, const float *values, size_t count,
                      qb__onnx_value *result)
{
  const int64_t dims = (int64_t)count;
  if (qb__onnx_make(im, result, TYPE(FLOAT), rank, &dims) && count)
    memcpy(result->data, values, count * sizeof *values);
}

void qb__onnx_fold_constant(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const Onnx__AttributeProto *a = NULL;
  if (node->proto->n_attribute == 1)
    a = node->proto->attribute[0];
  const char *name = a ? a->name : "";
  if (!strcmp(name, "value") && a->t)
    qb__onnx_read_tensor(im, a->t, result);
  else if (!strcmp(name, "value_int"))
    of_ints(im, 0, &a->i, 1, result);
  else if (!strcmp(name, "value_float"))
    of_floats(im, 0, &a->f, 1, result);
  else if (!strcmp(name, "value_ints"))
    of_ints(im, 1, a->ints, a->n_ints, result);
  else if (!strcmp(name, "value_floats"))
    of_floats(im, 1, a->floats, a->n_floats, result);
  else
    qb__onnx_problem(im, node, "its value is not one dense tensor, or numbers");
}

/* Each memory cell is written once: this is how files of a few bytes hold networks. */
static void fill(qb__onnx_value *result, const qb__onnx_value *value)
{
  if (qb__onnx_width(result->type) == sizeof(float)) {
    const float number = value->data ? *(const float *)value->data : 0;
    for (size_t i = 0; i < result->elements; i++)
      ((float *)result->data)[i] = number;
  } else {
    const uint64_t bits = *(const uint64_t *)value->data;
    for (size_t i = 0; i < result->elements; i++)
      ((uint64_t *)result->data)[i] = bits;
  }
}

void qb__onnx_fold_constant_of_shape(qb__onnx *im, const qb__onnx_node *node,
                                     qb__onnx_value *result)
{
  const Onnx__AttributeProto *a = qb__onnx_attribute(node, "value");
  qb__onnx_value value = {.name = "value", .tensor = QB__NONE, .type = TYPE(FLOAT)};
  int64_t dims[QB__ONNX_RANK];
  const int rank = qb__onnx_dims_input(im, node, "shape", 0, dims, QB__ONNX_RANK);
  bool fits = rank >= 0;
  for (int i = 0; i < rank; i++)
    fits = fits && dims[i] >= 0;
  if (fits && a && a->t)
    qb__onnx_read_tensor(im, a->t, &value);
  if (rank >= 0 && !im->status && (!fits || (a && value.elements != 1)))
    qb__onnx_problem(im, node, "its shape is negative, or its value is not one number");
  else if (fits && !im->status && qb__onnx_make(im, result, value.type, (uint32_t)rank, dims))
    fill(result, &value);
  if (value.owned)
    qb__onnx_release(im, &value);
}

void qb__onnx_make_shape(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                         qb__onnx_value *result)
{
  int64_t start, end, size = 1;
  bool fits = true;
  if (!strcmp(node->proto->op_type, "Shape")) {
    qb__onnx_shape_range(node, x->rank, &start, &end);
    of_ints(im, 1, x->dims + start, (size_t)(end - start), result);
  } else {
    for (uint32_t i = 0; i < x->rank; i++)
      fits = fits && !(qb__onnx_is_open(im, size) && qb__onnx_is_open(im, x->dims[i])) &&
             !__builtin_mul_overflow(size, x->dims[i], &size);
    of_ints(im, 0, &size, 1, result);
  }
  if (!fits)
    qb__onnx_problem(im, node, "the number of its elements is not a multiple of the open batch");
  else if (!im->status)
    (void)qb__onnx_mark_open(im, result);
}

void qb__onnx_fold_shape(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  qb__onnx_make_shape(im, node, qb__onnx_input(node, 0), result);
}

/* How many numbers from the first on, each a step further, come before the limit. */
static int64_t count_reals(double first, double limit, double step)
{
  const double count = ceil((limit - first) / step);
  return count >= 1 ? count < 0x1p62 ? (int64_t)count : INT64_MAX : 0;
}

static int64_t count_integers(int64_t first, int64_t limit, int64_t step)
{
  const bool up = step > 0;
  if (up ? first >= limit : first <= limit)
    return 0;
  const uint64_t distance =
      up ? (uint64_t)limit - (uint64_t)first : (uint64_t)first - (uint64_t)limit;
  const uint64_t count = (distance - 1) / (up ? (uint64_t)step : 0 - (uint64_t)step);
  return count < INT64_MAX ? (int64_t)count + 1 : INT64_MAX;
}

static int64_t range_count(const qb__onnx_value *const *inputs)
{
  if (qb__onnx_is_real_type(inputs[0]->type))
    return count_reals(qb__onnx_real_at(inputs[0], 0), qb__onnx_real_at(inputs[1], 0),
                       qb__onnx_real_at(inputs[2], 0));
  return count_integers(qb__onnx_int_at(inputs[0], 0), qb__onnx_int_at(inputs[1], 0),
                        qb__onnx_int_at(inputs[2], 0));
}

void qb__onnx_fold_range(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *const inputs[3] = {qb__onnx_input(node, 0), qb__onnx_input(node, 1),
                                           qb__onnx_input(node, 2)};
  const int32_t type = inputs[0]->type;
  bool fits = true;
  for (int i = 0; i < 3; i++)
    fits = fits && inputs[i]->elements == 1 && inputs[i]->type == type;
  if (!fits || qb__onnx_real_at(inputs[2], 0) == 0) {
    qb__onnx_problem(im, node, "its start, limit and step are not three numbers of one type");
    return;
  }
  const int64_t dims = range_count(inputs);
  if (!qb__onnx_make(im, result, type, 1, &dims))
    return;
  for (size_t i = 0; i < result->elements; i++)
    if (qb__onnx_is_real_type(type))
      qb__onnx_set_real(
          result, i, qb__onnx_real_at(inputs[0], 0) + (double)i * qb__onnx_real_at(inputs[2], 0));
    else
      qb__onnx_set_int(result, i,
                       (int64_t)((uint64_t)qb__onnx_int_at(inputs[0], 0) +
                                 i * (uint64_t)qb__onnx_int_at(inputs[2], 0)));
}

/* A number in the type of a result. */
static void set_number(qb__onnx_value *result, size_t i, int64_t number)
{
  if (qb__onnx_is_real_type(result->type))
    qb__onnx_set_real(result, i, (double)number);
  else
    qb__onnx_set_int(result, i, number);
}

void qb__onnx_fold_eye(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  const int64_t given = qb__onnx_attribute(node, "dtype") ? qb__onnx_int(node, "dtype") : x->type;
  const int64_t k = qb__onnx_int(node, "k");
  if (x->rank != 2 || given < 0 || given > INT16_MAX || !qb__onnx_type_bits((int32_t)given)) {
    qb__onnx_problem(im, node, "its input is not a matrix of numbers");
    return;
  }
  if (!qb__onnx_make(im, result, (int32_t)given, 2, x->dims))
    return;
  for (size_t i = 0; i < result->elements; i++) {
    const int64_t row = (int64_t)i / x->dims[1], column = (int64_t)i % x->dims[1];
    set_number(result, i, column - row == k);
  }
}

/* Sets the elements of a OneHot, whose new dimension is `axis`. */
static void set_hot(const qb__onnx_value *indices, const qb__onnx_value *values, uint32_t axis,
                    size_t inner, qb__onnx_value *result)
{
  const size_t size = (size_t)result->dims[axis];
  for (size_t i = 0; i < result->elements; i++) {
    const size_t at = i / inner % size, outer = i / inner / size;
    const double index = qb__onnx_real_at(indices, outer * inner + i % inner);
    qb__onnx_copy(result, i, values, (index < 0 ? index + (double)size : index) == (double)at);
  }
}

void qb__onnx_fold_one_hot(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *indices = qb__onnx_input(node, 0), *depth = qb__onnx_input(node, 1);
  const qb__onnx_value *values = qb__onnx_input(node, 2);
  int64_t dims[QB__ONNX_RANK + 1];
  uint32_t axis;
  if (depth->elements != 1 || values->elements != 2 || indices->rank >= QB__ONNX_RANK) {
    qb__onnx_problem(im, node, "its depth is not one number, or its values not two");
    return;
  }
  const double size = qb__onnx_real_at(depth, 0);
  if (!(size >= 1 && size < 0x1p53)) {
    qb__onnx_problem(im, node, "its depth is %g", size);
    return;
  }
  if (!qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), indices->rank + 1, &axis))
    return;
  memcpy(dims, indices->dims, axis * sizeof *dims);
  dims[axis] = (int64_t)size;
  memcpy(dims + axis + 1, indices->dims + axis, (indices->rank - axis) * sizeof *dims);
  if (qb__onnx_make(im, result, values->type, indices->rank + 1, dims))
    set_hot(indices, values, axis, qb__onnx_product(im, indices, axis, indices->rank), result);
}
