/* SPDX-License-Identifier: Apache-2.0 */
/* qb_plan_job() against an exhaustive search that shares no code with it. */
#include "support/expect.h"
#include "support/random.h"
#include "support/random_profile.h"
#include "support/unit.h"

#include <qosbatch/frontier.h>
#include <qosbatch/inspect.h>
#include <qosbatch/plan.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROFILES = 10000, MAX_BATCH = 12 };

static qb_context *context;

/* A job as it would run: what the busiest instance adds up, round by round. */
typedef struct outcome {
  int64_t total_ns, low_ns, high_ns, longest_high_ns;
} outcome;

static outcome simulate(const qb_profile *profile, const qb_configuration *k, uint64_t samples,
                        uint32_t batch)
{
  outcome made = {0, 0, 0, 0};
  double error = 0, noise = 0;
  for (uint64_t left = (samples + k->instances - 1) / k->instances; left;) {
    const uint32_t n = left < batch ? (uint32_t)left : batch;
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    assert_ok(qb_estimate(profile, k, n, NULL, &e));
    made.total_ns += e.mean_ns;
    made.low_ns += e.low_ns;
    error += (double)(e.high_ns - e.latency_ns);
    noise += fmax(0, (double)(e.p95_ns - e.mean_ns)) * (1.959963984540054 / 1.6448536269514722);
    made.longest_high_ns = e.high_ns > made.longest_high_ns ? e.high_ns : made.longest_high_ns;
    left -= n;
  }
  /* The other instances have this many samples or one less. */
  const uint64_t least = samples / k->instances;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  if (least && least % batch) {
    assert_ok(qb_estimate(profile, k, (uint32_t)(least % batch), NULL, &e));
    made.longest_high_ns = e.high_ns > made.longest_high_ns ? e.high_ns : made.longest_high_ns;
  }
  made.high_ns = llround((double)made.total_ns + hypot(error, noise));
  return made;
}

typedef struct best {
  bool found;
  int64_t high_ns;
  double cost;
} best;

static bool is_better(const best *a, const best *b, qb_objective objective)
{
  if (!b->found)
    return true;
  const int cost = (a->cost < b->cost) - (a->cost > b->cost);
  const int time = (a->high_ns < b->high_ns) - (a->high_ns > b->high_ns);
  const int first = objective == QB_OBJECTIVE_COST ? cost : time;
  return first ? first > 0 : cost + time > 0;
}

static void consider(best *b, const qb_profile *profile, const qb_configuration *k, uint32_t batch,
                     uint64_t samples, const qb_qos *qos, double price)
{
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, k, batch, NULL, &e));
  const outcome made = simulate(profile, k, samples, batch);
  if ((qos->memory_bytes && e.memory_bytes > qos->memory_bytes) ||
      (qos->budget_per_hour > 0 && price > qos->budget_per_hour) ||
      (qos->budget > 0 && price * (double)made.high_ns / 3600e9 > qos->budget) ||
      (qos->latency_ns && made.longest_high_ns > qos->latency_ns) ||
      (qos->deadline_ns && made.high_ns > qos->deadline_ns))
    return;
  const best now = {true, made.high_ns, price * ((double)made.total_ns / 3600e9)};
  if (is_better(&now, b, qos->objective))
    *b = now;
}

static best search(const qb_profile *profile, uint64_t samples, const qb_qos *qos)
{
  best b = {.found = false};
  qb_node_info node = QB_NODE_INFO_INIT;
  assert_ok(qb_node_get_info(qb_profile_node(profile), &node));
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

static void the_best_of_all_plans_is_chosen(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  int mismatches = 0, feasible = 0;
  for (int i = 0; i < PROFILES; i++) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    qb_job job = QB_JOB_INIT;
    job.samples = random_int(&seed, 1, 60);
    qb_qos qos = QB_QOS_INIT;
    if (random_int(&seed, 0, 2) == 0)
      qos.latency_ns = (int64_t)random_int(&seed, 1000000, 80000000);
    if (random_int(&seed, 0, 2) == 0)
      qos.deadline_ns = (int64_t)random_int(&seed, 1000000, 800000000);
    if (random_int(&seed, 0, 3) == 0)
      qos.budget_per_hour = 0.01 + random_unit(&seed);
    if (random_int(&seed, 0, 3) == 0)
      qos.budget = 1e-4 * random_unit(&seed);
    if (random_int(&seed, 0, 1))
      qos.objective = QB_OBJECTIVE_COST;
    if (random_int(&seed, 0, 3) == 0)
      qos.memory_bytes = random_int(&seed, 100000, 10000000);
    const best expected = search(profile, job.samples, &qos);
    qb_job_plan plan = QB_JOB_PLAN_INIT;
    assert_ok(qb_plan_job(&profile, 1, &job, &qos, &plan, NULL));
    const bool same = plan.feasible == expected.found &&
                      (!expected.found || (llabs(plan.high_ns - expected.high_ns) <= 1 &&
                                           fabs(plan.cost - expected.cost) <= 1e-9 * plan.cost));
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

static void the_nearest_deadline_is_the_least_that_can_be_met(void **state)
{
  (void)state;
  uint64_t seed = 7;
  for (int i = 0; i < 500; i++) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    qb_job job = QB_JOB_INIT;
    qb_qos qos = QB_QOS_INIT;
    job.samples = 40;
    qos.deadline_ns = 1000;
    qb_job_plan plan = QB_JOB_PLAN_INIT;
    assert_ok(qb_plan_job(&profile, 1, &job, &qos, &plan, NULL));
    assert_false(plan.feasible);
    assert_int_equal(plan.reason, QB_REASON_DEADLINE);
    assert_true(plan.nearest.deadline_ns > 0);
    qos.deadline_ns = plan.nearest.deadline_ns;
    assert_ok(qb_plan_job(&profile, 1, &job, &qos, &plan, NULL));
    assert_true(plan.feasible);
    qos.deadline_ns--;
    assert_ok(qb_plan_job(&profile, 1, &job, &qos, &plan, NULL));
    assert_false(plan.feasible);
    qb_profile_unref(profile);
  }
}

static void the_frontier_falls_in_cost_and_holds_the_cheapest_plan(void **state)
{
  (void)state;
  uint64_t seed = 9;
  uint32_t most = 0;
  for (int i = 0; i < 200; i++) {
    qb_profile *profiles[2] = {random_profile(context, &seed, MAX_BATCH),
                               random_profile(context, &seed, MAX_BATCH)};
    qb_job job = QB_JOB_INIT;
    qb_qos qos = QB_QOS_INIT;
    job.samples = random_int(&seed, 1, 200);
    qos.objective = QB_OBJECTIVE_COST;
    qb_job_plan plan = QB_JOB_PLAN_INIT, now = QB_JOB_PLAN_INIT, before = QB_JOB_PLAN_INIT;
    qb_job_frontier *frontier = NULL;
    assert_ok(qb_plan_job(profiles, 2, &job, &qos, &plan, &frontier));
    const uint32_t count = qb_job_frontier_count(frontier);
    assert_true(count >= 1);
    for (uint32_t k = 0; k < count; k++, before = now) {
      assert_ok(qb_job_frontier_get(frontier, k, &now));
      assert_true(!k || (now.high_ns > before.high_ns && now.cost < before.cost));
    }
    assert_true(now.cost == plan.cost);
    assert_status(qb_job_frontier_get(frontier, count, &now), QB_ERROR_NOT_FOUND);
    most = count > most ? count : most;
    qb_job_frontier_free(frontier);
    qb_profile_unref(profiles[0]);
    qb_profile_unref(profiles[1]);
  }
  assert_true(most > 1);
  assert_int_equal(qb_job_frontier_count(NULL), 0);
  qb_job_frontier_free(NULL);
}

static void bad_arguments_are_refused_and_leave_the_plan_alone(void **state)
{
  (void)state;
  uint64_t seed = 3;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  qb_profile *const profiles[2] = {profile, NULL};
  qb_job job = QB_JOB_INIT;
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  plan.batch = 77;
  assert_status(qb_plan_job(profiles, 1, &job, NULL, &plan, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_message("job.samples is 0");
  job.samples = (UINT64_C(1) << 53) + 1;
  assert_status(qb_plan_job(profiles, 1, &job, NULL, &plan, NULL), QB_ERROR_INVALID_ARGUMENT);
  job.samples = UINT64_C(1) << 53;
  assert_status(qb_plan_job(profiles, 2, &job, NULL, &plan, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_plan_job(NULL, 1, &job, NULL, &plan, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_plan_job(profiles, 1, NULL, NULL, &plan, NULL), QB_ERROR_INVALID_ARGUMENT);
  qb_qos qos = QB_QOS_INIT;
  qos.percentile = 100;
  assert_status(qb_plan_job(profiles, 1, &job, &qos, &plan, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(plan.batch, 77);
  assert_ok(qb_plan_job(profiles, 1, &job, NULL, &plan, NULL));
  assert_true(plan.feasible && plan.total_ns > 0);
  qb_profile_unref(profile);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_best_of_all_plans_is_chosen),
      cmocka_unit_test(the_nearest_deadline_is_the_least_that_can_be_met),
      cmocka_unit_test(the_frontier_falls_in_cost_and_holds_the_cheapest_plan),
      cmocka_unit_test(bad_arguments_are_refused_and_leave_the_plan_alone),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
