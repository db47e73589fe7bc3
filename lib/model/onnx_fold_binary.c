/* SPDX-License-Identifier: Apache-2.0 */
/* What operators make of two elements of one type. */
#include "model/onnx_fold.h"

#include <math.h>
#include <string.h>

static double add(double a, double b)
{
  return a + b;
}

static double subtract(double a, double b)
{
  return a - b;
}

static double multiply(double a, double b)
{
  return a * b;
}

static double divide(double a, double b)
{
  return a / b;
}

static double minimum(double a, double b)
{
  return isnan(a) || a < b ? a : b;
}

static double maximum(double a, double b)
{
  return isnan(a) || a > b ? a : b;
}

static double equal(double a, double b)
{
  return a == b;
}

static double less(double a, double b)
{
  return a < b;
}

static double less_or_equal(double a, double b)
{
  return a <= b;
}

static double greater(double a, double b)
{
  return a > b;
}

static double greater_or_equal(double a, double b)
{
  return a >= b;
}

static bool below(int64_t a, int64_t b, bool is_unsigned)
{
  return is_unsigned ? (uint64_t)a < (uint64_t)b : a < b;
}

static int64_t add_integers(int64_t a, int64_t b, bool is_unsigned)
{
  (void)is_unsigned;
  return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t subtract_integers(int64_t a, int64_t b, bool is_unsigned)
{
  (void)is_unsigned;
  return (int64_t)((uint64_t)a - (uint64_t)b);
}

static int64_t multiply_integers(int64_t a, int64_t b, bool is_unsigned)
{
  (void)is_unsigned;
  return (int64_t)((uint64_t)a * (uint64_t)b);
}

static int64_t divide_integers(int64_t a, int64_t b, bool is_unsigned)
{
  if (is_unsigned)
    return (int64_t)((uint64_t)a / (uint64_t)b);
  return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

/* With the sign of what it is divided by, as in Python. */
static int64_t modulo(int64_t a, int64_t b, bool is_unsigned)
{
  if (is_unsigned)
    return (int64_t)((uint64_t)a % (uint64_t)b);
  const int64_t rest = b == -1 ? 0 : a % b;
  return rest && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* With the sign of what is divided, as in C. */
static int64_t remainder_of(int64_t a, int64_t b, bool is_unsigned)
{
  if (is_unsigned)
    return (int64_t)((uint64_t)a % (uint64_t)b);
  return b == -1 ? 0 : a % b;
}

static int64_t minimum_integer(int64_t a, int64_t b, bool is_unsigned)
{
  return below(a, b, is_unsigned) ? a : b;
}

static int64_t maximum_integer(int64_t a, int64_t b, bool is_unsigned)
{
  return below(a, b, is_unsigned) ? b : a;
}

static int64_t equal_integers(int64_t a, int64_t b, bool is_unsigned)
{
  (void)is_unsigned;
  return a == b;
}

static int64_t less_integer(int64_t a, int64_t b, bool is_unsigned)
{
  return below(a, b, is_unsigned);
}

static int64_t less_or_equal_integer(int64_t a, int64_t b, bool is_unsigned)
{
  return !below(b, a, is_unsigned);
}

static int64_t greater_integer(int64_t a, int64_t b, bool is_unsigned)
{
  return below(b, a, is_unsigned);
}

static int64_t greater_or_equal_integer(int64_t a, int64_t b, bool is_unsigned)
{
  return !below(a, b, is_unsigned);
}

static int64_t both(int64_t a, int64_t b, bool is_unsigned)
{
  (void)is_unsigned;
  return a && b;
}

static int64_t either(int64_t a, int64_t b, bool is_unsigned)
{
  (void)is_unsigned;
  return a || b;
}

static int64_t one_of(int64_t a, int64_t b, bool is_unsigned)
{
  (void)is_unsigned;
  return a != b;
}

const qb__onnx_binary *qb__onnx_binary_of(const char *operator_type)
{
  static const qb__onnx_binary list[] = {
      {"Add", add, add_integers, qb__onnx_open_add, QB__ONNX_SAME_TYPE, false},
      {"And", NULL, both, NULL, QB__ONNX_OF_BOOL, false},
      {"Div", divide, divide_integers, qb__onnx_open_divide, QB__ONNX_SAME_TYPE, true},
      {"Equal", equal, equal_integers, qb__onnx_open_equal, QB__ONNX_TO_BOOL, false},
      {"Greater", greater, greater_integer, qb__onnx_open_greater, QB__ONNX_TO_BOOL, false},
      {"GreaterOrEqual", greater_or_equal, greater_or_equal_integer, qb__onnx_open_greater_or_equal,
       QB__ONNX_TO_BOOL, false},
      {"Less", less, less_integer, qb__onnx_open_less, QB__ONNX_TO_BOOL, false},
      {"LessOrEqual", less_or_equal, less_or_equal_integer, qb__onnx_open_less_or_equal,
       QB__ONNX_TO_BOOL, false},
      {"Max", maximum, maximum_integer, qb__onnx_open_maximum, QB__ONNX_SAME_TYPE, false},
      {"Mean", add, NULL, NULL, QB__ONNX_SAME_TYPE, false},
      {"Min", minimum, minimum_integer, qb__onnx_open_minimum, QB__ONNX_SAME_TYPE, false},
      {"Mod", NULL, modulo, qb__onnx_open_modulo, QB__ONNX_SAME_TYPE, true},
      {"Mul", multiply, multiply_integers, qb__onnx_open_multiply, QB__ONNX_SAME_TYPE, false},
      {"Or", NULL, either, NULL, QB__ONNX_OF_BOOL, false},
      {"Sub", subtract, subtract_integers, qb__onnx_open_subtract, QB__ONNX_SAME_TYPE, false},
      {"Sum", add, NULL, NULL, QB__ONNX_SAME_TYPE, false},
      {"Xor", NULL, one_of, NULL, QB__ONNX_OF_BOOL, false},
  };
  for (size_t i = 0; i < sizeof list / sizeof *list; i++)
    if (!strcmp(list[i].name, operator_type))
      return &list[i];
  return NULL;
}

/* Mod has two meanings. */
const qb__onnx_binary *qb__onnx_binary_for(const qb__onnx_node *node)
{
  static const qb__onnx_binary with_sign = {
      "Mod", fmod, remainder_of, qb__onnx_open_modulo, QB__ONNX_SAME_TYPE, true};
  const bool like_c = !strcmp(node->proto->op_type, "Mod") && qb__onnx_int(node, "fmod");
  return like_c ? &with_sign : qb__onnx_binary_of(node->proto->op_type);
}

bool qb__onnx_binary_takes(const qb__onnx_binary *binary, int32_t type)
{
  const bool boolean = type == QB__ONNX_TYPE(BOOL);
  if (qb__onnx_is_real_type(type))
    return binary->real;
  return binary->integer && (binary->types == QB__ONNX_OF_BOOL ? boolean
                             : binary->real == equal           ? true
                                                               : !boolean);
}

static bool apply_integer(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_binary *binary,
                          qb__onnx_value *result, size_t i, qb__onnx_amount a, qb__onnx_amount b,
                          int32_t type)
{
  qb__onnx_amount made;
  if (binary->divides && b.value == 0) {
    qb__onnx_problem(im, node, "an integer is divided by 0");
    return false;
  }
  if (!a.open && !b.open) {
    qb__onnx_set_int(result, i, binary->integer(a.value, b.value, type == QB__ONNX_TYPE(UINT64)));
    if (result->open)
      result->open[i] = 0;
    return true;
  }
  if (!binary->open || !binary->open(type, a, b, &made)) {
    qb__onnx_open_problem(im, node);
    return false;
  }
  ((int64_t *)result->data)[i] = made.value;
  if (result->open)
    result->open[i] = made.open;
  return true;
}

bool qb__onnx_binary_apply(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_binary *binary,
                           qb__onnx_value *result, size_t i, const qb__onnx_value *a, size_t from,
                           const qb__onnx_value *b, size_t with)
{
  if (!qb__onnx_is_real_type(a->type))
    return apply_integer(im, node, binary, result, i, qb__onnx_amount_at(a, from),
                         qb__onnx_amount_at(b, with), a->type);
  const double value = binary->real(qb__onnx_real_at(a, from), qb__onnx_real_at(b, with));
  if (binary->types == QB__ONNX_TO_BOOL)
    qb__onnx_set_int(result, i, value != 0);
  else
    qb__onnx_set_real(result, i, value);
  return true;
}
