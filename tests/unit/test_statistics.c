/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/statistics.h"

#include "support/unit.h"

#include "support/random.h"

#include <math.h>

static void sorting_orders_all_values(void **state)
{
  (void)state;
  int64_t values[] = {3, INT64_MIN, 7, -1, INT64_MAX, 3};
  static const int64_t sorted[] = {INT64_MIN, -1, 3, 3, 7, INT64_MAX};
  qb__sort_ns(values, 6);
  assert_memory_equal(values, sorted, sizeof sorted);
  qb__sort_ns(values, 0);
}

static void quantiles_are_interpolated(void **state)
{
  (void)state;
  static const int64_t values[] = {10, 20, 40, 80};
  assert_int_equal(qb__quantile_ns(values, 4, 0), 10);
  assert_int_equal(qb__quantile_ns(values, 4, 0.5), 30);
  assert_int_equal(qb__quantile_ns(values, 4, 0.95), 74); /* 40 + 0.85 * 40 */
  assert_int_equal(qb__quantile_ns(values, 4, 1), 80);
  assert_int_equal(qb__quantile_ns(values, 3, 0.5), 20);
  assert_int_equal(qb__quantile_ns(values, 1, 0.25), 10);
}

static void means_are_rounded_to_the_nearest(void **state)
{
  (void)state;
  static const int64_t values[] = {1000000000000, 1000000000001, 1000000000004};
  assert_int_equal(qb__mean_ns(values, 1), 1000000000000);
  assert_int_equal(qb__mean_ns(values, 2), 1000000000001); /* halves are rounded up */
  assert_int_equal(qb__mean_ns(values, 3), 1000000000002);
}

/* Ranks from tables of the sign test: 2.5 % on each side at most. */
static void ranks_are_those_of_the_sign_test(void **state)
{
  (void)state;
  static const struct {
    size_t count, rank;
  } table[] = {{1, 1}, {5, 1}, {6, 1}, {8, 1}, {9, 2}, {10, 2}, {20, 6}, {50, 18}, {100, 40}};
  int64_t values[100], low, high;
  for (size_t i = 0; i < 100; i++)
    values[i] = (int64_t)i + 1;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    qb__median_interval_ns(values, table[i].count, &low, &high);
    assert_int_equal(low, table[i].rank);
    assert_int_equal(high, table[i].count + 1 - table[i].rank);
  }
}

static double normal(uint64_t *random)
{
  return 1e6 + 1e4 * random_normal(random); /* median 1e6 */
}

static double lognormal(uint64_t *random)
{
  return 1e6 * exp(random_normal(random));
}

/* Quick rounds, and slow ones now and then; half of all values are below 1e6. */
static double two_modes(uint64_t *random)
{
  return random_unit(random) < 0.5 ? 1e6 - 1e5 * random_unit(random)
                                   : 1e6 + 5e6 * random_unit(random);
}

static void the_interval_covers_the_median(void **state)
{
  (void)state;
  enum { SAMPLES = 10000 };
  static const size_t sizes[] = {6, 7, 12, 25, 64};
  static double (*const distributions[])(uint64_t *) = {normal, lognormal, two_modes};
  uint64_t random = random_start();
  for (size_t d = 0; d < 3; d++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      int covered = 0;
      for (int i = 0; i < SAMPLES; i++) {
        int64_t values[64], low, high;
        for (size_t v = 0; v < sizes[s]; v++)
          values[v] = (int64_t)distributions[d](&random);
        qb__sort_ns(values, sizes[s]);
        qb__median_interval_ns(values, sizes[s], &low, &high);
        covered += low <= 1000000 && 1000000 <= high;
      }
      if (covered < 0.94 * SAMPLES)
        fail_msg("distribution %zu, %zu values: covered %d of %d", d, sizes[s], covered, SAMPLES);
    }
}

/* Points of 1 to 5 values, as often as not of one alone: their intervals hold 95 % all the same. */
static void the_interval_of_few_values_holds_95_percent(void **state)
{
  (void)state;
  enum { RUNS = 300, POINTS = 40 };
  static const double spreads[] = {0.01, 0.1, 0.3};
  uint64_t random = random_start();
  for (size_t s = 0; s < sizeof spreads / sizeof *spreads; s++) {
    int covered = 0;
    for (int run = 0; run < RUNS; run++) {
      int64_t values[POINTS][QB__FEWEST_RANKED], low, high;
      size_t counts[POINTS];
      qb__spread spread = {0, 0};
      for (int p = 0; p < POINTS; p++) {
        counts[p] = (size_t)random_int(&random, 1, QB__FEWEST_RANKED - 1);
        for (size_t v = 0; v < counts[p]; v++)
          values[p][v] = (int64_t)(1e9 * exp(spreads[s] * random_normal(&random)));
        qb__sort_ns(values[p], counts[p]);
        qb__spread_add(&spread, values[p], counts[p]);
      }
      for (int p = 0; p < POINTS; p++) {
        qb__few_interval_ns(&spread, values[p], counts[p], &low, &high);
        covered += low <= 1000000000 && 1000000000 <= high;
      }
    }
    if (covered < 0.94 * RUNS * POINTS)
      fail_msg("spread %g: covered %d of %d", spreads[s], covered, RUNS * POINTS);
  }
}

static void spreads_are_added_around_the_mean_of_each(void **state)
{
  (void)state;
  qb__spread spread = {0, 0};
  for (int i = 0; i < 2; i++) { /* e^-1, 1 and e times something, whatever that is */
    const double middle = i ? 1e9 : 1e15, e = exp(1);
    const int64_t values[] = {llround(middle / e), llround(middle), llround(middle * e)};
    qb__spread_add(&spread, values, 3);
    assert_true(fabs(spread.squares - 2 * (i + 1)) < 1e-6);
    assert_int_equal(spread.freedom, 2 * (i + 1));
  }
}

/* To all the digits that its four terms have at few degrees, where they weigh most. */
static void students_percentile_is_that_of_the_expansion(void **state)
{
  (void)state;
  assert_true(fabs(qb__student(1) - 9.710583775) < 1e-8);
  assert_true(fabs(qb__student(2) - 4.171205540) < 1e-8);
  assert_true(fabs(qb__student(4) - 2.769373142) < 1e-8);
}

/* Of equal values, so that it is the pooled spread that decides. */
static void the_interval_of_few_values_is_students(void **state)
{
  (void)state;
  static const struct {
    double freedom, t; /* 97.5th percentiles as tables have them */
  } table[] = {{4, 2.7764},  {5, 2.5706},  {6, 2.4469},  {8, 2.3060},
               {12, 2.1788}, {30, 2.0423}, {120, 1.9799}};
  static const int64_t values[] = {1000000000000, 1000000000000, 1000000000000, 1000000000000};
  int64_t low, high;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    for (size_t count = 1; count <= 4; count++) {
      const double freedom = table[i].freedom, variance = 0.01;
      /* The 4 that are known before vary by 10 %, too. */
      const qb__spread spread = {variance * (freedom - 4), (size_t)freedom - 4};
      const double error = sqrt(variance * acos(-1) / 2 / (double)count);
      qb__few_interval_ns(&spread, values, count, &low, &high);
      const double above = log((double)high / 1e12) / error,
                   below = log(1e12 / (double)low) / error;
      const double precise = freedom < 8 ? 0.003 : 0.0003;
      if (fabs(above / table[i].t - 1) > precise || fabs(below / table[i].t - 1) > precise)
        fail_msg("%g degrees, %zu values: %g above and %g below instead of %g", freedom, count,
                 above, below, table[i].t);
    }
}

static void the_interval_of_few_values_holds_all_of_them(void **state)
{
  (void)state;
  static const int64_t values[] = {1000000, 4000000000, 5000000000, 9000000000000},
                       least[] = {1, 1};
  const qb__spread tight = {0, 1000000};
  int64_t low, high;
  for (size_t count = 2; count <= 4; count++) {
    qb__few_interval_ns(&tight, values, count, &low, &high);
    assert_int_equal(low, values[0]);
    assert_int_equal(high, values[count - 1]);
  }
  const qb__spread wide = {100, 4};
  static const int64_t around[] = {1000000000000, 2000000000000, 2100000000000};
  qb__few_interval_ns(&wide, around, 3, &low, &high); /* its middle is the median */
  assert_true(fabs(sqrt((double)low * (double)high) / 2e12 - 1) < 1e-3);
  qb__few_interval_ns(&wide, least, 2, &low, &high);
  assert_int_equal(low, 1); /* no round takes no time */
}

/* Without other points the values themselves and what is common are all there is. */
static void one_point_has_a_wide_interval(void **state)
{
  (void)state;
  static const int64_t values[] = {100000000, 150000000, 200000000};
  int64_t low, high;
  for (size_t count = 1; count <= 3; count++) {
    qb__spread spread = {0, 0};
    qb__spread_add(&spread, values, count);
    qb__few_interval_ns(&spread, values, count, &low, &high);
    assert_true(low <= values[0] && values[count - 1] <= high);
    assert_true((double)high / (double)low > 1.5);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sorting_orders_all_values),
      cmocka_unit_test(quantiles_are_interpolated),
      cmocka_unit_test(means_are_rounded_to_the_nearest),
      cmocka_unit_test(ranks_are_those_of_the_sign_test),
      cmocka_unit_test(the_interval_covers_the_median),
      cmocka_unit_test(the_interval_of_few_values_holds_95_percent),
      cmocka_unit_test(spreads_are_added_around_the_mean_of_each),
      cmocka_unit_test(students_percentile_is_that_of_the_expansion),
      cmocka_unit_test(the_interval_of_few_values_is_students),
      cmocka_unit_test(the_interval_of_few_values_holds_all_of_them),
      cmocka_unit_test(one_point_has_a_wide_interval),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
