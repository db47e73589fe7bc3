/* SPDX-License-Identifier: Apache-2.0 */
/* Which range of reals 8 bits stand for. */
#ifndef QB_QUANTIZE_RANGE_H
#define QB_QUANTIZE_RANGE_H

#include "quantize/histogram.h"

typedef enum qb__range_method {
  QB__RANGE_MIN_MAX,       /* all that was seen */
  QB__RANGE_PERCENTILE,    /* but for one value in 10,000 */
  QB__RANGE_ENTROPY,       /* least Kullback-Leibler divergence */
  QB__RANGE_SQUARED_ERROR, /* least mean squared error */
  QB__RANGE_METHODS
} qb__range_method;

/* Integers `low` to `high` with a zero point of 0. */
typedef struct qb__integer_range {
  float scale;
  float low, high; /* 0 and 255 if no value was negative, else -128 and 127 */
  qb__range_method method;
  double sqnr_db; /* of the values by which the method was chosen */
} qb__integer_range;

/* The range by one method. */
qb__integer_range qb__range_by(qb__range_method method, const qb__histogram *h);

/* 10 log10 of signal by noise when values are rounded to a range; INFINITY without noise. */
double qb__range_sqnr_db(const qb__integer_range *range, const qb__histogram *h);

/*
 * The method whose range of one half of the samples loses least of the other half, applied to both
 * halves.
 */
qb__integer_range qb__range_choose(const qb__histogram *first, const qb__histogram *second);

/* The least number that is not below `value` and has 16 bits: its products with 8 are exact. */
float qb__scale_of(double value);

const char *qb__range_method_name(qb__range_method method);

#endif
