/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic with the size of an open batch. What it gives must hold for every batch of 1 and more:
 * the same number for all, or a multiple of the batch. k times the batch is k at least, which
 * decides many comparisons.
 */
#include "model/onnx_fold.h"

bool qb__onnx_open_fits(int32_t type)
{
  return !qb__onnx_is_real_type(type) && qb__onnx_type_bits(type) >= 32;
}

/* What k times the batch multiplies it by. */
static int64_t factor(qb__onnx_amount a)
{
  return a.value / QB__ONNX_SYMBOLIC;
}

static bool closed(int64_t value, qb__onnx_amount *result)
{
  *result = (qb__onnx_amount){value, false};
  return true;
}

/* k times the batch, in a type that batches fit into. */
static bool multiple(int32_t type, int64_t k, qb__onnx_amount *result)
{
  int64_t value;
  if (k < 1 || __builtin_mul_overflow(k, (int64_t)QB__ONNX_SYMBOLIC, &value) ||
      !qb__onnx_open_fits(type))
    return false;
  *result = (qb__onnx_amount){value, true};
  return true;
}

bool qb__onnx_open_add(int32_t type, qb__onnx_amount a, qb__onnx_amount b, qb__onnx_amount *result)
{
  if (a.open && b.open)
    return multiple(type, factor(a) + factor(b), result);
  *result = a.open ? a : b;
  return (a.open ? b : a).value == 0;
}

bool qb__onnx_open_subtract(int32_t type, qb__onnx_amount a, qb__onnx_amount b,
                            qb__onnx_amount *result)
{
  if (a.open && b.open && a.value == b.value)
    return closed(0, result);
  if (a.open && b.open)
    return multiple(type, factor(a) - factor(b), result);
  *result = a;
  return a.open && b.value == 0;
}

bool qb__onnx_open_multiply(int32_t type, qb__onnx_amount a, qb__onnx_amount b,
                            qb__onnx_amount *result)
{
  if (a.open && b.open)
    return false;
  const qb__onnx_amount batch = a.open ? a : b, number = a.open ? b : a;
  int64_t k;
  if (number.value == 0)
    return closed(0, result);
  return number.value > 0 && !__builtin_mul_overflow(factor(batch), number.value, &k) &&
         multiple(type, k, result);
}

bool qb__onnx_open_divide(int32_t type, qb__onnx_amount a, qb__onnx_amount b,
                          qb__onnx_amount *result)
{
  if (a.open && b.open)
    return closed(factor(a) / factor(b), result);
  if (b.open)
    return a.value > -factor(b) && a.value < factor(b) && closed(0, result);
  return b.value > 0 && factor(a) % b.value == 0 && multiple(type, factor(a) / b.value, result);
}

bool qb__onnx_open_modulo(int32_t type, qb__onnx_amount a, qb__onnx_amount b,
                          qb__onnx_amount *result)
{
  if (b.open && !a.open)
    return a.value >= 0 && a.value < factor(b) && closed(a.value, result);
  if (b.value == 0)
    return false;
  const int64_t left = factor(a) % (b.open ? factor(b) : b.value);
  if (left == 0)
    return closed(0, result);
  return b.open && multiple(type, left, result);
}

enum { LESS = 1, EQUAL = 2, GREATER = 4 };

/* How a may compare with b, over all batches. */
static int order(qb__onnx_amount a, qb__onnx_amount b)
{
  if (a.open == b.open)
    return a.value < b.value ? LESS : a.value > b.value ? GREATER : EQUAL;
  const int64_t k = factor(a.open ? a : b), number = a.open ? b.value : a.value;
  const int more = a.open ? GREATER : LESS;
  const int same = number % k == 0 ? EQUAL : 0;
  return number < k ? more : number == k ? same | more : LESS | same | GREATER;
}

static bool decide(int which, qb__onnx_amount a, qb__onnx_amount b, qb__onnx_amount *result)
{
  const int possible = order(a, b);
  if (possible & which && possible & ~which)
    return false;
  return closed(!(possible & ~which), result);
}

bool qb__onnx_open_minimum(int32_t type, qb__onnx_amount a, qb__onnx_amount b,
                           qb__onnx_amount *result)
{
  const int possible = order(a, b);
  (void)type;
  *result = possible & LESS ? a : b;
  return !(possible & LESS) || !(possible & GREATER);
}

bool qb__onnx_open_maximum(int32_t type, qb__onnx_amount a, qb__onnx_amount b,
                           qb__onnx_amount *result)
{
  const int possible = order(a, b);
  (void)type;
  *result = possible & GREATER ? a : b;
  return !(possible & LESS) || !(possible & GREATER);
}

bool qb__onnx_open_equal(int32_t type, qb__onnx_amount a, qb__onnx_amount b,
                         qb__onnx_amount *result)
{
  (void)type;
  return decide(EQUAL, a, b, result);
}

bool qb__onnx_open_less(int32_t type, qb__onnx_amount a, qb__onnx_amount b, qb__onnx_amount *result)
{
  (void)type;
  return decide(LESS, a, b, result);
}

bool qb__onnx_open_less_or_equal(int32_t type, qb__onnx_amount a, qb__onnx_amount b,
                                 qb__onnx_amount *result)
{
  (void)type;
  return decide(LESS | EQUAL, a, b, result);
}

bool qb__onnx_open_greater(int32_t type, qb__onnx_amount a, qb__onnx_amount b,
                           qb__onnx_amount *result)
{
  (void)type;
  return decide(GREATER, a, b, result);
}

bool qb__onnx_open_greater_or_equal(int32_t type, qb__onnx_amount a, qb__onnx_amount b,
                                    qb__onnx_amount *result)
{
  (void)type;
  return decide(GREATER | EQUAL, a, b, result);
}
