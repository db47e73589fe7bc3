/* SPDX-License-Identifier: Apache-2.0 */
/* qb_plan_service() against a search over all of (configuration, batch, wait) in plain loops. */
#include "optimize/batch_queue.h"
#include "optimize/latency_table.h"
#include "support/random_profile.h"
#include "support/unit.h"

#include <qosbatch/plan.h>

#include <string.h>

#ifndef QB_TEST_CASES
#define QB_TEST_CASES 40
#endif

enum { PROFILES = QB_TEST_CASES, MAX_BATCH = 8 };

static qb_context *context;

typedef struct best {
  bool found;
  int64_t latency_ns, max_wait_ns;
  uint32_t threads, batch;
} best;

static bool before(const best *a, const best *b)
{
  if (!b->found || a->latency_ns != b->latency_ns)
    return !b->found || a->latency_ns < b->latency_ns;
  if (a->threads != b->threads)
    return a->threads < b->threads;
  return a->batch != b->batch ? a->batch < b->batch : a->max_wait_ns < b->max_wait_ns;
}

static best search(const qb_profile *profile, double rate_per_s, const qb_qos *qos)
{
  static const double parts[] = {0, 0.125, 0.25, 0.5, 1};
  best b = {.found = false};
  qb_profile_point p = QB_PROFILE_POINT_INIT, next = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &p); i++) {
    if (!qb_profile_get_point(profile, i + 1, &next) &&
        !memcmp(&next.configuration, &p.configuration, sizeof p.configuration))
      continue;
    qb__latency_table table;
    assert_int_equal(qb__latency_table_init(profile, &p.configuration, p.batch, &table), QB_OK);
    for (uint32_t n = 1; n <= p.batch; n++)
      for (int w = 0; w < 5; w++) {
        const int64_t slack = qos->latency_ns - table.high_ns[n];
        best c = {true, 0, slack > 0 ? (int64_t)(parts[w] * (double)slack) : 0,
                  p.configuration.instances * p.configuration.threads, n};
        const qb__batch_queue queue = {.arrivals = {.rate_per_s = {rate_per_s, 0}},
                                       .instances = p.configuration.instances,
                                       .batch = n,
                                       .max_wait_ns = c.max_wait_ns,
                                       .latency_ns = table.latency_ns,
                                       .spread = table.spread,
                                       .percentile = qos->percentile,
                                       .samples = QB__PATH_QUICK};
        qb__queue_report report;
        assert_int_equal(qb__batch_queue_analyse(context, &queue, &report), QB_OK);
        c.latency_ns = report.latency_ns;
        if (!report.saturated && c.latency_ns <= qos->latency_ns &&
            (!qos->memory_bytes || table.memory_bytes[n] <= qos->memory_bytes) && before(&c, &b))
          b = c;
      }
    qb__latency_table_free(profile, &table);
  }
  return b;
}

static void test_random(void **state)
{
  (void)state;
  uint64_t seed = 20261124;
  print_message("seed %llu\n", (unsigned long long)seed);
  int mismatches = 0, feasible = 0, checked = 0;
  for (int i = 0; i < PROFILES; i++) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    const qb_profile *const profiles[1] = {profile};
    qb_load load = QB_LOAD_INIT;
    load.rate_per_s = 1 + 200 * random_unit(&seed);
    qb_qos qos = QB_QOS_INIT;
    qos.latency_ns = (int64_t)random_int(&seed, 5000000, 200000000);
    qos.percentile = 50 + 49 * random_unit(&seed);
    if (random_int(&seed, 0, 3) == 0)
      qos.memory_bytes = random_int(&seed, 100000, 10000000);
    const best expected = search(profile, load.rate_per_s, &qos);
    qb_service_plan plan = QB_SERVICE_PLAN_INIT;
    assert_int_equal(qb_plan_service(profiles, 1, &load, &qos, &plan), QB_OK);
    const bool same =
        plan.feasible == expected.found &&
        (!expected.found ||
         (plan.latency_ns == expected.latency_ns && plan.batch == expected.batch &&
          plan.max_wait_ns == expected.max_wait_ns &&
          plan.configuration.instances * plan.configuration.threads == expected.threads));
    mismatches += !same;
    feasible += expected.found;
    if (plan.feasible) {
      assert_true(plan.max_rate_per_s >= load.rate_per_s);
    } else if (plan.nearest.rate_per_s > 0) {
      /* The nearest rate is one that can be held. */
      load.rate_per_s = plan.nearest.rate_per_s;
      assert_int_equal(qb_plan_service(profiles, 1, &load, &qos, &plan), QB_OK);
      assert_true(plan.feasible);
      checked++;
    }
    qb_profile_unref(profile);
  }
  print_message("%d profiles, %d feasible, %d nearest rates checked, %d mismatches\n", PROFILES,
                feasible, checked, mismatches);
  assert_int_equal(mismatches, 0);
  assert_true(feasible > PROFILES / 8 && checked > 1);
}

static void test_reasons(void **state)
{
  (void)state;
  uint64_t seed = 5;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  const qb_profile *const profiles[1] = {profile};
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  load.rate_per_s = 1e9;
  assert_int_equal(qb_plan_service(profiles, 1, &load, &qos, &plan), QB_OK);
  assert_false(plan.feasible);
  assert_int_equal(plan.reason, QB_REASON_CAPACITY);
  assert_true(plan.nearest.rate_per_s > 0);
  load.rate_per_s = 0.1;
  qos.latency_ns = 1000;
  assert_int_equal(qb_plan_service(profiles, 1, &load, &qos, &plan), QB_OK);
  assert_false(plan.feasible);
  assert_int_equal(plan.reason, QB_REASON_SLO);
  assert_true(plan.nearest.latency_ns > 1000);
  qos.latency_ns = plan.nearest.latency_ns;
  assert_int_equal(qb_plan_service(profiles, 1, &load, &qos, &plan), QB_OK);
  assert_true(plan.feasible);
  load.queued = 100000;
  assert_int_equal(qb_plan_service(profiles, 1, &load, &qos, &plan), QB_OK);
  assert_false(plan.feasible);
  qb_profile_unref(profile);
}

/* Bursts make answers late that would be in time if the same samples came evenly. */
static void test_bursts(void **state)
{
  (void)state;
  uint64_t seed = 5;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  const qb_profile *const profiles[1] = {profile};
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  qb_service_plan even = QB_SERVICE_PLAN_INIT, bursty = QB_SERVICE_PLAN_INIT;
  load.rate_per_s = 1;
  assert_int_equal(qb_plan_service(profiles, 1, &load, &qos, &even), QB_OK);
  load.rate_per_s = 0.5 * even.max_rate_per_s;
  assert_int_equal(qb_plan_service(profiles, 1, &load, &qos, &even), QB_OK);
  load.dispersion = 8;
  assert_int_equal(qb_plan_service(profiles, 1, &load, &qos, &bursty), QB_OK);
  assert_true(bursty.p99_ns > even.p99_ns);
  load.dispersion = -1;
  assert_int_equal(qb_plan_service(profiles, 1, &load, &qos, &bursty), QB_ERROR_INVALID_ARGUMENT);
  qb_profile_unref(profile);
}

static void test_arguments(void **state)
{
  (void)state;
  uint64_t seed = 5;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  const qb_profile *const profiles[1] = {profile};
  qb_load load = QB_LOAD_INIT;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  plan.batch = 77;
  assert_int_equal(qb_plan_service(profiles, 1, &load, NULL, &plan), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(qb_plan_service(profiles, 1, NULL, NULL, &plan), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(qb_plan_service(profiles, 0, &load, NULL, &plan), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(plan.batch, 77);
  qb_profile_unref(profile);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random),
      cmocka_unit_test(test_reasons),
      cmocka_unit_test(test_bursts),
      cmocka_unit_test(test_arguments),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
