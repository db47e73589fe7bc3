/* SPDX-License-Identifier: Apache-2.0 */
/* qb_plan_service() against a search over all of (configuration, batch, wait) in plain loops. */
#include "support/expect.h"
#include "support/random.h"
#include "support/random_profile.h"
#include "support/service_ways.h"

enum { FEW_CASES = 10, MAX_BATCH = 8 };

static qb_context *context;

static void plans_are_those_of_an_exhaustive_search(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  const int cases = random_cases(FEW_CASES);
  int mismatches = 0, feasible = 0, waiting = 0;
  size_t looked_at = 0;
  for (int i = 0; i < cases; i++) {
    service_case c;
    service_way ways[MOST_WAYS];
    make_service_case(context, &seed, &c);
    const size_t count = list_ways(context, &c, ways);
    looked_at += count;
    for (qb_objective o = QB_OBJECTIVE_LATENCY; o <= QB_OBJECTIVE_COST; o++) {
      const service_way *best = best_way(ways, count, o);
      qb_service_plan plan;
      c.qos.objective = o;
      plan_case(&c, &plan);
      assert_int_equal(plan.feasible, best != NULL);
      feasible += best != NULL;
      waiting += best && best->plan.max_wait_ns;
      const bool same = !best || same_way(&plan, &best->plan);
      mismatches += !same;
      if (!same)
        print_message("case %d, %s: batch %u, %lld ns, %.9g/s; searched: %u, %lld ns, %.9g/s\n", i,
                      qb_objective_name(o), plan.batch, (long long)plan.latency_ns,
                      plan.max_rate_per_s, best->plan.batch, (long long)best->plan.latency_ns,
                      best->plan.max_rate_per_s);
    }
    free_service_case(&c);
  }
  print_message(
      "%d demands x 3 objectives, %zu ways looked at, %d feasible, %d of them with a wait, "
      "%d mismatches\n",
      cases, looked_at, feasible, waiting, mismatches);
  assert_int_equal(mismatches, 0);
  assert_true(feasible > 0);
}

/* Without a rate the plan is for the highest one: it holds that rate and no other plan a higher. */
static void without_a_rate_the_plan_holds_the_highest(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  const int cases = random_cases(FEW_CASES);
  for (int i = 0; i < cases; i++) {
    service_case c;
    qb_service_plan most, plan;
    make_service_case(context, &seed, &c);
    c.qos = (qb_qos)QB_QOS_INIT;
    c.qos.latency_ns = (int64_t)random_int(&seed, 100000000, 400000000);
    c.qos.objective = QB_OBJECTIVE_RATE;
    c.load = (qb_load)QB_LOAD_INIT;
    plan_case(&c, &most);
    assert_true(most.feasible && most.rate_per_s == most.max_rate_per_s);
    assert_true(most.latency_ns <= c.qos.latency_ns && most.utilisation > 0.1);
    c.load.rate_per_s = most.max_rate_per_s;
    plan_case(&c, &plan);
    assert_true(plan.feasible);
    c.load.rate_per_s = 1.02 * most.max_rate_per_s;
    plan_case(&c, &plan);
    assert_false(plan.feasible);
    free_service_case(&c);
  }
}

static void infeasible_plans_have_their_reason(void **state)
{
  (void)state;
  uint64_t seed = 5;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  qb_profile *const profiles[1] = {profile};
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  load.rate_per_s = 1e9;
  assert_ok(qb_plan_service(profiles, 1, &load, &qos, &plan, NULL));
  assert_false(plan.feasible);
  assert_int_equal(plan.reason, QB_REASON_CAPACITY);
  assert_true(plan.nearest.rate_per_s > 0);
  load.rate_per_s = 0.1;
  qos.latency_ns = 1000;
  assert_ok(qb_plan_service(profiles, 1, &load, &qos, &plan, NULL));
  assert_false(plan.feasible);
  assert_int_equal(plan.reason, QB_REASON_SLO);
  assert_true(plan.nearest.latency_ns > 1000);
  qos.latency_ns = plan.nearest.latency_ns;
  assert_ok(qb_plan_service(profiles, 1, &load, &qos, &plan, NULL));
  assert_true(plan.feasible);
  load.queued = 100000;
  assert_ok(qb_plan_service(profiles, 1, &load, &qos, &plan, NULL));
  assert_false(plan.feasible);
  qb_profile_unref(profile);
}

/* Bursts make answers late that would be in time if the same samples came evenly. */
static void bursts_make_answers_late(void **state)
{
  (void)state;
  uint64_t seed = 5;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  qb_profile *const profiles[1] = {profile};
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  qb_service_plan even = QB_SERVICE_PLAN_INIT, bursty = QB_SERVICE_PLAN_INIT;
  load.rate_per_s = 1;
  assert_ok(qb_plan_service(profiles, 1, &load, &qos, &even, NULL));
  load.rate_per_s = 0.5 * even.max_rate_per_s;
  assert_ok(qb_plan_service(profiles, 1, &load, &qos, &even, NULL));
  load.dispersion = 8;
  assert_ok(qb_plan_service(profiles, 1, &load, &qos, &bursty, NULL));
  assert_true(bursty.p99_ns > even.p99_ns);
  load.dispersion = -1;
  assert_status(qb_plan_service(profiles, 1, &load, &qos, &bursty, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  qb_profile_unref(profile);
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  uint64_t seed = 5;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  qb_profile *const profiles[1] = {profile};
  qb_load load = QB_LOAD_INIT;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  qb_qos qos = QB_QOS_INIT;
  plan.batch = 77;
  assert_status(qb_plan_service(profiles, 1, &load, NULL, &plan, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_plan_service(profiles, 1, NULL, NULL, &plan, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_plan_service(profiles, 0, &load, NULL, &plan, NULL), QB_ERROR_INVALID_ARGUMENT);
  load.rate_per_s = 1;
  qos.objective = (qb_objective)3;
  assert_status(qb_plan_service(profiles, 1, &load, &qos, &plan, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_message("qos.objective");
  assert_int_equal(plan.batch, 77);
  qb_profile_unref(profile);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plans_are_those_of_an_exhaustive_search),
      cmocka_unit_test(without_a_rate_the_plan_holds_the_highest),
      cmocka_unit_test(infeasible_plans_have_their_reason),
      cmocka_unit_test(bursts_make_answers_late),
      cmocka_unit_test(bad_arguments_are_refused),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
