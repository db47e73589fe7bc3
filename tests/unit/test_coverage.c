/* SPDX-License-Identifier: Apache-2.0 */
/* Whether 95 % of rounds lie in the intervals that decisions predict for them. */
#include "estimate/conformal.h"
#include "support/expect.h"
#include "support/random.h"
#include "support/scripted_profile.h"
#include "support/unit.h"

#include <qosbatch/optimize.h>

#include <math.h>
#include <stdlib.h>

enum { MAX_BATCH = 8, REGIME = QB__CONFORMAL_ROUNDS };

/* Errors over the half-widths that were predicted for them. */
static double as_predicted(uint64_t *random)
{
  return random_normal(random) / 1.96;
}

static double three_times_as_large(uint64_t *random)
{
  return 3 * as_predicted(random);
}

static double a_tenth(uint64_t *random)
{
  return 0.1 * as_predicted(random);
}

static double with_bursts(uint64_t *random)
{
  return as_predicted(random) + (random_unit(random) < 0.1 ? 5 * random_unit(random) : 0);
}

static double one_of_two(uint64_t *random)
{
  return random_unit(random) < 0.5 ? -0.3 : 0.8 + 0.1 * random_normal(random);
}

/* Over any 200 rounds, not on average alone. */
static void whatever_the_prediction_was_worth_it_covers_95_percent(void **state)
{
  (void)state;
  static double (*const errors[])(uint64_t *) = {as_predicted, three_times_as_large, a_tenth,
                                                 with_bursts, one_of_two};
  enum { KINDS = sizeof errors / sizeof *errors, RUNS = 100, WINDOWS = 10 };
  uint64_t random = random_start();
  for (int kind = 0; kind < KINDS; kind++) {
    int within = 0;
    double sum = 0;
    for (int run = 0; run < RUNS; run++) {
      qb__conformal c;
      qb__conformal_init(&c);
      for (int w = 0; w < WINDOWS; w++) {
        for (int i = 0; i < QB__CONFORMAL_ROUNDS; i++)
          qb__conformal_add(&c, fabs(errors[kind](&random)));
        sum += qb__conformal_coverage(&c) / (RUNS * WINDOWS);
        within += fabs(qb__conformal_coverage(&c) - 0.95) <= 0.02;
      }
    }
    print_message("errors %d: %.2f %% inside, %.1f %% of windows within 95 +- 2 %%\n", kind,
                  100 * sum, 100.0 * within / (RUNS * WINDOWS));
    assert_true(fabs(sum - 0.95) < 0.005);
    assert_true(within > 0.98 * RUNS * WINDOWS);
  }
}

/* Intervals become as wide as errors are, from either side. */
static void widths_follow_the_errors(void **state)
{
  (void)state;
  uint64_t random = random_start();
  qb__conformal c;
  qb__conformal_init(&c);
  assert_true(c.width == 1);
  static double (*const errors[])(uint64_t *) = {three_times_as_large, a_tenth};
  static const double expected[] = {3, 0.1};
  for (int kind = 0; kind < 2; kind++) {
    double mean = 0;
    for (int i = 0; i < 5000; i++) {
      qb__conformal_add(&c, fabs(errors[kind](&random)));
      mean += i >= 1000 ? c.width / 4000 : 0;
    }
    assert_true(mean > 0.8 * expected[kind] && mean < 1.4 * expected[kind]);
  }
}

static void scores_taken_back_do_not_widen(void **state)
{
  (void)state;
  qb__conformal c;
  qb__conformal_init(&c);
  qb__conformal_forget(&c, 1000); /* some stay */
  assert_true(c.count > 0 && c.width > 0);
  for (int i = 0; i < 300; i++)
    qb__conformal_add(&c, 0.5 + 0.001 * (i % 100));
  for (int i = 0; i < 4; i++)
    qb__conformal_add(&c, 100);
  assert_true(c.width >= 100);
  qb__conformal_forget(&c, 4);
  assert_true(c.width < 1);
  assert_int_equal(c.rounds, 304);
  for (uint32_t i = 1; i < c.count; i++)
    assert_true(c.sorted[i - 1] <= c.sorted[i]);
}

/* A service of one thread. */
typedef struct service {
  qb_optimizer *optimizer;
  double slowdown, noise;
  uint64_t rounds, inside;
} service;

static bool serve(service *s, uint64_t *random)
{
  qb_round_state now = QB_ROUND_STATE_INIT;
  qb_decision d = QB_DECISION_INIT;
  now.queued = (uint32_t)random_int(random, 1, MAX_BATCH);
  assert_ok(qb_optimize(s->optimizer, &now, &d));
  assert_true(d.low_ns <= d.latency_ns && d.latency_ns <= d.high_ns);
  if (d.refresh_due)
    assert_ok(qb_optimizer_refresh(s->optimizer));
  const double typical_ns = s->slowdown * (8e6 + 2e6 * d.batch);
  const qb_round_result result = {sizeof result, d.batch,
                                  (int64_t)(typical_ns * exp(s->noise * random_normal(random)))};
  assert_ok(qb_observe(s->optimizer, &result));
  const bool is_inside = d.low_ns <= result.latency_ns && result.latency_ns <= d.high_ns;
  s->rounds++;
  s->inside += is_inside;
  return is_inside;
}

static void check_told(const service *s, double recent)
{
  qb_coverage told = QB_COVERAGE_INIT;
  assert_ok(qb_optimizer_get_coverage(s->optimizer, &told));
  assert_int_equal(told.rounds, s->rounds);
  assert_true(fabs((double)told.inside - (double)s->inside) <= 2); /* ends are rounded to 1 ns */
  assert_true(fabs(told.recent - recent) <= 0.011);
  assert_true(told.width > 0);
  qb_round_state nothing = QB_ROUND_STATE_INIT;
  qb_decision d = QB_DECISION_INIT;
  assert_ok(qb_optimize(s->optimizer, &nothing, &d));
  assert_true(d.coverage == told.recent);
}

/* The rounds before a change of regime is found count as well: those behind it make up for them. */
static void of_200_rounds_of_a_regime_95_percent_are_inside(void **state)
{
  (void)state;
  static const double slowdowns[] = {1, 1.2, 1, 1.5, 1.2}, noises[] = {0.01, 0.03, 0.08};
  enum { REGIMES = sizeof slowdowns / sizeof *slowdowns, RUNS = 60 };
  uint64_t random = random_start();
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  const qb_configuration one = {1, 1};
  qb_profile *profile = scripted_profile(context, &one, MAX_BATCH, 8, 2, 1.05);
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  params.configuration = one;
  params.max_batch = MAX_BATCH;
  for (size_t n = 0; n < sizeof noises / sizeof *noises; n++) {
    double mean[REGIMES] = {0};
    int within = 0;
    for (int run = 0; run < RUNS; run++) {
      service s = {.noise = noises[n]};
      assert_ok(qb_optimizer_new(profile, &params, NULL, &s.optimizer));
      for (int r = 0; r < REGIMES; r++) {
        int inside = 0;
        s.slowdown = slowdowns[r];
        for (int i = 0; i < REGIME; i++)
          inside += serve(&s, &random);
        check_told(&s, (double)inside / REGIME);
        mean[r] += (double)inside / REGIME / RUNS;
        within += abs(inside - 190) <= 4;
      }
      qb_optimizer_free(s.optimizer);
    }
    print_message("noise of %.0f %%: %.1f %% of regimes within 95 +- 2 %%; on average",
                  100 * noises[n], 100.0 * within / (RUNS * REGIMES));
    for (int r = 0; r < REGIMES; r++) {
      print_message(" %.1f", 100 * mean[r]);
      assert_true(fabs(mean[r] - 0.95) < 0.015);
    }
    print_message(" %%\n");
    assert_true(within > 0.97 * RUNS * REGIMES);
  }
  qb_profile_unref(profile);
  qb_context_unref(context);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whatever_the_prediction_was_worth_it_covers_95_percent),
      cmocka_unit_test(widths_follow_the_errors),
      cmocka_unit_test(scores_taken_back_do_not_widen),
      cmocka_unit_test(of_200_rounds_of_a_regime_95_percent_are_inside),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
