/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/composite.h"

#include "core/alloc.h"
#include "profile/statistics.h"

#include <math.h>
#include <stdlib.h>

enum { RESAMPLES = 200 };

/* One visit alone does not say how visits vary: mostly by less than this. */
static const double ALONE = 0.1;

typedef struct timing {
  int64_t ns;
  size_t visit;
} timing;

static int by_time(const void *a, const void *b)
{
  const timing *x = a, *y = b;
  return x->ns < y->ns ? -1 : x->ns > y->ns;
}

/* splitmix64 (Steele, Lea and Flood, OOPSLA 2014). */
static uint64_t next_random(uint64_t *state)
{
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* How often each visit is in each resample's faster half; visits are in order. */
static void draw(uint32_t *drawn, size_t visits, size_t kept)
{
  uint64_t state = 1;
  for (size_t r = 0; r < RESAMPLES; r++, drawn += visits) {
    for (size_t i = 0; i < visits; i++)
      drawn[next_random(&state) % visits]++;
    size_t taken = 0;
    for (size_t v = 0; v < visits; v++) {
      if (taken + drawn[v] > kept)
        drawn[v] = (uint32_t)(kept - taken);
      taken += drawn[v];
    }
  }
}

/* The median of `count` sorted timings, each standing as often as its visit was drawn. */
static double median(const timing *sorted, const uint32_t *drawn, size_t count)
{
  const size_t below = (count - 1) / 2, above = count / 2;
  size_t i = 0, end = drawn[sorted[0].visit];
  while (end <= below)
    end += drawn[sorted[++i].visit];
  const int64_t low = sorted[i].ns;
  while (end <= above)
    end += drawn[sorted[++i].visit];
  return 0.5 * ((double)low + (double)sorted[i].ns);
}

/*
 * By how much wider than the bootstrap's an interval from so many visits has to be: resamples vary
 * less than samples do, by sqrt((n - 1) / n), and how much these vary is itself uncertain, as
 * Student's t says (Hesterberg, "What Teachers Should Know About the Bootstrap", The American
 * Statistician 69(4), 2015). Of two visits t would say that nothing is known, which is too little:
 * it is taken as of three.
 */
static double expansion(size_t visits)
{
  static const double t[] = {4.30, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23};
  const size_t freedom = visits - 1, known = sizeof t / sizeof *t;
  const double quantile = freedom <= known ? t[freedom - 1] : 1.96 + 2.7 / (double)freedom;
  return quantile / 1.96 * sqrt((double)visits / (double)freedom);
}

qb_status qb__compose(const qb_context *context, const int64_t *part_ns, size_t visits,
                      size_t parts, qb__composite *result)
{
  const size_t kept = (visits + 1) / 2;
  timing *sorted = qb__calloc(context, visits, sizeof *sorted);
  uint32_t *drawn = qb__calloc(context, visits, (RESAMPLES + 1) * sizeof *drawn);
  double *sums = qb__calloc(context, RESAMPLES + 1, sizeof *sums);
  int64_t *totals = qb__calloc(context, RESAMPLES, sizeof *totals);
  const bool taken = sorted && drawn && sums && totals;
  if (taken) {
    draw(drawn, visits, kept);
    for (size_t v = 0; v < kept; v++) /* the last one: each visit once */
      drawn[RESAMPLES * visits + v] = 1;
    for (size_t p = 0; p < parts; p++) {
      for (size_t v = 0; v < visits; v++)
        sorted[v] = (timing){part_ns[v * parts + p], v};
      qsort(sorted, visits, sizeof *sorted, by_time);
      for (size_t r = 0; r <= RESAMPLES; r++)
        sums[r] += median(sorted, drawn + r * visits, kept);
    }
    for (size_t r = 0; r < RESAMPLES; r++)
      totals[r] = (int64_t)(sums[r] + 0.5);
    qb__sort_ns(totals, RESAMPLES);
    const double time_ns = sums[RESAMPLES];
    double below_ns = ALONE * time_ns, above_ns = ALONE * time_ns;
    if (visits > 1) {
      const double wider = expansion(visits);
      below_ns = wider * fmax(time_ns - (double)qb__quantile_ns(totals, RESAMPLES, 0.025), 0);
      above_ns = wider * fmax((double)qb__quantile_ns(totals, RESAMPLES, 0.975) - time_ns, 0);
    }
    result->kept = kept;
    result->latency_ns = (int64_t)(time_ns + 0.5);
    result->low_ns = (int64_t)fmax(time_ns - below_ns, 1);
    result->high_ns = result->latency_ns + (int64_t)above_ns;
  }
  qb__free(context, totals);
  qb__free(context, sums);
  qb__free(context, drawn);
  qb__free(context, sorted);
  return taken ? QB_OK : QB_ERROR_NO_MEMORY;
}
