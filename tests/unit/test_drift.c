/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/drift.h"

#include "support/random.h"
#include "support/unit.h"

#include <math.h>
#include <string.h>

static double noisy(double factor, double noise, uint64_t *random)
{
  return factor * exp(noise * random_normal(random));
}

/*
 * 10,000 rounds of 5 % noise, a hundred times over. Noise of no bound crosses any limit at last: 2 alarms
 * were seen in 600 million rounds, by which a million has one with a chance of 1 in 300, and two with one
 * of 1 in 180,000.
 */
static void noise_is_no_change(void **state)
{
  (void)state;
  uint64_t random = random_start();
  uint32_t alarms = 0;
  double worst = 0;
  for (int run = 0; run < 100; run++) {
    qb__drift drift;
    qb__drift_init(&drift, 0);
    for (int i = 0; i < 10000; i++) {
      alarms += qb__drift_add(&drift, noisy(1e6, 0.05, &random), 1e6);
      worst = i < 20 ? worst : fmax(worst, fabs(qb__drift_factor(&drift) - 1));
    }
  }
  print_message("%u alarms in a million rounds, factor within %.1f %%\n", alarms, 100 * worst);
  assert_true(alarms <= 1);
  assert_true(worst < 0.05);
}

/* Uniform noise of +-5 %, on a profile that is 4 % off to begin with. */
static void a_profile_that_is_a_little_off_is_no_change(void **state)
{
  (void)state;
  uint64_t random = random_start();
  qb__drift drift;
  qb__drift_init(&drift, 0);
  for (int i = 0; i < 10000; i++)
    assert_false(qb__drift_add(&drift, 1.04e6 * (0.95 + 0.1 * random_unit(&random)), 1e6));
  assert_true(fabs(qb__drift_factor(&drift) - 1.04) < 0.01);
}

/* Error of T = factor * predicted in the tenth round after a change and on, in the mean. */
static void check_change(double before, double behind, double noise, uint64_t *random)
{
  enum { RUNS = 300, ROUNDS = 20, SETTLED = 10 };
  double sum = 0;
  for (int run = 0; run < RUNS; run++) {
    qb__drift drift;
    qb__drift_init(&drift, 0);
    for (int i = 0; i < 200; i++)
      (void)qb__drift_add(&drift, noisy(before * 1e6, noise, random), 1e6);
    for (int i = 0; i < ROUNDS; i++) {
      if (i >= SETTLED)
        sum += fabs(qb__drift_factor(&drift) / behind - 1) / (RUNS * (ROUNDS - SETTLED));
      (void)qb__drift_add(&drift, noisy(behind * 1e6, noise, random), 1e6);
    }
    assert_true(drift.regimes >= 1);
  }
  print_message("%.2f to %.2f with noise of %.0f %%: mean error %.2f %%\n", before, behind,
                100 * noise, 100 * sum);
  assert_true(sum < 0.05);
}

static void a_change_is_learnt_within_ten_rounds(void **state)
{
  (void)state;
  uint64_t random = random_start();
  check_change(1, 1.5, 0.01, &random);
  check_change(1, 1.5, 0.05, &random);
  check_change(1.5, 1, 0.05, &random);
  check_change(1, 3, 0.05, &random);
  check_change(1, 0.7, 0.03, &random);
}

/* A burst that lasts two rounds says nothing of the next ones. */
static void short_bursts_are_no_change(void **state)
{
  (void)state;
  uint64_t random = random_start();
  qb__drift drift;
  qb__drift_init(&drift, 0);
  for (int i = 0; i < 5000; i++)
    assert_false(qb__drift_add(&drift, noisy(i % 50 < 2 ? 4e6 : 1e6, 0.03, &random), 1e6));
  assert_true(fabs(qb__drift_factor(&drift) - 1) < 0.03);
}

/* Each regime is learnt anew: rounds before the change do not weigh. */
static void rounds_before_a_change_do_not_count(void **state)
{
  (void)state;
  qb__drift drift;
  qb__drift_init(&drift, 0.02);
  for (int i = 0; i < 100000; i++)
    (void)qb__drift_add(&drift, 1e6, 1e6);
  int rounds = 0;
  while (!qb__drift_add(&drift, 1.5e6, 1e6))
    rounds++;
  assert_true(rounds < 5);
  assert_true(fabs(qb__drift_factor(&drift) - 1.5) < 1e-9);
  assert_int_equal(drift.regimes, 1);
}

static void impossible_times_are_ignored(void **state)
{
  (void)state;
  qb__drift drift, before;
  qb__drift_init(&drift, 0);
  memcpy(&before, &drift, sizeof drift); /* with its padding */
  assert_false(qb__drift_add(&drift, 0, 1));
  assert_false(qb__drift_add(&drift, 1, 0));
  assert_false(qb__drift_add(&drift, -1, 1));
  assert_false(qb__drift_add(&drift, NAN, 1));
  assert_false(qb__drift_add(&drift, INFINITY, 1));
  assert_memory_equal(&drift, &before, sizeof drift);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(noise_is_no_change),
      cmocka_unit_test(a_profile_that_is_a_little_off_is_no_change),
      cmocka_unit_test(a_change_is_learnt_within_ten_rounds),
      cmocka_unit_test(short_bursts_are_no_change),
      cmocka_unit_test(rounds_before_a_change_do_not_count),
      cmocka_unit_test(impossible_times_are_ignored),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
