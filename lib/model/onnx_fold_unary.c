/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of one element, and casts. */
#include "model/onnx_fold.h"

#include "model/onnx_shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double negative(double x)
{
  return -x;
}

static double relu(double x)
{
  return x < 0 ? 0 : x;
}

static double sign(double x)
{
  return isnan(x) ? x : (x > 0) - (x < 0);
}

static double reciprocal(double x)
{
  return 1 / x;
}

static double sigmoid(double x)
{
  return 1 / (1 + exp(-x));
}

static double is_nan(double x)
{
  return isnan(x);
}

static int64_t absolute_integer(int64_t x)
{
  return x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
}

static int64_t negative_integer(int64_t x)
{
  return (int64_t)(0 - (uint64_t)x);
}

static int64_t relu_integer(int64_t x)
{
  return x < 0 ? 0 : x;
}

static int64_t sign_integer(int64_t x)
{
  return (x > 0) - (x < 0);
}

static int64_t not_boolean(int64_t x)
{
  return !x;
}

typedef struct unary {
  const char *name;
  double (*real)(double);      /* NULL: none of reals */
  int64_t (*integer)(int64_t); /* NULL: none of integers */
} unary;

static const unary *unary_of(const char *operator_type)
{
  static const unary list[] = {
      {"Abs", fabs, absolute_integer},
      {"Ceil", ceil, NULL},
      {"Cos", cos, NULL},
      {"Erf", erf, NULL},
      {"Exp", exp, NULL},
      {"Floor", floor, NULL},
      {"IsNaN", is_nan, NULL},
      {"Log", log, NULL},
      {"Neg", negative, negative_integer},
      {"Not", NULL, not_boolean},
      {"Reciprocal", reciprocal, NULL},
      {"Relu", relu, relu_integer},
      {"Round", nearbyint, NULL},
      {"Sigmoid", sigmoid, NULL},
      {"Sign", sign, sign_integer},
      {"Sin", sin, NULL},
      {"Sqrt", sqrt, NULL},
      {"Tanh", tanh, NULL},
  };
  const unary *u = list;
  while (strcmp(u->name, operator_type) != 0)
    u++;
  return u;
}

/* UINT64 has no negative ones, whatever its bits look like. */
static bool is_unsigned_and_wide(int32_t type)
{
  return type == QB__ONNX_TYPE(UINT64);
}

static int64_t integer_result(const unary *u, const qb__onnx_value *x, size_t i)
{
  const int64_t value = qb__onnx_int_at(x, i);
  if (value < 0 && is_unsigned_and_wide(x->type) && u->integer != negative_integer)
    return u->integer == sign_integer ? 1 : value;
  return u->integer(value);
}

void qb__onnx_fold_unary(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  const unary *u = unary_of(node->proto->op_type);
  const bool real = qb__onnx_is_real_type(x->type), boolean = x->type == QB__ONNX_TYPE(BOOL);
  const bool to_boolean = u->real == is_nan;
  if (real ? !u->real : !u->integer || boolean != (u->integer == not_boolean)) {
    qb__onnx_problem(im, node, "the operator does not take elements of type %s",
                     qb__onnx_type_name(x->type));
    return;
  }
  const int32_t type = to_boolean ? QB__ONNX_TYPE(BOOL) : x->type;
  if (!qb__onnx_make(im, result, type, x->rank, x->dims))
    return;
  for (size_t i = 0; i < x->elements; i++)
    if (to_boolean)
      qb__onnx_set_int(result, i, isnan(qb__onnx_real_at(x, i)));
    else if (real)
      qb__onnx_set_real(result, i, u->real(qb__onnx_real_at(x, i)));
    else
      qb__onnx_set_int(result, i, integer_result(u, x, i));
}

/* An open element keeps its mark in a type that batches fit into. */
static bool cast_open(qb__onnx_value *result, size_t i, int64_t value)
{
  const bool boolean = result->type == QB__ONNX_TYPE(BOOL);
  if (!boolean && !qb__onnx_open_fits(result->type))
    return false;
  ((int64_t *)result->data)[i] = boolean ? 1 : value;
  result->open[i] = !boolean;
  return true;
}

static void cast_element(qb__onnx_value *result, const qb__onnx_value *x, size_t i)
{
  if (qb__onnx_is_real_type(result->type))
    qb__onnx_set_real(result, i, qb__onnx_real_at(x, i));
  else if (qb__onnx_is_real_type(x->type))
    ((int64_t *)result->data)[i] = qb__onnx_truncate(result->type, qb__onnx_real_at(x, i));
  else
    qb__onnx_set_int(result, i, qb__onnx_int_at(x, i));
}

static void cast(qb__onnx *im, const qb__onnx_node *node, int64_t to, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  if (to <= 0 || to > INT16_MAX || !qb__onnx_type_bits((int32_t)to)) {
    qb__onnx_problem(im, node, "constants cannot be cast to ONNX type %lld, which is not numeric",
                     (long long)to);
    return;
  }
  if (!qb__onnx_make(im, result, (int32_t)to, x->rank, x->dims) ||
      (qb__onnx_has_open(x) && !qb__onnx_may_open(im, result)))
    return;
  for (size_t i = 0; i < x->elements; i++)
    if (!result->open || !x->open[i]) {
      cast_element(result, x, i);
    } else if (!cast_open(result, i, qb__onnx_int_at(x, i))) {
      qb__onnx_open_problem(im, node);
      return;
    }
}

void qb__onnx_fold_cast(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  cast(im, node, qb__onnx_int(node, "to"), result);
}

void qb__onnx_fold_cast_like(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  cast(im, node, qb__onnx_input(node, 1)->type, result);
}
