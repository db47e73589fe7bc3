/* SPDX-License-Identifier: Apache-2.0 */
/* Which batch size is visited next, and what points with few visits take over from others. */
#include "profile/points.h"

#include "support/expect.h"

#include <math.h>

typedef struct fixture {
  qb_context *context;
  qb__points curves[2];
} fixture;

static int set_up(void **state)
{
  static fixture f;
  f = (fixture){.curves = {{.configuration = {1, 4}}, {.configuration = {4, 1}}}};
  *state = &f;
  assert_ok(qb_context_new(NULL, &f.context));
  return 0;
}

static int tear_down(void **state)
{
  fixture *f = *state;
  for (int k = 0; k < 2; k++)
    qb__points_clear(f->context, &f->curves[k]);
  qb_context_unref(f->context);
  return 0;
}

static qb__record *point(fixture *f, int curve, uint32_t batch)
{
  qb__record *record;
  assert_ok(qb__points_find(f->context, &f->curves[curve], batch, &record));
  return record;
}

/* A point of four times the weight, or a quarter of the time, is visited twice as often. */
static void visits_go_by_weight_and_time(void **state)
{
  fixture *f = *state;
  for (uint32_t batch = 1; batch <= 3; batch++)
    point(f, 0, batch);
  qb__record *records = f->curves[0].records;
  records[0].visit_ns = records[1].visit_ns = 4000000;
  records[2].visit_ns = 1000000;
  records[1].weight = 4;
  for (int i = 0; i < 50; i++) {
    qb__record *next = qb__points_next(&f->curves[0], true);
    assert_true(i >= 3 || next == &records[i]);
    next->visit_count++;
  }
  assert_in_range(records[0].visit_count, 9, 11);
  assert_in_range(records[1].visit_count, 19, 21);
  assert_in_range(records[2].visit_count, 19, 21);
  for (int i = 0; i < 3; i++)
    records[i].visit_count = 0; /* there are none to be freed */
}

static void measure(fixture *f, int curve, uint32_t batch, uint32_t visits, double p95)
{
  qb_profile_point *p = &point(f, curve, batch)->point;
  p->visits = visits;
  p->latency_ns = p->mean_ns = 1000000;
  p->p95_ns = (int64_t)(1e6 * p95);
}

/* Rounds of four instances vary more than those of one, which says nothing of one alone. */
static void few_visits_are_lent_the_spread_of_their_configuration(void **state)
{
  fixture *f = *state;
  measure(f, 0, 1, 8, 1.1);
  measure(f, 0, 2, 2, 1);
  measure(f, 1, 1, 8, 1.5);
  measure(f, 1, 2, 2, 1);
  measure(f, 1, 4, 2, 1.9);
  qb__points_lend_spread(f->curves, 2);
  assert_true(fabs((double)point(f, 0, 2)->point.p95_ns / 1e6 - sqrt(1.1)) < 1e-3);
  assert_true(fabs((double)point(f, 1, 2)->point.p95_ns / 1e6 - sqrt(1.5)) < 1e-3);
  assert_int_equal(point(f, 1, 4)->point.p95_ns, 1900000);
  measure(f, 0, 1, 3, 1.1);
  qb__points_lend_spread(f->curves, 2);
  assert_true(fabs((double)point(f, 0, 2)->point.p95_ns / 1e6 - sqrt(1.5)) < 1e-3);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(visits_go_by_weight_and_time, set_up, tear_down),
      cmocka_unit_test_setup_teardown(few_visits_are_lent_the_spread_of_their_configuration, set_up,
                                      tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
