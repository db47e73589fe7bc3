/* SPDX-License-Identifier: Apache-2.0 */
/* The chance that is promised, against jobs drawn at random. */
#include "plan/bill.h"
#include "plan/job_time.h"

#include "support/random.h"
#include "support/unit.h"

#include <qosbatch/catalogue.h>

#include <math.h>

enum { BATCH = 4, JOBS = 4000 };

static const qb__purchase not_bought = {0, 0};

typedef struct fixture {
  int64_t values[6][BATCH + 1];
  uint64_t memory[BATCH + 1];
  double errors[2][BATCH + 1]; /* standard deviations: of the profile, of a node */
  qb__round_times table;
} fixture;

static void make(double error, double noise, fixture *f)
{
  *f = (fixture){.table = {.max_batch = BATCH,
                           .latency_ns = f->values[0],
                           .low_ns = f->values[1],
                           .high_ns = f->values[2],
                           .mean_ns = f->values[3],
                           .p95_ns = f->values[4],
                           .slow_ns = f->values[5],
                           .memory_bytes = f->memory}};
  for (uint32_t b = 1; b <= BATCH; b++) {
    const double ns = 1e6 * (2 + b);
    f->errors[0][b] = error * ns;
    f->errors[1][b] = noise * ns;
    f->values[0][b] = f->values[3][b] = (int64_t)ns;
    f->values[1][b] = (int64_t)(ns * (1 - 1.959964 * error));
    f->values[2][b] = (int64_t)(ns * (1 + 1.959964 * error));
    f->values[4][b] = (int64_t)(ns * (1 + 1.644854 * noise));
  }
}

/* A job on `nodes` nodes with `most` samples on an instance: when the last one is done. */
static double draw(const fixture *f, uint64_t *seed, uint32_t nodes, uint64_t most)
{
  const double error = random_normal(seed);
  double last = 0;
  for (uint32_t i = 0; i < nodes; i++) {
    const double own = random_normal(seed);
    double ns = 0;
    for (uint64_t left = most; left;) {
      const uint32_t n = left < BATCH ? (uint32_t)left : BATCH;
      ns += (double)f->table.mean_ns[n] + error * f->errors[0][n] + own * f->errors[1][n];
      left -= n;
    }
    last = fmax(last, ns);
  }
  return last;
}

static void check_chance(uint64_t *seed, double error, double noise, uint32_t nodes, uint64_t most)
{
  fixture f;
  make(error, noise, &f);
  const qb__spread spread = qb__spread_of(nodes, &not_bought);
  const qb__job_time time = qb__job_time_of(&f.table, most, BATCH, &spread, &not_bought);
  int within = 0, below = 0;
  for (int i = 0; i < JOBS; i++) {
    const double ns = draw(&f, seed, nodes, most);
    within += ns <= (double)time.high_ns;
    below += ns <= (double)time.total_ns;
  }
  const double chance = (double)within / JOBS, half = (double)below / JOBS;
  print_message("error %g, noise %g, %u nodes: %.3f within high_ns, %.3f within total_ns\n", error,
                noise, nodes, chance, half);
  /* Four standard deviations of the count. */
  assert_true(fabs(chance - 0.975) < 4 * sqrt(0.975 * 0.025 / JOBS) + 0.005);
  assert_true(fabs(half - 0.5) < 4 * sqrt(0.25 / JOBS) + 0.01);
}

static void jobs_drawn_at_random_end_within_the_interval(void **state)
{
  (void)state;
  uint64_t seed = 31;
  check_chance(&seed, 0.02, 0, 1, 41);
  check_chance(&seed, 0, 0.1, 1, 41);
  check_chance(&seed, 0, 0.1, 16, 41);
  check_chance(&seed, 0.02, 0.1, 1, 41);
  check_chance(&seed, 0.02, 0.1, 16, 41);
}

static void a_job_of_one_quiet_round_has_the_interval_of_its_estimate(void **state)
{
  (void)state;
  fixture f;
  make(0.03, 0, &f);
  const qb__spread spread = qb__spread_of(1, &not_bought);
  for (uint32_t b = 1; b <= BATCH; b++) {
    const qb__job_time time = qb__job_time_of(&f.table, b, b, &spread, &not_bought);
    assert_int_equal(time.total_ns, f.table.latency_ns[b]);
    assert_int_equal(time.low_ns, f.table.low_ns[b]);
    assert_int_equal(time.high_ns, f.table.high_ns[b]);
  }
}

static void interrupted_jobs_end_within_the_interval(void **state)
{
  (void)state;
  uint64_t seed = 5;
  fixture f;
  make(0, 0, &f);
  const qb__purchase spot = {30000000, 1000};
  const uint64_t most = 100000; /* 150 s of rounds, 42 interruptions */
  const qb__spread spread = qb__spread_of(1, &spot);
  const qb__job_time time = qb__job_time_of(&f.table, most, BATCH, &spread, &spot);
  int within = 0;
  double sum = 0;
  for (int i = 0; i < JOBS; i++) {
    const double round = (double)f.table.mean_ns[BATCH], work = most / BATCH * round;
    double ns = spot.start_up_ns + work, next = 0;
    while ((next -= log(1 - random_unit(&seed)) * 3600e9 / spot.interruptions_per_h) < work)
      ns += spot.start_up_ns + random_unit(&seed) * round;
    within += ns <= (double)time.high_ns;
    sum += ns;
  }
  assert_true(within >= 0.975 * JOBS);
  assert_true(fabs(sum / JOBS / (double)time.total_ns - 1) < 0.001);
}

static void bills_follow_granularity_and_minimum(void **state)
{
  (void)state;
  qb_billing b = {.kind = QB_BILLING_TIME, .granularity_ns = 1000000000};
  b.price_per_hour = 3600;
  b.minimum_ns = 60000000000;
  assert_true(qb__cost_of_time(&b, 2, 1) == 120);
  assert_true(qb__cost_of_time(&b, 1, 60000000000) == 60);
  assert_true(fabs(qb__cost_of_time(&b, 1, 60000000001) - 61) < 1e-9);
  b.granularity_ns = 3600000000000;
  assert_true(qb__cost_of_time(&b, 3, 60000000001) == 3 * 3600);
  assert_true(qb__billed_ns(&b, INT64_MAX) == INT64_MAX);

  fixture f;
  make(0, 0, &f); /* rounds of 3, 4, 5 and 6 ms */
  qb_node_type type = QB_NODE_TYPE_INIT;
  type.memory_bytes = UINT64_C(1) << 31;
  type.billing = (qb_billing){.kind = QB_BILLING_CALLS,
                              .price_per_gib_s = 1,
                              .price_per_call = 0.25,
                              .granularity_ns = 10000000};
  /* Every call is billed as 10 ms of 2 GiB: 11 samples on 2 workers are 4 + 2 and 4 + 1. */
  assert_true(fabs(qb__cost_of_calls(&type, &f.table, 11, 2, 4, 1) - 4 * (0.25 + 0.02)) < 1e-12);
  type.billing.granularity_ns = 1000000;
  type.start_up_ns = 1000000000;
  const double expected = 4 * 0.25 + 2 * (0.006 + 0.004 + 0.006 + 0.003 + 2);
  assert_true(fabs(qb__cost_of_calls(&type, &f.table, 11, 2, 4, 1) - expected) < 1e-12);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(jobs_drawn_at_random_end_within_the_interval),
      cmocka_unit_test(a_job_of_one_quiet_round_has_the_interval_of_its_estimate),
      cmocka_unit_test(interrupted_jobs_end_within_the_interval),
      cmocka_unit_test(bills_follow_granularity_and_minimum),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
