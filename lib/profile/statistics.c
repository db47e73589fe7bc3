/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/statistics.h"

#include <math.h>
#include <stdlib.h>

static int ascending(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

void qb__sort_ns(int64_t *values, size_t count)
{
  if (count)
    qsort(values, count, sizeof *values, ascending);
}

int64_t qb__quantile_ns(const int64_t *sorted, size_t count, double q)
{
  const double position = q * (double)(count - 1);
  const size_t below = (size_t)position;
  if (below + 1 >= count)
    return sorted[count - 1];
  const double weight = position - (double)below;
  return sorted[below] + (int64_t)llround(weight * (double)(sorted[below + 1] - sorted[below]));
}

int64_t qb__mean_ns(const int64_t *values, size_t count)
{
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += (double)values[i];
  return llround(sum / (double)count);
}

/*
 * The largest rank k for which P(Binomial(count, 1/2) < k) <= 0.025: the interval from the k-th
 * smallest to the k-th largest value holds the median with at least 95 % probability.
 */
static size_t outer_rank(size_t count)
{
  double term = -(double)count * log(2.0), below = 0; /* log of P(Binomial = 0) */
  size_t k = 0;
  for (;;) {
    below += exp(term);
    if (below > 0.025 || k == count)
      return k;
    term += log((double)(count - k)) - log((double)(k + 1));
    k++;
  }
}

void qb__median_interval_ns(const int64_t *sorted, size_t count, int64_t *low, int64_t *high)
{
  const size_t k = outer_rank(count);
  *low = sorted[k ? k - 1 : 0];
  *high = sorted[k ? count - k : count - 1];
}

void qb__spread_add(qb__spread *spread, const int64_t *values, size_t count)
{
  double mean = 0;
  for (size_t i = 0; i < count; i++)
    mean += log((double)values[i]) / (double)count;
  for (size_t i = 0; i < count; i++)
    spread->squares += pow(log((double)values[i]) - mean, 2);
  spread->freedom += count - 1;
}

/* Cornish and Fisher's expansion (Abramowitz and Stegun, 26.7.5). */
double qb__student(double freedom)
{
  const double z = 1.959964, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
  return z + (z3 + z) / (4 * freedom) + (5 * z5 + 16 * z3 + 3 * z) / (96 * pow(freedom, 2)) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * pow(freedom, 3));
}

void qb__few_interval_ns(const qb__spread *spread, const int64_t *sorted, size_t count,
                         int64_t *low, int64_t *high)
{
  const double before = 4, varies = 0.1;
  const double freedom = before + (double)spread->freedom;
  const double variance = (before * varies * varies + spread->squares) / freedom;
  /* A median varies by sqrt(pi / 2) times as much as a mean, at most. */
  const double error = sqrt(variance * acos(-1) / 2 / (double)count);
  const double factor = exp(qb__student(freedom) * error);
  const double middle = (double)qb__quantile_ns(sorted, count, 0.5);
  /* From the smallest to the largest it is less than 95 %, whatever the law is. */
  *low = llround(fmax(1, fmin(middle / factor, (double)sorted[0])));
  *high = llround(fmax(middle * factor, (double)sorted[count - 1]));
}
