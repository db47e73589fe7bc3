/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/curve.h"
#include "profile/profile_impl.h"
#include "support/random.h"
#include "support/random_profile.h"
#include "support/unit.h"

#include <math.h>
#include <stdlib.h>

enum { PROFILES = 2000, MAX_BATCH = 48 };

static qb_context *context;

/* Whatever the noise: totals never fall, intervals hold their estimate. */
static void totals_never_fall_and_intervals_hold_their_estimate(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = 0; i < PROFILES; i++) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    const qb_configuration *k = &profile->points[0].configuration;
    size_t count;
    const qb_profile_point *points = qb__profile_curve(profile, k, &count);
    double last = 0, last_mean = 0;
    size_t p = 0;
    for (uint32_t b = 1; b <= 2 * MAX_BATCH; b++) {
      const qb__curve_value v = qb__curve_at(points, count, b);
      assert_true(v.latency_ns >= last * (1 - 1e-9));
      assert_true(v.low_ns > 0 && v.low_ns <= v.latency_ns && v.latency_ns <= v.high_ns);
      assert_true(v.p95_ns >= v.latency_ns * (1 - 1e-9));
      assert_true(v.mean_ns >= v.latency_ns * (1 - 1e-9));
      assert_true(v.mean_ns >= last_mean * (1 - 1e-9));
      last = v.latency_ns;
      last_mean = v.mean_ns;
      while (p < count && points[p].batch < b)
        p++;
      const bool measured = p < count && points[p].batch == b;
      assert_int_equal(v.source, measured                      ? QB_SOURCE_MEASURED
                                 : b > points[count - 1].batch ? QB_SOURCE_EXTRAPOLATED
                                                               : QB_SOURCE_INTERPOLATED);
    }
    qb_profile_unref(profile);
  }
}

static qb_profile_point point(uint32_t batch, double latency_ns)
{
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  p.batch = batch;
  p.latency_ns = p.low_ns = p.high_ns = p.p95_ns = p.mean_ns = (int64_t)latency_ns;
  return p;
}

/* Points in order are given back as they are, with at least 2 % on either side. */
static void measured_points_are_given_back(void **state)
{
  (void)state;
  const qb_profile_point points[] = {point(1, 10e6), point(2, 15e6), point(4, 30e6)};
  for (int i = 0; i < 3; i++) {
    const qb__curve_value v = qb__curve_at(points, 3, points[i].batch);
    assert_true(v.latency_ns == (double)points[i].latency_ns);
    assert_true(v.low_ns < v.latency_ns * 0.981 && v.high_ns > v.latency_ns * 1.019);
  }
}

/* Memory that a share of each sample adds to, up to the largest part that rounds run in. */
static void memory_grows_up_to_the_parts_of_a_round(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = random_cases(300); i > 0; i--) {
    const uint32_t most = (uint32_t)random_int(&seed, 2, 40);
    const uint64_t fixed = random_int(&seed, 0, 1u << 20), share = random_int(&seed, 0, 1u << 20);
    qb_profile_point points[5];
    size_t count = 0;
    for (uint32_t b = 1; count < 5; b += (uint32_t)random_int(&seed, 1, 16), count++) {
      points[count] = point(b, 1e6 * b);
      points[count].memory_bytes = fixed + share * (b < most ? b : most);
    }
    for (size_t k = 1; k + 1 < count; k++)
      for (uint32_t b = points[k].batch; b < points[k + 1].batch; b++) {
        const double told = qb__curve_at(points, count, b).memory_bytes;
        const double expected = (double)(fixed + share * (b < most ? b : most));
        if (fabs(told - expected) > 1e-6 * expected)
          fail_msg("%g at batch %u instead of %g", told, b, expected);
      }
  }
}

static int ascending(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

/*
 * Times a + n b^k, seen at powers of `step` and estimated at all batch sizes in between: no further
 * off than `worst` and `mean`, inside the interval, which is no wider than it need be in the
 * median.
 */
static void check_smooth_curves(uint32_t step, double worst, double mean, double half_width)
{
  enum { CURVES = 1000, BATCHES = 65 };
  static double widths[CURVES * BATCHES];
  uint64_t seed = 99;
  double sum = 0;
  size_t count = 0;
  for (int i = 0; i < CURVES; i++) {
    const double once = 20e6 * random_unit(&seed), each = 1e6 + 9e6 * random_unit(&seed);
    const double power = 0.9 + 0.2 * random_unit(&seed);
    qb_profile_point points[7];
    size_t known = 0;
    for (uint32_t b = 1; b <= 64; b *= step)
      points[known++] = point(b, once + each * pow(b, power));
    for (uint32_t b = 1; b <= 64; b++) {
      const double truth = once + each * pow(b, power);
      const qb__curve_value v = qb__curve_at(points, known, b);
      if (v.source == QB_SOURCE_MEASURED)
        continue;
      const double error = fabs(v.latency_ns / truth - 1);
      assert_true(error < worst);
      assert_true(v.low_ns <= truth && truth <= v.high_ns);
      sum += error;
      widths[count++] = (v.high_ns - v.low_ns) / (2 * v.latency_ns);
    }
  }
  qsort(widths, count, sizeof *widths, ascending);
  print_message("every power of %u: mean error %.2f %%, median half-width %.2f %%\n", step,
                100 * sum / (double)count, 100 * widths[count / 2]);
  assert_true(sum / (double)count < mean);
  assert_true(widths[count / 2] < half_width);
}

static void smooth_curves_are_interpolated_closely(void **state)
{
  (void)state;
  check_smooth_curves(2, 0.03, 0.01, 0.04);
  check_smooth_curves(4, 0.12, 0.03, 0.12);
}

/* A jump anywhere between two points lies in the interval. */
static void a_cliff_lies_within_the_interval(void **state)
{
  (void)state;
  for (uint32_t cliff = 8; cliff < 16; cliff++) {
    qb_profile_point points[7];
    for (int p = 0; p < 7; p++)
      points[p] = point(1u << p, 5e6 * (1u << p) * ((1u << p) > cliff ? 1.3 : 1));
    for (uint32_t b = 9; b < 16; b++) {
      const double truth = 5e6 * b * (b > cliff ? 1.3 : 1);
      const qb__curve_value v = qb__curve_at(points, 7, b);
      assert_true(v.low_ns <= truth * 1.02 && truth * 0.98 <= v.high_ns);
    }
  }
}

/* Totals of a node with noise of 1 %: a smooth one, or one with a cliff between two samples. */
typedef struct node_curve {
  double once, power, cliff; /* the cliff: what samples beyond `before` take more; 0: none */
  uint32_t before;
  double noise[65];
} node_curve;

static node_curve draw_node(uint64_t *random, bool has_cliff)
{
  node_curve c = {.once = random_unit(random),
                  .power = 0.97 + (has_cliff ? 0.03 : 0.06) * random_unit(random),
                  .cliff = has_cliff ? 0.15 + 0.15 * random_unit(random) : 0,
                  .before = (uint32_t)random_int(random, 2, 32)};
  for (int b = 1; b <= 64; b++)
    c.noise[b] = exp((has_cliff ? 0.01 : 0.005) * random_normal(random));
  return c;
}

static double node_total(const node_curve *c, uint32_t batch)
{
  const double beyond = batch > c->before ? 1 + c->cliff : 1;
  return 1e6 * (c->once + pow(batch, c->power) * beyond) * c->noise[batch];
}

/* Estimates batches 2, 8 and 32 from 1, 4, 16 and 64: how many are inside, how wide intervals are. */
static double share_inside(uint64_t *random, bool has_cliff, double *median_half_width)
{
  enum { NODES = 2000 };
  static double widths[3 * NODES];
  size_t inside = 0, count = 0;
  for (int i = 0; i < NODES; i++) {
    const node_curve c = draw_node(random, has_cliff);
    qb_profile_point points[4];
    for (int p = 0; p < 4; p++)
      points[p] = point(1u << 2 * p, node_total(&c, 1u << 2 * p));
    for (uint32_t b = 2; b <= 32; b *= 4) {
      const qb__curve_value v = qb__curve_at(points, 4, b);
      const double truth = node_total(&c, b);
      inside += v.low_ns <= truth && truth <= v.high_ns;
      widths[count++] = (v.high_ns - v.low_ns) / (2 * v.latency_ns);
    }
  }
  qsort(widths, count, sizeof *widths, ascending);
  *median_half_width = widths[count / 2];
  return (double)inside / (double)count;
}

static void every_second_power_of_two_left_out_is_covered(void **state)
{
  (void)state;
  uint64_t random = random_start();
  double smooth_width, cliff_width;
  const double smooth = share_inside(&random, false, &smooth_width);
  const double cliff = share_inside(&random, true, &cliff_width);
  print_message("smooth: %.1f %% inside +-%.1f %%; with a cliff: %.1f %% inside +-%.1f %%\n",
                100 * smooth, 100 * smooth_width, 100 * cliff, 100 * cliff_width);
  assert_true(smooth > 0.95);
  assert_true(smooth_width < 0.05);
  assert_true(cliff > 0.85);
}

static void beyond_the_points_intervals_widen(void **state)
{
  (void)state;
  const qb_profile_point points[] = {point(4, 40e6), point(8, 60e6)};
  const qb__curve_value twice = qb__curve_at(points, 2, 16), more = qb__curve_at(points, 2, 64);
  assert_true(fabs(twice.latency_ns - 120e6) < 1);
  assert_true(more.high_ns / more.latency_ns > twice.high_ns / twice.latency_ns);
  const qb__curve_value below = qb__curve_at(points, 2, 1);
  assert_int_equal(below.source, QB_SOURCE_EXTRAPOLATED);
  assert_true(below.low_ns <= 10e6 && below.high_ns >= 40e6);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(totals_never_fall_and_intervals_hold_their_estimate),
      cmocka_unit_test(measured_points_are_given_back),
      cmocka_unit_test(memory_grows_up_to_the_parts_of_a_round),
      cmocka_unit_test(smooth_curves_are_interpolated_closely),
      cmocka_unit_test(a_cliff_lies_within_the_interval),
      cmocka_unit_test(every_second_power_of_two_left_out_is_covered),
      cmocka_unit_test(beyond_the_points_intervals_widen),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
