/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/time_histogram.h"

/* The least time of a bin; of the bin behind the last one too. */
static double bin_start(uint32_t bin)
{
  const uint32_t bins = 1u << QB__TIME_MANTISSA_BITS;
  if (bin < bins)
    return bin;
  const uint32_t shift = (bin >> QB__TIME_MANTISSA_BITS) - 1;
  return (double)(bins + (bin & (bins - 1))) * (double)(UINT64_C(1) << shift);
}

/* Weighted counts are whole numbers again, of so many in all. */
static const double WEIGHED_TOTAL = 1u << 31;

void qb__time_histogram_weigh(qb__time_histogram *histograms, const double *weights, size_t count)
{
  double total = 0, sum_ns = 0;
  for (size_t k = 0; k < count; k++) {
    total += weights[k] * (double)histograms[k].total;
    sum_ns += weights[k] * histograms[k].sum_ns;
  }
  const double scale = total > 0 ? WEIGHED_TOTAL / total : 0;
  qb__time_histogram *first = &histograms[0];
  first->total = 0;
  first->sum_ns = scale * sum_ns;
  for (uint32_t i = 0; i < QB__TIME_BINS; i++) {
    double weighed = 0;
    for (size_t k = 0; k < count; k++)
      weighed += weights[k] * (double)histograms[k].count[i];
    first->count[i] = (uint32_t)(scale * weighed + 0.5);
    first->total += first->count[i];
  }
}

int64_t qb__time_histogram_quantile(const qb__time_histogram *histogram, double q)
{
  const double goal = q * (double)histogram->total;
  double below = 0;
  for (uint32_t i = 0; i < QB__TIME_BINS; i++) {
    const double count = histogram->count[i];
    if (count > 0 && below + count >= goal) {
      const double start = bin_start(i), part = (goal - below) / count;
      return (int64_t)(start + part * (bin_start(i + 1) - start));
    }
    below += count;
  }
  return 0;
}

double qb__time_histogram_share(const qb__time_histogram *histogram, int64_t time_ns)
{
  const uint32_t bin = qb__time_bin((uint64_t)time_ns);
  double below = 0;
  for (uint32_t i = 0; i < bin; i++)
    below += histogram->count[i];
  const double start = bin_start(bin);
  below += histogram->count[bin] * ((double)time_ns - start) / (bin_start(bin + 1) - start);
  return histogram->total ? below / (double)histogram->total : 0;
}
