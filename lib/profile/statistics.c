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
