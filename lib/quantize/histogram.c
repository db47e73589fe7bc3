/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize/histogram.h"

#include <math.h>
#include <string.h>

static void join_pairs(uint64_t bins[QB__BINS])
{
  for (size_t i = 0; i < QB__BINS / 2; i++)
    bins[i] = bins[2 * i] + bins[2 * i + 1];
  memset(bins + QB__BINS / 2, 0, QB__BINS / 2 * sizeof *bins);
}

static void reach_to(qb__histogram *h, double value)
{
  if (value <= h->reach || value == 0)
    return;
  int exponent;
  const bool whole = frexp(value, &exponent) == 0.5;
  const double reach = ldexp(1, whole ? exponent - 1 : exponent);
  for (; h->reach > 0 && h->reach < reach; h->reach *= 2) {
    join_pairs(h->positive);
    join_pairs(h->negative);
  }
  h->reach = reach;
}

static void note_bounds(qb__histogram *h, float least, float most)
{
  h->least = h->count && h->least < least ? h->least : least;
  h->most = h->count && h->most > most ? h->most : most;
}

void qb__histogram_add(qb__histogram *h, const float *values, size_t count)
{
  float least = INFINITY, most = -INFINITY;
  for (size_t i = 0; i < count; i++)
    if (isfinite(values[i])) {
      least = values[i] < least ? values[i] : least;
      most = values[i] > most ? values[i] : most;
    } else {
      h->not_finite = true;
    }
  if (least > most)
    return;
  note_bounds(h, least, most);
  reach_to(h, fmax(fabs((double)least), fabs((double)most)));
  const double scale = h->reach > 0 ? QB__BINS / h->reach : 0;
  for (size_t i = 0; i < count; i++) {
    if (!isfinite(values[i]))
      continue;
    const size_t bin = (size_t)fmin(fabs((double)values[i]) * scale, QB__BINS - 1);
    (values[i] < 0 ? h->negative : h->positive)[bin]++;
    h->count++;
  }
}

void qb__histogram_merge(qb__histogram *h, const qb__histogram *other)
{
  h->not_finite = h->not_finite || other->not_finite;
  if (!other->count)
    return;
  qb__histogram copy = *other;
  note_bounds(h, other->least, other->most);
  reach_to(h, other->reach);
  if (copy.reach > 0)
    reach_to(&copy, h->reach);
  for (size_t i = 0; i < QB__BINS; i++) {
    h->positive[i] += copy.positive[i];
    h->negative[i] += copy.negative[i];
  }
  h->count += copy.count;
}

double qb__histogram_middle(const qb__histogram *h, size_t bin)
{
  return ((double)bin + 0.5) * h->reach / QB__BINS;
}
