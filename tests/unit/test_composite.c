/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/composite.h"

#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 20, MOST_VISITS = 40 };

static qb_context *context;

static int by_value(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static void the_faster_half_is_what_counts(void **state)
{
  (void)state;
  static const int64_t odd[] = {10, 12, 13, 50, 60}, even[] = {10, 12, 13, 15, 60, 70, 80, 90};
  qb__composite made;
  assert_ok(qb__compose(context, odd, 5, 1, &made));
  assert_int_equal(made.kept, 3);
  assert_int_equal(made.latency_ns, 12);
  assert_int_equal(made.low_ns, 8); /* of five: 12 - 2 * 2.78 / 1.96 * sqrt(5 / 4) */
  assert_ok(qb__compose(context, even, 8, 1, &made));
  assert_int_equal(made.kept, 4);
  assert_int_equal(made.latency_ns, 13); /* 12.5 */
  assert_ok(qb__compose(context, odd, 1, 1, &made));
  assert_int_equal(made.latency_ns, 10);
  assert_int_equal(made.low_ns, 9); /* one tells nothing of how they vary */
  assert_int_equal(made.high_ns, 11);
}

/* Each visit has a burst in another part; no round is undisturbed, their composite is. */
static void bursts_in_different_parts_disappear(void **state)
{
  (void)state;
  int64_t part_ns[10][PARTS];
  for (int v = 0; v < 10; v++)
    for (int p = 0; p < PARTS; p++)
      part_ns[v][p] = 1000 * (p + 1) * (p == v ? 3 : 1);
  qb__composite made;
  assert_ok(qb__compose(context, part_ns[0], 10, PARTS, &made));
  assert_int_equal(made.latency_ns, 1000 * PARTS * (PARTS + 1) / 2);
}

typedef struct visit {
  int64_t sum_ns, part_ns[PARTS];
} visit;

/* A round whose parts take 1 ms in the mean, sharing some of their noise. */
static void draw_visit(visit *v, double common, double own, double burst, uint64_t *random)
{
  const double speed = common * random_normal(random);
  const double slow = random_unit(random) < burst ? 2 : 1;
  v->sum_ns = 0;
  for (int p = 0; p < PARTS; p++) {
    v->part_ns[p] = (int64_t)(1e6 * slow * exp(speed + own * random_normal(random)));
    v->sum_ns += v->part_ns[p];
  }
}

static void compose_visits(int visits, double common, double own, double burst, uint64_t *random,
                           qb__composite *made)
{
  visit drawn[MOST_VISITS];
  int64_t part_ns[MOST_VISITS * PARTS];
  for (int v = 0; v < visits; v++)
    draw_visit(&drawn[v], common, own, burst, random);
  qsort(drawn, (size_t)visits, sizeof *drawn, by_value);
  for (int v = 0; v < visits; v++)
    memcpy(part_ns + PARTS * v, drawn[v].part_ns, sizeof drawn[v].part_ns);
  assert_ok(qb__compose(context, part_ns, (size_t)visits, PARTS, made));
}

/* The interval is about what repeating the whole measurement would show. */
static void the_interval_covers_repetitions(void **state)
{
  (void)state;
  enum { REPETITIONS = 1500 };
  uint64_t random = random_start();
  static const int visits[] = {8, 16, 40};
  for (size_t i = 0; i < sizeof visits / sizeof *visits; i++) {
    static qb__composite made[REPETITIONS];
    double mean = 0;
    for (int r = 0; r < REPETITIONS; r++) {
      compose_visits(visits[i], 0.02, 0.05, 0.2, &random, &made[r]);
      mean += (double)made[r].latency_ns / REPETITIONS;
    }
    int covered = 0;
    for (int r = 0; r < REPETITIONS; r++)
      covered += (double)made[r].low_ns <= mean && mean <= (double)made[r].high_ns;
    print_message("%d visits: %.1f %% of the intervals hold the mean\n", visits[i],
                  100.0 * covered / REPETITIONS);
    if (covered < 0.90 * REPETITIONS)
      fail_msg("%d visits: %d of %d intervals hold the mean", visits[i], covered, REPETITIONS);
  }
}

/*
 * A third of the visits meet a burst; on average over measurements that shows by less than 1.5 %.
 */
static void bursts_hardly_matter(void **state)
{
  (void)state;
  enum { REPETITIONS = 100 };
  uint64_t random = random_start();
  double bias = 0;
  for (int i = 0; i < REPETITIONS; i++) {
    qb__composite quiet, noisy;
    compose_visits(MOST_VISITS, 0.01, 0.03, 0, &random, &quiet);
    compose_visits(MOST_VISITS, 0.01, 0.03, 0.35, &random, &noisy);
    const double off = (double)noisy.latency_ns / (double)quiet.latency_ns - 1;
    bias += off / REPETITIONS;
    assert_true(fabs(off) < 0.05);
  }
  if (fabs(bias) >= 0.015)
    fail_msg("bursts show by %.2f %%", 100 * bias);
}

static qb_status compose(qb_context *in, void *user)
{
  (void)user;
  static const int64_t part_ns[] = {1, 2, 3, 4, 5, 6};
  qb__composite made;
  return qb__compose(in, part_ns, 3, 2, &made);
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  check_every_allocation_failure(compose, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_faster_half_is_what_counts),
      cmocka_unit_test(bursts_in_different_parts_disappear),
      cmocka_unit_test(the_interval_covers_repetitions),
      cmocka_unit_test(bursts_hardly_matter),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
