/* SPDX-License-Identifier: Apache-2.0 */
/* qb_plan_job() against an exhaustive search that shares no code with it. */
#include "support/random_profile.h"
#include "support/unit.h"

#include <qosbatch/plan.h>

#include <string.h>

enum { PROFILES = 10000, MAX_BATCH = 12 };

static qb_context *context;

/*
 * Simulates the job round by round: instance j has its even share, in rounds of b and what is left.
 */
static int64_t simulate(const qb_profile *profile, const qb_configuration *k, uint64_t samples,
                        uint32_t batch, int which, int64_t *longest_high_ns)
{
  int64_t slowest = 0;
  *longest_high_ns = 0;
  for (uint32_t j = 0; j < k->instances; j++) {
    uint64_t left = samples / k->instances + (j < samples % k->instances);
    int64_t total = 0;
    while (left) {
      const uint32_t n = left < batch ? (uint32_t)left : batch;
      qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
      assert_int_equal(qb_estimate(profile, k, n, &e), QB_OK);
      const int64_t slow_ns = e.high_ns > e.p95_ns ? e.high_ns : e.p95_ns;
      total += which < 0 ? e.low_ns : which > 0 ? slow_ns : e.mean_ns;
      *longest_high_ns = e.high_ns > *longest_high_ns ? e.high_ns : *longest_high_ns;
      left -= n;
    }
    slowest = total > slowest ? total : slowest;
  }
  return slowest;
}

typedef struct best {
  bool found;
  qb_configuration configuration;
  uint32_t batch;
  int64_t total_ns;
} best;

static void consider(best *b, const qb_profile *profile, const qb_configuration *k, uint32_t batch,
                     uint64_t samples, const qb_qos *qos, double price)
{
  int64_t longest, ignored;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_int_equal(qb_estimate(profile, k, batch, &e), QB_OK);
  const int64_t total = simulate(profile, k, samples, batch, 0, &longest);
  if ((qos->memory_bytes && e.memory_bytes > qos->memory_bytes) ||
      (qos->budget_per_hour > 0 && price > qos->budget_per_hour) ||
      (qos->latency_ns && longest > qos->latency_ns) ||
      (qos->deadline_ns && simulate(profile, k, samples, batch, 1, &ignored) > qos->deadline_ns))
    return;
  const uint32_t threads = k->instances * k->threads;
  const uint32_t best_threads = b->configuration.instances * b->configuration.threads;
  if (!b->found || total < b->total_ns ||
      (total == b->total_ns &&
       (threads < best_threads || (threads == best_threads && batch < b->batch)))) {
    b->found = true;
    b->configuration = *k;
    b->batch = batch;
    b->total_ns = total;
  }
}

static best search(const qb_profile *profile, uint64_t samples, const qb_qos *qos)
{
  best b = {.found = false};
  qb_node_info node = QB_NODE_INFO_INIT;
  assert_int_equal(qb_node_get_info(qb_profile_node(profile), &node), QB_OK);
  qb_profile_point p = QB_PROFILE_POINT_INIT, next = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &p); i++) {
    const bool last = qb_profile_get_point(profile, i + 1, &next) ||
                      memcmp(&next.configuration, &p.configuration, sizeof p.configuration) != 0;
    if (!last)
      continue;
    const uint64_t share = (samples + p.configuration.instances - 1) / p.configuration.instances;
    for (uint32_t n = 1; n <= p.batch && n <= share; n++)
      consider(&b, profile, &p.configuration, n, samples, qos, node.price_per_hour);
  }
  return b;
}

static void test_random(void **state)
{
  (void)state;
  uint64_t seed = 20261124;
  print_message("seed %llu\n", (unsigned long long)seed);
  int mismatches = 0, feasible = 0;
  for (int i = 0; i < PROFILES; i++) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    const uint64_t samples = random_int(&seed, 1, 60);
    qb_qos qos = QB_QOS_INIT;
    if (random_int(&seed, 0, 2) == 0)
      qos.latency_ns = (int64_t)random_int(&seed, 1000000, 80000000);
    if (random_int(&seed, 0, 2) == 0)
      qos.deadline_ns = (int64_t)random_int(&seed, 1000000, 800000000);
    if (random_int(&seed, 0, 3) == 0)
      qos.budget_per_hour = 0.01 + random_unit(&seed);
    if (random_int(&seed, 0, 3) == 0)
      qos.memory_bytes = random_int(&seed, 100000, 10000000);
    const best expected = search(profile, samples, &qos);
    qb_job_plan plan = QB_JOB_PLAN_INIT;
    const qb_profile *const profiles[1] = {profile};
    assert_int_equal(qb_plan_job(profiles, 1, samples, &qos, &plan), QB_OK);
    const bool same =
        plan.feasible == expected.found &&
        (!expected.found || (plan.total_ns == expected.total_ns && plan.batch == expected.batch &&
                             plan.configuration.instances == expected.configuration.instances &&
                             plan.configuration.threads == expected.configuration.threads));
    mismatches += !same;
    feasible += expected.found;
    if (plan.feasible) {
      assert_true(plan.low_ns <= plan.total_ns && plan.total_ns <= plan.high_ns);
      assert_int_equal(plan.rounds_per_instance * plan.batch + plan.remainder,
                       plan.samples_per_instance);
    } else {
      assert_int_not_equal(plan.reason, QB_REASON_NONE);
      assert_true(plan.batch >= 1);
    }
    qb_profile_unref(profile);
  }
  print_message("%d profiles, %d feasible, %d mismatches\n", PROFILES, feasible, mismatches);
  assert_int_equal(mismatches, 0);
  assert_true(feasible > PROFILES / 4 && feasible < PROFILES);
}

/* What `nearest` says is true: with that term changed, the demand is met; a little less, not. */
static void test_nearest(void **state)
{
  (void)state;
  uint64_t seed = 7;
  int tried = 0;
  for (int i = 0; i < 500; i++) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    const qb_profile *const profiles[1] = {profile};
    qb_qos qos = QB_QOS_INIT;
    qos.deadline_ns = 1000;
    qb_job_plan plan = QB_JOB_PLAN_INIT;
    assert_int_equal(qb_plan_job(profiles, 1, 40, &qos, &plan), QB_OK);
    assert_false(plan.feasible);
    assert_int_equal(plan.reason, QB_REASON_DEADLINE);
    assert_true(plan.nearest.deadline_ns > 0);
    qos.deadline_ns = plan.nearest.deadline_ns;
    assert_int_equal(qb_plan_job(profiles, 1, 40, &qos, &plan), QB_OK);
    assert_true(plan.feasible);
    qos.deadline_ns--;
    assert_int_equal(qb_plan_job(profiles, 1, 40, &qos, &plan), QB_OK);
    assert_false(plan.feasible);
    tried++;
    qb_profile_unref(profile);
  }
  assert_int_equal(tried, 500);
}

static void test_arguments(void **state)
{
  (void)state;
  uint64_t seed = 3;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  const qb_profile *const profiles[2] = {profile, NULL};
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  plan.batch = 77;
  assert_int_equal(qb_plan_job(profiles, 1, 0, NULL, &plan), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(qb_plan_job(profiles, 2, 1, NULL, &plan), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(qb_plan_job(NULL, 1, 1, NULL, &plan), QB_ERROR_INVALID_ARGUMENT);
  qb_qos qos = QB_QOS_INIT;
  qos.percentile = 100;
  assert_int_equal(qb_plan_job(profiles, 1, 1, &qos, &plan), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(plan.batch, 77);
  /* As many samples as can be counted. */
  assert_int_equal(qb_plan_job(profiles, 1, UINT64_MAX, NULL, &plan), QB_OK);
  assert_true(plan.feasible && plan.total_ns > 0);
  qb_profile_unref(profile);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random),
      cmocka_unit_test(test_nearest),
      cmocka_unit_test(test_arguments),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
