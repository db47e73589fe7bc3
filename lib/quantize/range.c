/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize/range.h"

#include <math.h>
#include <string.h>

static const double PERCENTILE = 0.9999;
enum { SCALE_BITS = 16, SEARCH_STEPS = 100, ENTROPY_STEP = 16 };

const char *qb__range_method_name(qb__range_method method)
{
  static const char *const names[QB__RANGE_METHODS] = {"min-max", "percentile", "entropy",
                                                       "squared error"};
  return names[method];
}

float qb__scale_of(double value)
{
  int exponent;
  const double mantissa = frexp(value, &exponent);
  return (float)ldexp(ceil(ldexp(mantissa, SCALE_BITS)), exponent - SCALE_BITS);
}

static bool is_signed(const qb__histogram *h)
{
  return h->least < 0;
}

/* The range that reaches to an absolute value. */
static qb__integer_range range_to(const qb__histogram *h, double most)
{
  qb__integer_range range = {.low = is_signed(h) ? INT8_MIN : 0,
                             .high = is_signed(h) ? INT8_MAX : UINT8_MAX};
  range.scale = most > 0 ? qb__scale_of(fmax(most / range.high, 0x1p-100)) : 1;
  return range;
}

/* The squared error of a value that is rounded to the range. */
static double squared_error(const qb__integer_range *range, double value)
{
  const double steps = nearbyint(value / (double)range->scale);
  const double error =
      value - (double)range->scale * fmin(fmax(steps, (double)range->low), (double)range->high);
  return error * error;
}

static double noise_of(const qb__integer_range *range, const qb__histogram *h, double *signal)
{
  double noise = 0;
  *signal = 0;
  for (size_t i = 0; i < QB__BINS; i++) {
    const double value = qb__histogram_middle(h, i);
    *signal += (double)(h->positive[i] + h->negative[i]) * value * value;
    if (h->positive[i])
      noise += (double)h->positive[i] * squared_error(range, value);
    if (h->negative[i])
      noise += (double)h->negative[i] * squared_error(range, -value);
  }
  return noise;
}

double qb__range_sqnr_db(const qb__integer_range *range, const qb__histogram *h)
{
  double signal;
  const double noise = noise_of(range, h, &signal);
  return noise > 0 ? 10 * log10(signal / noise) : INFINITY;
}

static double largest(const qb__histogram *h)
{
  return h->count ? fmax(fabs((double)h->least), fabs((double)h->most)) : 0;
}

/* The absolute value that a share of all values do not exceed. */
static double percentile(const qb__histogram *h, double share)
{
  const double wanted = share * (double)h->count;
  double below = 0;
  size_t bin = 0;
  for (; bin < QB__BINS && below < wanted; bin++)
    below += (double)(h->positive[bin] + h->negative[bin]);
  return fmin((double)bin * h->reach / QB__BINS, largest(h));
}

static double least_squared_error(const qb__histogram *h)
{
  const double most = largest(h);
  double best = most, least = INFINITY, signal;
  for (int i = SEARCH_STEPS; i > SEARCH_STEPS / 5; i--) {
    const double reach = most * i / SEARCH_STEPS;
    const qb__integer_range range = range_to(h, reach);
    const double noise = noise_of(&range, h, &signal);
    if (noise < least) {
      least = noise;
      best = reach;
    }
  }
  return best;
}

/*
 * Kullback-Leibler divergence of absolute values, those beyond `bins` clipped, from what is left when
 * they are rounded to `levels` (Migacz, GTC 2017).
 */
static double divergence(const uint64_t *counts, size_t bins, size_t levels, double total,
                         double clipped)
{
  double result = 0;
  for (size_t level = 0; level < levels; level++) {
    const size_t from = level * bins / levels, to = (level + 1) * bins / levels;
    double sum = 0;
    size_t filled = 0;
    for (size_t i = from; i < to; i++) {
      sum += (double)counts[i];
      filled += counts[i] > 0;
    }
    for (size_t i = from; i < to; i++) {
      const double p = (double)counts[i] + (i + 1 == bins ? clipped : 0);
      const double q = counts[i] ? sum / (double)filled : 0x1p-20;
      if (p > 0)
        result += p * log(p / total / (q / (total - clipped)));
    }
  }
  return result;
}

static double least_divergence(const qb__histogram *h)
{
  uint64_t counts[QB__BINS];
  double clipped = 0, least = INFINITY;
  const size_t levels = is_signed(h) ? INT8_MAX + 1 : UINT8_MAX + 1;
  size_t best = QB__BINS;
  for (size_t i = 0; i < QB__BINS; i++)
    counts[i] = h->positive[i] + h->negative[i];
  for (size_t bins = QB__BINS; bins >= levels; bins -= ENTROPY_STEP) {
    const double found = divergence(counts, bins, levels, (double)h->count, clipped);
    if (found < least && (double)h->count > clipped) {
      least = found;
      best = bins;
    }
    for (size_t i = bins - ENTROPY_STEP; i < bins; i++)
      clipped += (double)counts[i];
  }
  return fmin((double)best * h->reach / QB__BINS, largest(h));
}

qb__integer_range qb__range_by(qb__range_method method, const qb__histogram *h)
{
  double most = largest(h);
  switch (method) {
  case QB__RANGE_PERCENTILE: most = percentile(h, PERCENTILE); break;
  case QB__RANGE_ENTROPY: most = least_divergence(h); break;
  case QB__RANGE_SQUARED_ERROR: most = least_squared_error(h); break;
  default: break;
  }
  qb__integer_range range = range_to(h, most);
  range.method = method;
  return range;
}

qb__integer_range qb__range_choose(const qb__histogram *first, const qb__histogram *second)
{
  qb__histogram both = *first;
  qb__histogram_merge(&both, second);
  const qb__histogram *fitted = first->count && second->count ? first : &both;
  const qb__histogram *judged = fitted == first ? second : &both;
  qb__range_method best = QB__RANGE_MIN_MAX;
  double most_db = -INFINITY;
  for (qb__range_method m = 0; m < QB__RANGE_METHODS; m++) {
    const qb__integer_range range = qb__range_by(m, fitted);
    const double db = qb__range_sqnr_db(&range, judged);
    if (db > most_db) {
      most_db = db;
      best = m;
    }
  }
  qb__integer_range range = qb__range_by(best, &both);
  range.sqnr_db = qb__range_sqnr_db(&range, &both);
  return range;
}
