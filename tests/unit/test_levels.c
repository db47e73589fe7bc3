/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/levels.h"
#include "support/expect.h"

#include <math.h>
#include <string.h>

static const int64_t KNOWN_NS[] = {1000000, 1900000, 3700000}; /* of 1, 2 and 4 samples */
enum { POINTS = sizeof KNOWN_NS / sizeof *KNOWN_NS };

typedef struct fixture {
  qb_context *context;
  qb_profile_point known[POINTS];
  qb__points points;
} fixture;

static int set_up(void **state)
{
  static fixture f;
  memset(&f, 0, sizeof f);
  *state = &f;
  assert_ok(qb_context_new(NULL, &f.context));
  f.points.configuration = (qb_configuration){1, 2, QB_PRECISION_F32, {0}};
  for (int i = 0; i < POINTS; i++) {
    f.known[i] = (qb_profile_point)QB_PROFILE_POINT_INIT;
    f.known[i].batch = 1u << i;
    f.known[i].visits = 4;
    f.known[i].latency_ns = KNOWN_NS[i];
    f.known[i].low_ns = KNOWN_NS[i] - KNOWN_NS[i] / 100;
    f.known[i].high_ns = KNOWN_NS[i] + KNOWN_NS[i] / 100;
    f.known[i].p95_ns = f.known[i].mean_ns = f.known[i].high_ns;
    f.known[i].thread_flops_per_s = 1e11;
  }
  return 0;
}

static int tear_down(void **state)
{
  fixture *f = *state;
  qb__points_clear(f->context, &f->points);
  qb_context_unref(f->context);
  return 0;
}

static void know(fixture *f, size_t runs)
{
  for (int i = 0; i < POINTS; i++)
    assert_ok(qb__points_add_known(f->context, &f->points, &f->known[i], 0.001));
  f->points.known_runs = runs;
}

/* Visits of a session to the first two points, `factor` times what is known; 1 % apart. */
static void visit(fixture *f, uint32_t session, double factor)
{
  for (int i = 0; i < 2; i++) {
    qb__record *record;
    assert_ok(qb__points_find(f->context, &f->points, 1u << i, &record));
    for (int k = 0; k < 4; k++) {
      int64_t ns = (int64_t)((double)KNOWN_NS[i] * factor * (1 + 0.01 * k));
      const qb__visit seen = {1, &ns, 1, &ns, 9e10 / factor, 1e11 / factor};
      assert_ok(qb__record_add(f->context, record, &seen));
      record->visits[record->visit_count - 1].session = session;
    }
  }
}

static void finish(const fixture *f)
{
  for (size_t i = 0; i < f->points.count; i++)
    assert_ok(qb__record_finish(f->context, &f->points.records[i], 1e11));
}

static double ratio(const fixture *f, int i)
{
  const qb_profile_point *p = &f->points.records[i].point;
  assert_true(p->low_ns <= p->latency_ns && p->latency_ns <= p->high_ns);
  assert_true(p->p95_ns >= p->latency_ns && p->mean_ns >= p->latency_ns);
  return (double)p->latency_ns / (double)KNOWN_NS[i];
}

static bool is_near(double a, double b)
{
  return fabs(a - b) < 0.015;
}

/* Three runs were at 1, one is at 1.2: all points are at 1.2^(1/4), those not visited, too. */
static void a_run_moves_all_points_by_its_share(void **state)
{
  fixture *f = *state;
  know(f, 3);
  visit(f, 1, 1.2);
  visit(f, 2, 1.2);
  finish(f);
  qb__levels_join(&f->points);
  assert_false(f->points.known_is_over);
  for (int i = 0; i < POINTS; i++)
    assert_true(is_near(ratio(f, i), pow(1.2, 0.25)));
  assert_true(is_near(f->points.known_level, -0.25 * log(1.2)));
  assert_true(is_near(f->points.run_level, 0.75 * log(1.2)));
  assert_true(is_near(qb__levels_speed(&f->points, 1e11 / 1.2) / 1e11, pow(1.2, -0.25)));
}

/* What was there for long does not hold a machine to it for ever. */
static void runs_beyond_seven_do_not_weigh(void **state)
{
  fixture *f = *state;
  know(f, 1000);
  visit(f, 1, 1.2);
  finish(f);
  qb__levels_join(&f->points);
  assert_true(is_near(ratio(f, 2), pow(1.2, 1.0 / 8)));
}

static void another_machine_stands_alone(void **state)
{
  fixture *f = *state;
  know(f, 5);
  visit(f, 1, 0.5);
  finish(f);
  qb__levels_join(&f->points);
  assert_true(f->points.known_is_over);
  for (int i = 0; i < POINTS; i++)
    assert_true(is_near(ratio(f, i), 0.5));
  assert_true(f->points.run_level == 0);
}

/* A neighbour was busy in one of them, whichever it was; all batch sizes were visited in both. */
static void a_disturbed_session_counts_as_the_other_one(void **state)
{
  fixture *f = *state;
  for (uint32_t slow = 1; slow <= QB__SESSIONS; slow++) {
    visit(f, slow, 1.5);
    visit(f, 3 - slow, 1);
    finish(f);
    assert_true(qb__levels_align(&f->points));
    finish(f);
    for (int i = 0; i < 2; i++) {
      assert_true(is_near(ratio(f, i), 1));
      assert_true(f->points.records[i].point.high_ns < 1.03 * (double)KNOWN_NS[i]);
    }
    assert_false(qb__levels_align(&f->points));
    qb__points_clear(f->context, &f->points);
  }
}

static void sessions_that_differ_less_stay_as_they_are(void **state)
{
  fixture *f = *state;
  visit(f, 1, 1.2);
  visit(f, 2, 1);
  finish(f);
  assert_false(qb__levels_align(&f->points));
}

static void sessions_have_their_levels(void **state)
{
  fixture *f = *state;
  know(f, 1);
  visit(f, 1, 1.05);
  visit(f, 2, 1.01);
  finish(f);
  qb__levels_join(&f->points);
  qb__past_session sessions[QB__SESSIONS];
  size_t count;
  assert_ok(qb__levels_of(f->context, &f->points, 77, sessions, &count));
  assert_int_equal(count, 2);
  assert_true(fabs(sessions[0].level - sessions[1].level - log(1.05 / 1.01)) < 1e-6);
  assert_true(is_near(0.5 * (sessions[0].level + sessions[1].level), f->points.run_level));
  assert_true(sessions[0].thread_flops_per_s < sessions[1].thread_flops_per_s);
  assert_int_equal(sessions[0].run_unix_s, 77);
  assert_int_equal(sessions[1].configuration.threads, 2);
}

static void a_first_look_is_one_session(void **state)
{
  fixture *f = *state;
  qb__past_session sessions[QB__SESSIONS];
  size_t count;
  assert_ok(qb__levels_of(f->context, &f->points, 1, sessions, &count));
  assert_int_equal(count, 0);
  visit(f, 0, 1);
  finish(f);
  qb__levels_join(&f->points); /* nothing is known */
  assert_ok(qb__levels_of(f->context, &f->points, 1, sessions, &count));
  assert_int_equal(count, 1);
  assert_true(sessions[0].level == 0 && sessions[0].thread_flops_per_s > 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_run_moves_all_points_by_its_share, set_up, tear_down),
      cmocka_unit_test_setup_teardown(runs_beyond_seven_do_not_weigh, set_up, tear_down),
      cmocka_unit_test_setup_teardown(another_machine_stands_alone, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_disturbed_session_counts_as_the_other_one, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(sessions_that_differ_less_stay_as_they_are, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(sessions_have_their_levels, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_first_look_is_one_session, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
