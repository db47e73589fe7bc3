/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Percentiles as the decimal numbers that people write: in binary, 99.9 % of 1000 would be a little
 * more than 999.
 */
#ifndef QB_PLAN_PERCENTILE_H
#define QB_PLAN_PERCENTILE_H

#include <math.h>
#include <stdint.h>

/* Parts of a percentile: more decimals than these are rounded. */
#define QB__PERCENTILE_PARTS UINT64_C(10000000)

static inline uint64_t qb__percentile_parts(double percentile)
{
  return (uint64_t)llround(percentile * (double)QB__PERCENTILE_PARTS);
}

/* The share of samples beyond it, which may be late. */
static inline double qb__percentile_beyond(double percentile)
{
  const uint64_t all = 100 * QB__PERCENTILE_PARTS;
  return (double)(all - qb__percentile_parts(percentile)) / (double)all;
}

/* The least rank, from 1 on, that so many percent of `count` ascending values do not exceed. */
static inline uint64_t qb__percentile_rank(double percentile, uint64_t count)
{
  const uint64_t all = 100 * QB__PERCENTILE_PARTS, parts = qb__percentile_parts(percentile);
  const uint64_t whole = count / all * parts, rest = count % all;
  const uint64_t rank = whole + (rest * parts + all - 1) / all;
  return rank ? rank : 1;
}

#endif
