/* SPDX-License-Identifier: Apache-2.0 */
/* The chance that is promised, against jobs drawn at random. */
#include "place/cost.h"
#include "place/makespan.h"

#include "support/random.h"
#include "support/unit.h"

enum { BATCH = 4, JOBS = 4000 };

typedef struct fixture {
  double values[4][BATCH + 1];
  uint64_t memory[BATCH + 1];
  qb__rounds rounds;
} fixture;

static fixture make(double error, double noise)
{
  fixture f = {0};
  for (uint32_t b = 1; b <= BATCH; b++) {
    const double time_ns = 1e6 * (2 + b);
    f.values[0][b] = time_ns;
    f.values[1][b] = error * time_ns;
    f.values[2][b] = noise * time_ns;
  }
  return f;
}

static void bind(fixture *f)
{
  f->rounds = (qb__rounds){.configuration = {1, 1},
                           .max_batch = BATCH,
                           .time_ns = f->values[0],
                           .error_ns = f->values[1],
                           .noise_ns = f->values[2],
                           .memory_share = f->values[3],
                           .memory_bytes = f->memory};
}

/* A job of `workers` workers with `most` samples each: when the last one is done. */
static double draw(const fixture *f, uint64_t *seed, uint32_t workers, uint64_t most)
{
  const double error = random_normal(seed);
  double last = 0;
  for (uint32_t w = 0; w < workers; w++) {
    double ns = 0;
    for (uint64_t left = most; left;) {
      const uint32_t n = left < BATCH ? (uint32_t)left : BATCH;
      ns += f->values[0][n] + error * f->values[1][n] + random_normal(seed) * f->values[2][n];
      left -= n;
    }
    last = fmax(last, ns);
  }
  return last;
}

static void check_chance(uint64_t *seed, double error, double noise, uint32_t workers,
                         uint64_t most)
{
  fixture f = make(error, noise);
  bind(&f);
  const qb_node_type type = QB_NODE_TYPE_INIT;
  const qb__spread spread = qb__spread_of(workers, qb__confidence(&type));
  const qb__makespan m = qb__makespan_of(&type, workers, &f.rounds, most, BATCH, &spread);
  int within = 0, below = 0;
  for (int i = 0; i < JOBS; i++) {
    const double ns = draw(&f, seed, workers, most);
    within += ns <= (double)m.total_95_ns;
    below += ns <= (double)m.total_ns;
  }
  const double chance = (double)within / JOBS, half = (double)below / JOBS;
  print_message("error %g, noise %g, %u workers: %.3f within total_95_ns, %.3f within total_ns\n",
                error, noise, workers, chance, half);
  /* Four standard deviations of the count. */
  assert_true(fabs(chance - 0.95) < 4 * sqrt(0.95 * 0.05 / JOBS) + 0.005);
  assert_true(fabs(half - 0.5) < 4 * sqrt(0.25 / JOBS) + 0.01);
}

static void test_chance(void **state)
{
  (void)state;
  uint64_t seed = 31;
  check_chance(&seed, 0.02, 0, 1, 41);
  check_chance(&seed, 0, 0.1, 1, 41);
  check_chance(&seed, 0, 0.1, 16, 41);
  check_chance(&seed, 0.02, 0.1, 1, 41);
  check_chance(&seed, 0.02, 0.1, 16, 41);
}

/* Jobs that are interrupted at random hold the deadline in 95 of 100 cases or more. */
static void test_interruptions(void **state)
{
  (void)state;
  uint64_t seed = 5;
  fixture f = make(0, 0);
  bind(&f);
  qb_node_type type = QB_NODE_TYPE_INIT;
  type.start_up_ns = 30000000;
  type.interruptions_per_h = 1000;
  const uint64_t most = 100000; /* 150 s of rounds, 42 interruptions */
  const qb__spread spread = qb__spread_of(1, qb__confidence(&type));
  const qb__makespan m = qb__makespan_of(&type, 1, &f.rounds, most, BATCH, &spread);
  int within = 0;
  double sum = 0;
  for (int i = 0; i < JOBS; i++) {
    const double work = most / BATCH * f.values[0][BATCH];
    double ns = (double)type.start_up_ns + work, next = 0;
    while ((next -= log(1 - random_unit(&seed)) * 3600e9 / type.interruptions_per_h) < work)
      ns += (double)type.start_up_ns + random_unit(&seed) * f.values[0][BATCH];
    within += ns <= (double)m.total_95_ns;
    sum += ns;
  }
  assert_true(within >= 0.95 * JOBS);
  assert_true(fabs(sum / JOBS / (double)m.total_ns - 1) < 0.001);
}

static void test_bills(void **state)
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

  fixture f = make(0, 0); /* rounds of 3, 4, 5 and 6 ms */
  bind(&f);
  qb_node_type type = QB_NODE_TYPE_INIT;
  type.memory_bytes = UINT64_C(1) << 31;
  type.billing = (qb_billing){.kind = QB_BILLING_CALLS,
                              .price_per_gib_s = 1,
                              .price_per_call = 0.25,
                              .granularity_ns = 10000000};
  /* Every call is billed as 10 ms of 2 GiB: 11 samples on 2 workers are 4 + 2 and 4 + 1. */
  assert_true(fabs(qb__cost_of_calls(&type, &f.rounds, 11, 2, 4, 1) - 4 * (0.25 + 0.02)) < 1e-12);
  type.billing.granularity_ns = 1000000;
  type.start_up_ns = 1000000000;
  const double expected = 4 * 0.25 + 2 * (0.006 + 0.004 + 0.006 + 0.003 + 2);
  assert_true(fabs(qb__cost_of_calls(&type, &f.rounds, 11, 2, 4, 1) - expected) < 1e-12);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_chance),
      cmocka_unit_test(test_interruptions),
      cmocka_unit_test(test_bills),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
