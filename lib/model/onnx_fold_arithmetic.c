/* SPDX-License-Identifier: Apache-2.0 */
/* Operators on two and more constants that are repeated to a common shape. */
#include "model/onnx_fold.h"

#include "model/onnx_shape.h"

#include <math.h>
#include <string.h>

/* Integers to a power wrap as if multiplied one by one. */
static int64_t power_integer(int64_t a, int64_t b, bool is_unsigned)
{
  if (!is_unsigned && b < 0)
    return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
  uint64_t result = 1, square = (uint64_t)a;
  for (uint64_t left = (uint64_t)b; left; left >>= 1, square *= square)
    result *= left & 1 ? square : 1;
  return (int64_t)result;
}

static bool check_types(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_binary *binary,
                        const qb__onnx_value *const *values, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (values[i]->type != values[0]->type) {
      qb__onnx_problem(im, node, "elements of type %s are combined with those of type %s",
                       qb__onnx_type_name(values[0]->type), qb__onnx_type_name(values[i]->type));
      return false;
    }
  if (qb__onnx_binary_takes(binary, values[0]->type))
    return true;
  qb__onnx_problem(im, node, "the operator does not take elements of type %s",
                   qb__onnx_type_name(values[0]->type));
  return false;
}

/* Room for what is computed of values that are repeated to a common shape. */
static bool make_repeated(qb__onnx *im, const qb__onnx_node *node, int32_t type,
                          const qb__onnx_value *const *values, size_t count, qb__onnx_value *result,
                          qb__onnx_walk *walk)
{
  uint32_t rank;
  int64_t dims[QB__ONNX_RANK];
  bool open = false;
  if (!qb__onnx_broadcast(values, count, &rank, dims)) {
    qb__onnx_problem(im, node, "the shapes of its inputs are incompatible");
    return false;
  }
  for (size_t i = 0; i < count; i++)
    open = open || values[i]->open;
  if (!qb__onnx_make(im, result, type, rank, dims) ||
      (open && type != QB__ONNX_TYPE(BOOL) && !qb__onnx_may_open(im, result)))
    return false;
  qb__onnx_walk_init(im, walk, rank, dims);
  for (size_t i = 0; i < count && i < 3; i++)
    qb__onnx_walk_repeat(im, walk, (int)i, values[i]);
  return true;
}

/* a and b into the result; false after a problem. */
static bool combine(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_binary *binary,
                    const qb__onnx_value *a, const qb__onnx_value *b, qb__onnx_value *result)
{
  const qb__onnx_value *const values[2] = {a, b};
  qb__onnx_walk walk;
  const int32_t type = binary->types == QB__ONNX_TO_BOOL ? QB__ONNX_TYPE(BOOL) : a->type;
  if (!check_types(im, node, binary, values, 2) ||
      !make_repeated(im, node, type, values, 2, result, &walk))
    return false;
  for (size_t i = 0; i < result->elements; i++, qb__onnx_walk_next(&walk))
    if (!qb__onnx_binary_apply(im, node, binary, result, i, a, (size_t)walk.index[0], b,
                               (size_t)walk.index[1]))
      return false;
  return true;
}

void qb__onnx_fold_binary(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  (void)combine(im, node, qb__onnx_binary_for(node), qb__onnx_input(node, 0),
                qb__onnx_input(node, 1), result);
}

static void power(qb__onnx_value *result, size_t i, const qb__onnx_value *a, size_t from,
                  const qb__onnx_value *b, size_t with)
{
  const bool real = qb__onnx_is_real_type(a->type);
  if (!real && !qb__onnx_is_real_type(b->type)) {
    qb__onnx_set_int(result, i,
                     power_integer(qb__onnx_int_at(a, from), qb__onnx_int_at(b, with),
                                   b->type == QB__ONNX_TYPE(UINT64)));
    return;
  }
  const double value = pow(qb__onnx_real_at(a, from), qb__onnx_real_at(b, with));
  if (real)
    qb__onnx_set_real(result, i, value);
  else
    ((int64_t *)result->data)[i] = qb__onnx_truncate(a->type, value);
}

/* The exponent may have a type of its own; the result has that of the base. */
void qb__onnx_fold_pow(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *const values[2] = {qb__onnx_input(node, 0), qb__onnx_input(node, 1)};
  qb__onnx_walk walk;
  if (!make_repeated(im, node, values[0]->type, values, 2, result, &walk))
    return;
  for (size_t i = 0; i < result->elements; i++, qb__onnx_walk_next(&walk))
    power(result, i, values[0], (size_t)walk.index[0], values[1], (size_t)walk.index[1]);
}

static void divide_by(qb__onnx_value *v, double count)
{
  for (size_t i = 0; i < v->elements; i++)
    qb__onnx_set_real(v, i, qb__onnx_real_at(v, i) / count);
}

/* Sum, Mean, Min, Max of one value and more: two by two. */
void qb__onnx_fold_variadic(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_binary *binary = qb__onnx_binary_of(node->proto->op_type);
  const bool mean = !strcmp(node->proto->op_type, "Mean");
  qb__onnx_value sum = *result;
  if (mean && !qb__onnx_is_real_type(qb__onnx_input(node, 0)->type)) {
    qb__onnx_problem(im, node, "the operator does not take elements of type %s",
                     qb__onnx_type_name(qb__onnx_input(node, 0)->type));
    return;
  }
  qb__onnx_fold_identity(im, node, &sum);
  for (size_t i = 1; i < node->input_count && sum.owned; i++) {
    qb__onnx_value next = *result;
    const bool good = combine(im, node, binary, &sum, node->inputs[i], &next);
    qb__onnx_release(im, &sum);
    if (!good && next.owned)
      qb__onnx_release(im, &next);
    sum = next;
  }
  if (sum.owned && mean)
    divide_by(&sum, (double)node->input_count);
  *result = sum;
}

void qb__onnx_fold_where(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *const values[3] = {qb__onnx_input(node, 1), qb__onnx_input(node, 2),
                                           qb__onnx_input(node, 0)};
  qb__onnx_walk walk;
  if (values[0]->type != values[1]->type || values[2]->type != QB__ONNX_TYPE(BOOL)) {
    qb__onnx_problem(im, node,
                     "it selects between elements of types %s and %s by a condition of type %s",
                     qb__onnx_type_name(values[0]->type), qb__onnx_type_name(values[1]->type),
                     qb__onnx_type_name(values[2]->type));
    return;
  }
  if (!make_repeated(im, node, values[0]->type, values, 3, result, &walk))
    return;
  for (size_t i = 0; i < result->elements; i++, qb__onnx_walk_next(&walk)) {
    const int chosen = !qb__onnx_int_at(values[2], (size_t)walk.index[2]);
    qb__onnx_copy(result, i, values[chosen], (size_t)walk.index[chosen]);
  }
}

/* A bound of a Clip: an attribute before opset 11, an input of one element from there on. */
static bool bound(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x, size_t index,
                  qb__onnx_value *made, const qb__onnx_value **value)
{
  static const char *const names[] = {"", "min", "max"};
  *value = qb__onnx_input(node, index);
  if (im->opset < 11 && !qb__onnx_is_real_type(x->type)) {
    qb__onnx_problem(im, node, "the operator does not take elements of type %s",
                     qb__onnx_type_name(x->type));
    return false;
  }
  if (im->opset < 11) {
    const int64_t no_dims = 0;
    if (qb__onnx_make(im, made, x->type, 0, &no_dims))
      qb__onnx_set_real(made, 0, qb__onnx_float(node, names[index]));
    *value = made;
  }
  if (!*value || (!im->status && (*value)->type == x->type && (*value)->elements == 1))
    return true;
  if (!im->status)
    qb__onnx_problem(im, node, "its '%s' is not one %s", names[index], qb__onnx_type_name(x->type));
  return false;
}

void qb__onnx_fold_clip(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0), *least, *most;
  qb__onnx_value made[2] = {{.owned = false}, {.owned = false}};
  if (bound(im, node, x, 1, &made[0], &least) && bound(im, node, x, 2, &made[1], &most) &&
      qb__onnx_make(im, result, x->type, x->rank, x->dims)) {
    const qb__onnx_binary *larger = qb__onnx_binary_of("Max");
    const qb__onnx_binary *smaller = qb__onnx_binary_of("Min");
    bool good = true;
    for (size_t i = 0; good && i < x->elements; i++) {
      qb__onnx_copy(result, i, x, i);
      good = (!least || qb__onnx_binary_apply(im, node, larger, result, i, result, i, least, 0)) &&
             (!most || qb__onnx_binary_apply(im, node, smaller, result, i, result, i, most, 0));
    }
  }
  for (int i = 0; i < 2; i++)
    if (made[i].owned)
      qb__onnx_release(im, &made[i]);
}
