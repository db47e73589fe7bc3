/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/record.h"

#include "support/expect.h"
#include "support/failing_allocator.h"

#include <string.h>

static const double FULL = 1e11;

typedef struct fixture {
  qb_context *context;
  qb__record record;
} fixture;

static int set_up(void **state)
{
  static fixture f;
  memset(&f, 0, sizeof f);
  *state = &f;
  return qb_context_new(NULL, &f.context) ? -1 : 0;
}

static int tear_down(void **state)
{
  fixture *f = *state;
  qb__record_clear(f->context, &f->record);
  qb_context_unref(f->context);
  return 0;
}

/* A visit of three rounds whose median is `median_ns`. */
static void add(fixture *f, int64_t median_ns, double speed)
{
  int64_t round_ns[3] = {median_ns + 50, median_ns - 50, median_ns};
  const qb__visit visit = {3, round_ns, 1, round_ns, speed * FULL};
  assert_ok(qb__record_add(f->context, &f->record, &visit));
}

static const qb_profile_point *finish(fixture *f)
{
  assert_ok(qb__record_finish(f->context, &f->record, FULL));
  const qb_profile_point *p = &f->record.point;
  assert_true(p->low_ns <= p->latency_ns && p->latency_ns <= p->high_ns);
  assert_true(p->p95_ns >= p->latency_ns && p->mean_ns >= p->latency_ns);
  return p;
}

static void slower_half_is_set_aside(void **state)
{
  fixture *f = *state;
  for (int i = 0; i < 4; i++)
    add(f, 1000 + 10 * i, 0.95);
  add(f, 9000, 0.94);
  add(f, 9000, 0.10);
  add(f, 9000, 1);
  const qb_profile_point *p = finish(f);
  assert_int_equal(p->visits, 4);
  assert_int_equal(p->set_aside, 3);
  assert_false(p->disturbed);
  assert_int_equal(p->latency_ns, 1015);
  assert_int_equal(p->low_ns, 994);       /* of seven: 1015 - 15 * 2.45 / 1.96 * sqrt(7 / 6) */
  assert_in_range(p->p95_ns, 1070, 1080); /* of their rounds, the largest being 1080 */
}

/* The parts are those of different rounds: the medians of two that vary against each other. */
static void medians_of_parts_are_of_different_rounds(void **state)
{
  fixture *f = *state;
  for (int i = 0; i < 5; i++) {
    int64_t part_ns[6] = {400, 600, 200, 900, 500 + i, 500 - i}, round_ns[3] = {1000, 1100, 1000};
    const qb__visit visit = {3, round_ns, 2, part_ns, FULL};
    assert_ok(qb__record_add(f->context, &f->record, &visit));
  }
  const qb_profile_point *p = finish(f);
  assert_int_equal(p->latency_ns, 400 + 600);
  assert_int_equal(p->p95_ns, 1100);
  assert_int_equal(p->mean_ns, 1033);
}

static void visits_that_disagree_are_marked_disturbed(void **state)
{
  fixture *f = *state;
  for (int i = 0; i < 3; i++)
    add(f, 1000, 0.85); /* no yardstick near the full speed */
  assert_true(finish(f)->disturbed);
  add(f, 990, 0.95);
  assert_false(finish(f)->disturbed);
  add(f, 800, 0.95); /* 3 of 5 are kept, and differ by a quarter */
  assert_true(finish(f)->disturbed);
}

static void standing_clock_is_taken_as_it_is(void **state)
{
  fixture *f = *state;
  for (int i = 0; i < 8; i++)
    add(f, 500 + i, 0);
  const qb_profile_point *p = finish(f);
  assert_false(p->disturbed);
  assert_int_equal(p->visits, 4);
  assert_int_equal(p->set_aside, 4);
  assert_int_equal(p->latency_ns, 502); /* 501.5 */
}

static void a_single_visit_has_a_wide_interval(void **state)
{
  fixture *f = *state;
  add(f, 700, 1);
  const qb_profile_point *p = finish(f);
  assert_false(p->disturbed);
  assert_int_equal(p->latency_ns, 700);
  assert_int_equal(p->low_ns, 630);
  assert_int_equal(p->high_ns, 770);
}

/* What is known joins what is seen: the more certain of the two counts for more. */
static void a_known_point_counts_by_its_certainty(void **state)
{
  fixture *f = *state;
  qb_profile_point known = QB_PROFILE_POINT_INIT;
  known.latency_ns = 1020;
  known.low_ns = 1000;
  known.high_ns = known.p95_ns = known.mean_ns = 1040;
  known.visits = 4;
  f->record.known = &known;
  f->record.point = known;
  assert_int_equal(finish(f)->latency_ns, 1020); /* nothing seen yet */
  for (int i = 0; i < 6; i++)
    add(f, 1000 + 10 * i, 1);
  const qb_profile_point alone = known, seen = *finish(f), both = qb__record_joined(&f->record);
  assert_true(seen.latency_ns < both.latency_ns && both.latency_ns < alone.latency_ns);
  assert_true(both.high_ns - both.low_ns < seen.high_ns - seen.low_ns);
  assert_true(both.high_ns - both.low_ns < alone.high_ns - alone.low_ns);
  assert_int_equal(both.visits, seen.visits + alone.visits);
  known.low_ns = known.latency_ns = 2000; /* something else was measured then */
  known.high_ns = known.p95_ns = known.mean_ns = 2100;
  assert_int_equal(qb__record_joined(&f->record).latency_ns, seen.latency_ns);
}

/*
 * A quota's pauses come again and again: the mean is of all rounds, which neighbours' bursts are
 * not.
 */
static void pauses_of_a_quota_count_in_the_mean(void **state)
{
  fixture *f = *state;
  for (int i = 0; i < 4; i++) {
    add(f, 1000, 1);
    add(f, 3000, 1);
  }
  assert_int_equal(finish(f)->mean_ns, 1000);
  f->record.throttled = true;
  const qb_profile_point *p = finish(f);
  assert_int_equal(p->latency_ns, 1000);
  assert_int_equal(p->mean_ns, 2000);
  assert_true(p->p95_ns >= 3000);
}

/* A visit has the rounds of all instances, of which those on slow cores take longer. */
static void rounds_on_slow_cores_are_in_the_percentile_and_the_mean(void **state)
{
  fixture *f = *state;
  int64_t round_ns[] = {1000, 1000, 1000, 1000, 1000, 1000, 2000, 2000};
  const qb__visit visit = {8, round_ns, 1, round_ns, FULL};
  for (int i = 0; i < 4; i++)
    assert_ok(qb__record_add(f->context, &f->record, &visit));
  const qb_profile_point *p = finish(f);
  assert_int_equal(p->latency_ns, 1000);
  assert_int_equal(p->p95_ns, 2000);
  assert_int_equal(p->mean_ns, 1250);
  assert_false(p->disturbed);
}

/* Finishing tells how far a point is; more may be added after. */
static void finish_may_be_repeated(void **state)
{
  fixture *f = *state;
  for (int i = 0; i < 3; i++)
    add(f, 1000, 1);
  assert_int_equal(finish(f)->latency_ns, 1000);
  for (int i = 0; i < 4; i++)
    add(f, 500, 1);
  assert_int_equal(finish(f)->latency_ns, 500);
  assert_int_equal(finish(f)->visits, 4);
}

static qb_status record_visits(qb_context *context, void *user)
{
  (void)user;
  qb__record record;
  memset(&record, 0, sizeof record);
  qb_status status = QB_OK;
  for (int i = 0; i < 20 && !status; i++) {
    int64_t round_ns[2] = {10, 20};
    const qb__visit visit = {2, round_ns, 1, round_ns, 0};
    status = qb__record_add(context, &record, &visit);
  }
  if (!status)
    status = qb__record_finish(context, &record, FULL);
  qb__record_clear(context, &record);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  check_every_allocation_failure(record_visits, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(slower_half_is_set_aside, set_up, tear_down),
      cmocka_unit_test_setup_teardown(medians_of_parts_are_of_different_rounds, set_up, tear_down),
      cmocka_unit_test_setup_teardown(visits_that_disagree_are_marked_disturbed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(standing_clock_is_taken_as_it_is, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_single_visit_has_a_wide_interval, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_known_point_counts_by_its_certainty, set_up, tear_down),
      cmocka_unit_test_setup_teardown(pauses_of_a_quota_count_in_the_mean, set_up, tear_down),
      cmocka_unit_test_setup_teardown(rounds_on_slow_cores_are_in_the_percentile_and_the_mean,
                                      set_up, tear_down),
      cmocka_unit_test_setup_teardown(finish_may_be_repeated, set_up, tear_down),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
