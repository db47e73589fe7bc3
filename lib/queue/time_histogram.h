/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of times in bins of at most 0.4 % of the time, and their quantiles. */
#ifndef QB_QUEUE_TIME_HISTOGRAM_H
#define QB_QUEUE_TIME_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
  QB__TIME_MANTISSA_BITS = 8,
  QB__TIME_BINS = (64 - QB__TIME_MANTISSA_BITS) << QB__TIME_MANTISSA_BITS
};

/* A zeroed one is empty. */
typedef struct qb__time_histogram {
  uint64_t total;
  double sum_ns;
  uint32_t count[QB__TIME_BINS];
} qb__time_histogram;

/* A bin holds the times with the same power of 2 and the same next 8 bits; small ones one time. */
static inline uint32_t qb__time_bin(uint64_t time_ns)
{
  if (time_ns < 1u << QB__TIME_MANTISSA_BITS)
    return (uint32_t)time_ns;
  const uint32_t power = 63 - (uint32_t)__builtin_clzll(time_ns);
  const uint32_t shift = power - QB__TIME_MANTISSA_BITS;
  return (shift << QB__TIME_MANTISSA_BITS) + (uint32_t)(time_ns >> shift);
}

static inline void qb__time_histogram_add(qb__time_histogram *histogram, int64_t time_ns)
{
  histogram->total++;
  histogram->sum_ns += (double)time_ns;
  histogram->count[qb__time_bin((uint64_t)time_ns)]++;
}

/* Makes the first of several the sum of all, each count times the weight of its histogram. */
void qb__time_histogram_weigh(qb__time_histogram *histograms, const double *weights, size_t count);

/* The time that a share of q, in (0, 1), lies below; 0 of an empty one. */
int64_t qb__time_histogram_quantile(const qb__time_histogram *histogram, double q);

/* The share of times below `time_ns`, the inverse of the quantile; 0 of an empty one. */
double qb__time_histogram_share(const qb__time_histogram *histogram, int64_t time_ns);

#endif
