/* SPDX-License-Identifier: Apache-2.0 */
#include "optimize/time_histogram.h"

#include <math.h>

#define LOG_BIN 0.00995033085316808 /* log(1.01) */

/* The first edge at or beyond a time. */
static int edge_after(const qb__time_histogram *histogram, double time_s)
{
  const double edge = ceil(log(time_s / histogram->least_s) / LOG_BIN - 1e-9);
  return edge > 0 ? (edge < QB__TIME_BINS ? (int)edge : QB__TIME_BINS) : 0;
}

void qb__time_histogram_init(qb__time_histogram *histogram, double least_s)
{
  histogram->least_s = least_s;
}

void qb__time_histogram_add(qb__time_histogram *histogram, double from_s, double to_s,
                            double weight)
{
  const int from = edge_after(histogram, from_s);
  /* A piece much shorter than a bin is a point. */
  if (to_s - from_s < 1e-3 * from_s) {
    histogram->step[from] += weight;
    return;
  }
  const int to = edge_after(histogram, to_s);
  const double slope = weight / (to_s - from_s);
  histogram->slope[from] += slope;
  histogram->offset[from] += slope * from_s;
  histogram->slope[to] -= slope;
  histogram->offset[to] -= slope * to_s;
}

void qb__time_histogram_finish(qb__time_histogram *histogram)
{
  double step = 0, slope = 0, offset = 0, edge_s = histogram->least_s;
  for (int i = 0; i <= QB__TIME_BINS; i++) {
    step += histogram->step[i];
    slope += histogram->slope[i];
    offset += histogram->offset[i];
    histogram->step[i] = step + slope * edge_s - offset;
    edge_s *= 1.01;
  }
}

double qb__time_histogram_quantile(const qb__time_histogram *histogram, double q)
{
  const double goal = q * histogram->step[QB__TIME_BINS];
  int low = 0, high = QB__TIME_BINS; /* the function reaches goal at high, not at low */
  if (histogram->step[0] >= goal)
    return histogram->least_s;
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    if (histogram->step[middle] >= goal)
      high = middle;
    else
      low = middle;
  }
  const double below = histogram->step[low], above = histogram->step[high];
  return histogram->least_s * exp(LOG_BIN * (low + (goal - below) / (above - below)));
}
