/* SPDX-License-Identifier: Apache-2.0 */
/* How the tool judges and corrects a job: pace.c and correction.c of tools/qosbatch. */
#include "run/correction.h"
#include "run/pace.h"

#include "support/random.h"
#include "support/unit.h"

#include <math.h>

enum { MS = 1000000 };

static void nothing_is_known_at_first(void **state)
{
  (void)state;
  pace p;
  pace_begin(&p, 1000, 50, 1);
  assert_false(pace_is_known(&p));
  assert_true(pace_per_s(&p) == 50);
  assert_true(pace_slowdown(&p) == 1);
  assert_int_equal(pace_left_ns(&p), INT64_C(20000) * MS);
  pace_note(&p, 400 * MS, 10, 1);
  pace_note(&p, 800 * MS, 20, 2);
  assert_false(pace_is_known(&p)); /* less than a second */
  assert_int_equal(pace_left_ns(&p), INT64_C(19600) * MS);
}

/* Rounds of random sizes at a true rate: whatever their sizes, it is found within seconds. */
static void the_true_rate_is_found_within_seconds(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = 0; i < 200; i++) {
    const double rate = exp(1 + 6 * random_unit(&seed)); /* 3 .. 1100 samples/s */
    const uint64_t batch = random_int(&seed, 1, (uint64_t)rate + 1);
    pace p;
    pace_begin(&p, 1000000, 2 * rate, 1);
    uint64_t samples = 0, rounds = 0;
    int64_t at_ns = 0;
    while (!pace_is_known(&p)) {
      samples += batch;
      at_ns = (int64_t)(1e9 * (double)samples / rate);
      pace_note(&p, at_ns, samples, ++rounds);
      pace_note(&p, at_ns + 10 * MS, samples, rounds); /* nothing new */
    }
    assert_true(at_ns < INT64_C(4000) * MS);
    assert_true(fabs(pace_slowdown(&p) - 2) < 1e-6);
  }
}

static void the_pace_forgets_what_was_long_ago(void **state)
{
  (void)state;
  pace p;
  pace_begin(&p, 1000000, 100, 2);
  for (int i = 1; i <= 1000; i++) /* 100 s at 100/s */
    pace_note(&p, (int64_t)i * 100 * MS, (uint64_t)i * 10, (uint64_t)i);
  assert_true(fabs(pace_per_s(&p) - 100) < 1e-6);
  for (int i = 1; i <= 100; i++) /* 10 s at 50/s */
    pace_note(&p, (int64_t)(1000 + i) * 100 * MS, 10000 + (uint64_t)i * 5, 1000 + (uint64_t)i);
  assert_true(fabs(pace_per_s(&p) - 50) < 1);
}

static void a_restart_leaves_out_rounds_under_way(void **state)
{
  (void)state;
  pace p;
  pace_begin(&p, 1000000, 100, 1);
  uint64_t rounds = 0, samples = 0;
  int64_t at_ms = 0;
  for (; rounds < 20; at_ms += 200)
    pace_note(&p, at_ms * MS, samples += 10, ++rounds);
  pace_restart(&p);
  for (int i = 0; i < 2; i++, at_ms += 200) /* two of before */
    pace_note(&p, at_ms * MS, samples += 10, ++rounds);
  for (int i = 0; i < 12; i++, at_ms += 200) {
    assert_int_equal(pace_is_known(&p), i > 4);
    pace_note(&p, at_ms * MS, samples += 20, ++rounds);
    if (pace_is_known(&p))
      assert_true(fabs(pace_per_s(&p) - 100) < 1e-6);
  }
}

static correction three_sizes(void)
{
  return (correction){.count = 3,
                      .batches = {{16, 10 * MS, 0, 100 * MS},
                                  {8, 11 * MS, 0, 100 * MS},
                                  {24, 10.5 * MS, 0, 100 * MS}}};
}

static const int64_t HOUR_NS = INT64_C(3600000) * MS;

static void a_job_that_runs_as_planned_keeps_its_batch(void **state)
{
  (void)state;
  correction c = three_sizes();
  for (int i = 0; i < 10; i++)
    assert_int_equal(correction_choose(&c, 10.9 * MS, HOUR_NS), 16);
}

/* A machine that is slower as a whole: the others are tried once, and the planned size stays. */
static void a_slower_machine_tries_the_others_once(void **state)
{
  (void)state;
  correction c = three_sizes();
  assert_int_equal(correction_choose(&c, 13 * MS, HOUR_NS), 24);
  assert_int_equal(correction_choose(&c, 10.5 * 1.3 * MS, HOUR_NS), 8);
  for (int i = 0; i < 10; i++)
    assert_int_equal(correction_choose(&c, i ? 13 * MS : 11 * 1.3 * MS, HOUR_NS), 16);
}

static void a_size_that_was_planned_wrong_is_left(void **state)
{
  (void)state;
  correction c = three_sizes();
  assert_int_equal(correction_choose(&c, 13 * MS, HOUR_NS), 24);
  for (int i = 0; i < 10; i++) /* as planned: 8 promises no gain over it */
    assert_int_equal(correction_choose(&c, 10.5 * MS, HOUR_NS), 24);
}

static void the_end_of_a_short_job_is_no_time_to_try(void **state)
{
  (void)state;
  correction c = three_sizes();
  assert_int_equal(correction_choose(&c, 13 * MS, INT64_C(100000) * MS), 16);
  assert_int_equal(correction_choose(&c, 13 * MS, INT64_C(111000) * MS), 24);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_known_at_first),
      cmocka_unit_test(the_true_rate_is_found_within_seconds),
      cmocka_unit_test(the_pace_forgets_what_was_long_ago),
      cmocka_unit_test(a_restart_leaves_out_rounds_under_way),
      cmocka_unit_test(a_job_that_runs_as_planned_keeps_its_batch),
      cmocka_unit_test(a_slower_machine_tries_the_others_once),
      cmocka_unit_test(a_size_that_was_planned_wrong_is_left),
      cmocka_unit_test(the_end_of_a_short_job_is_no_time_to_try),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
