/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/history.h"

#include "model/configuration.h"
#include "profile/statistics.h"

#include <math.h>

/*
 * Standard deviations before a machine has a history, and how many degrees of freedom they count
 * for: runs minutes to hours apart differed by 3 to 9 % on shared machines (docs/estimates.md),
 * sessions within a minute by about 1 %.
 */
static const double RUN_PRIOR = 0.03, SESSION_PRIOR = 0.01, PRIOR_FREEDOM = 4;

/* A slope from fewer sessions than leave this many degrees of freedom is no evidence. */
static const double LEAST_FREEDOM = 4;

int qb__past_session_compare(const void *a, const void *b)
{
  const qb__past_session *x = a, *y = b;
  const int sign = qb__configuration_compare(&x->configuration, &y->configuration);
  return sign                                             ? sign
         : x->run_unix_s < y->run_unix_s                  ? -1
         : x->run_unix_s > y->run_unix_s                  ? 1
         : x->thread_flops_per_s == y->thread_flops_per_s ? 0
         : x->thread_flops_per_s < y->thread_flops_per_s  ? -1
                                                          : 1;
}

/* How many sessions, from the first on, are of its run, or of its configuration. */
static size_t sessions_of_run(const qb__past_session *s, size_t count)
{
  size_t n = 1;
  while (n < count && s[n].run_unix_s == s->run_unix_s &&
         !qb__configuration_compare(&s[n].configuration, &s->configuration))
    n++;
  return n;
}

static size_t sessions_of_configuration(const qb__past_session *s, size_t count)
{
  size_t n = 1;
  while (n < count && !qb__configuration_compare(&s[n].configuration, &s->configuration))
    n++;
  return n;
}

static double mean_level(const qb__past_session *s, size_t count)
{
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += s[i].level;
  return sum / (double)count;
}

typedef struct squares {
  double sum, freedom;
} squares;

/* A nested analysis of variance: runs of a configuration, and sessions of a run. */
static void add_squares(const qb__past_session *s, size_t count, squares *runs, squares *sessions)
{
  double sum = 0, sum_of_squares = 0;
  size_t run_count = 0;
  for (size_t i = 0, n; i < count; i += n) {
    n = sessions_of_run(&s[i], count - i);
    const double mean = mean_level(&s[i], n);
    for (size_t k = i; k < i + n; k++)
      sessions->sum += pow(s[k].level - mean, 2);
    sessions->freedom += (double)(n - 1);
    sum += mean;
    sum_of_squares += mean * mean;
    run_count++;
  }
  runs->sum += fmax(sum_of_squares - sum * sum / (double)run_count, 0);
  runs->freedom += (double)(run_count - 1);
}

static double with_prior(const squares *seen, double prior)
{
  return (PRIOR_FREEDOM * prior * prior + seen->sum) / (PRIOR_FREEDOM + seen->freedom);
}

/* Sums of a regression of levels on yardsticks, both around the mean of their configuration. */
typedef struct regression {
  double xx, xy, yy, freedom;
} regression;

static void add_to_regression(const qb__past_session *s, size_t count, regression *sums)
{
  double x = 0, y = 0, known = 0;
  for (size_t i = 0; i < count; i++)
    if (s[i].thread_flops_per_s > 0) {
      x += log(s[i].thread_flops_per_s);
      y += s[i].level;
      known++;
    }
  if (known < 2)
    return;
  for (size_t i = 0; i < count; i++)
    if (s[i].thread_flops_per_s > 0) {
      const double dx = log(s[i].thread_flops_per_s) - x / known, dy = s[i].level - y / known;
      sums->xx += dx * dx;
      sums->xy += dx * dy;
      sums->yy += dy * dy;
    }
  sums->freedom += known - 1;
}

/* What was shown: the lower end of the slope's 95 % interval. */
static double shown_slope(const regression *sums)
{
  const double freedom = sums->freedom - 1;
  if (freedom < LEAST_FREEDOM || !(sums->xx > 0))
    return 0;
  const double slope = -sums->xy / sums->xx; /* a faster thread takes less time */
  const double left = fmax(sums->yy - slope * slope * sums->xx, 0);
  const double error = sqrt(left / freedom / sums->xx);
  return fmin(fmax(slope - qb__student(freedom) * error, 0), 1);
}

qb__variation qb__variation_of(const qb__past_session *sessions, size_t count)
{
  squares runs = {0, 0}, within = {0, 0};
  regression speed = {0, 0, 0, 0};
  for (size_t i = 0, n; i < count; i += n) {
    n = sessions_of_configuration(&sessions[i], count - i);
    add_squares(&sessions[i], n, &runs, &within);
    add_to_regression(&sessions[i], n, &speed);
  }
  return (qb__variation){.run_variance = with_prior(&runs, RUN_PRIOR),
                         .session_variance = with_prior(&within, SESSION_PRIOR),
                         .freedom = PRIOR_FREEDOM + runs.freedom,
                         .speed_slope = shown_slope(&speed)};
}

size_t qb__past_runs(const qb__past_session *sessions, size_t count, const qb_configuration *k)
{
  size_t runs = 0;
  for (size_t i = 0, n; i < count; i += n) {
    n = sessions_of_run(&sessions[i], count - i);
    runs += !qb__configuration_compare(&sessions[i].configuration, k);
  }
  return runs;
}

/*
 * A run has two sessions, and its mean half of their variance; a later session is a single one, and
 * has the other half, too.
 */
double qb__variation_half_width(const qb__variation *variation, size_t runs)
{
  const double variance =
      variation->run_variance * (1 + 1 / (double)runs) + variation->session_variance / 2;
  return qb__student(variation->freedom) * sqrt(variance);
}
