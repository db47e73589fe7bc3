/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on sizes and counts, which says when it overflows. */
#ifndef QB_CORE_CHECKED_H
#define QB_CORE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool qb__mul_size(size_t a, size_t b, size_t *result)
{
  return !__builtin_mul_overflow(a, b, result);
}

static inline bool qb__add_size(size_t a, size_t b, size_t *result)
{
  return !__builtin_add_overflow(a, b, result);
}

static inline bool qb__mul_i64(int64_t a, int64_t b, int64_t *result)
{
  return !__builtin_mul_overflow(a, b, result);
}

static inline uint32_t qb__min_u32(uint32_t a, uint32_t b)
{
  return a < b ? a : b;
}

/* A time in seconds, or any count, as int64_t; too large or not a number becomes INT64_MAX. */
static inline int64_t qb__clamp_i64(double value)
{
  if (!(value < 9.2e18))
    return INT64_MAX;
  return value < -9.2e18 ? INT64_MIN : (int64_t)(value + (value < 0 ? -0.5 : 0.5));
}

#endif
