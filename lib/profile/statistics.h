/* SPDX-License-Identifier: Apache-2.0 */
/* Order statistics of timings. */
#ifndef QB_PROFILE_STATISTICS_H
#define QB_PROFILE_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

/* Sorts in place, ascending. */
void qb__sort_ns(int64_t *values, size_t count);

/* Quantile `q` in [0, 1] of ascending values, linear between neighbours; count >= 1. */
int64_t qb__quantile_ns(const int64_t *sorted, size_t count, double q);

/* Rounded to the next; count >= 1. */
int64_t qb__mean_ns(const int64_t *values, size_t count);

/*
 * Distribution-free 95 % confidence interval of the median of ascending values: the order
 * statistics at ranks given by the binomial distribution (Conover, Practical Nonparametric
 * Statistics, 3rd ed., section 3.2). With fewer than QB__FEWEST_RANKED values no such ranks exist
 * and the extremes are given.
 */
void qb__median_interval_ns(const int64_t *sorted, size_t count, int64_t *low, int64_t *high);

/* How values of several points vary, as logarithms around the mean of each. */
typedef struct qb__spread {
  double squares;
  size_t freedom;
} qb__spread;

void qb__spread_add(qb__spread *spread, const int64_t *values, size_t count);

/*
 * 95 % confidence interval of the median of few ascending values, as far as the values of all
 * points tell: Student's, of logarithms with the pooled spread. What is known before counts as much
 * as 5 values of a point that vary by 10 %, so that one value alone has an interval too.
 */
void qb__few_interval_ns(const qb__spread *spread, const int64_t *sorted, size_t count,
                         int64_t *low, int64_t *high);

/* The 97.5th percentile of Student's t, within 0.3 % from 4 degrees of freedom on. */
double qb__student(double freedom);

enum { QB__FEWEST_RANKED = 6 };

#endif
