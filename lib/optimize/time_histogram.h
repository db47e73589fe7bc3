/* SPDX-License-Identifier: Apache-2.0 */
/* A distribution of times in bins of 1 %, made of uniform pieces, and its quantiles. */
#ifndef QB_OPTIMIZE_TIME_HISTOGRAM_H
#define QB_OPTIMIZE_TIME_HISTOGRAM_H

enum { QB__TIME_BINS = 2048 }; /* from the least time to 7e8 times that */

/*
 * Edge j is at least_s * 1.01^j. The distribution function at the edges is piecewise linear in
 * time, so a uniform piece is two changes of slope: adding one takes constant time.
 */
typedef struct qb__time_histogram {
  double least_s;
  double step[QB__TIME_BINS + 1];   /* mass that lies at one point; later the function itself */
  double slope[QB__TIME_BINS + 1];  /* changes of slope ... */
  double offset[QB__TIME_BINS + 1]; /* ... and slope times the time where it changes */
} qb__time_histogram;

/* `histogram` is zeroed; no time added will be below least_s. */
void qb__time_histogram_init(qb__time_histogram *histogram, double least_s);

/* Adds `weight` spread evenly from from_s to to_s. */
void qb__time_histogram_add(qb__time_histogram *histogram, double from_s, double to_s,
                            double weight);

/* Ends adding. */
void qb__time_histogram_finish(qb__time_histogram *histogram);

/* The time that a share of q, in (0, 1), of the weight lies below. */
double qb__time_histogram_quantile(const qb__time_histogram *histogram, double q);

#endif
