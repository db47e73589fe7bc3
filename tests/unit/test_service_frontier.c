/* SPDX-License-Identifier: Apache-2.0 */
/* The frontier of service plans against all ways: nothing beats its plans, none is missing. */
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random.h"
#include "support/random_profile.h"
#include "support/scripted_profile.h"
#include "support/service_ways.h"

#include <qosbatch/frontier.h>

enum { CASES = 4, MOST_PLANS = MOST_WAYS };

static qb_context *context;

/* As good in all three, and better in one. */
static bool dominates(const qb_service_plan *a, const qb_service_plan *b)
{
  return a->max_rate_per_s >= b->max_rate_per_s && a->latency_ns <= b->latency_ns &&
         a->cost_per_hour <= b->cost_per_hour &&
         (a->max_rate_per_s > b->max_rate_per_s || a->latency_ns < b->latency_ns ||
          a->cost_per_hour < b->cost_per_hour);
}

static bool same_values(const qb_service_plan *a, const qb_service_plan *b)
{
  return a->max_rate_per_s == b->max_rate_per_s && a->latency_ns == b->latency_ns &&
         a->cost_per_hour == b->cost_per_hour;
}

static size_t find_frontier(const service_case *c, qb_service_plan *plans)
{
  qb_service_frontier *frontier = NULL;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  assert_ok(qb_plan_service(c->profiles, WAY_NODES, &c->load, &c->qos, &plan, &frontier));
  const uint32_t count = qb_service_frontier_count(frontier);
  assert_true(count <= MOST_PLANS);
  for (uint32_t i = 0; i < count; i++) {
    plans[i] = (qb_service_plan)QB_SERVICE_PLAN_INIT;
    assert_ok(qb_service_frontier_get(frontier, i, &plans[i]));
  }
  qb_service_frontier_free(frontier);
  return count;
}

/* Every plan is a feasible way as searched, and no feasible way beats it. */
static void check_plans(const qb_service_plan *plans, size_t plan_count, const service_way *ways,
                        size_t way_count)
{
  for (size_t i = 0; i < plan_count; i++) {
    size_t same = 0;
    for (size_t j = 0; j < way_count; j++) {
      same += ways[j].plan.feasible && same_way(&plans[i], &ways[j].plan);
      assert_false(ways[j].plan.feasible && dominates(&ways[j].plan, &plans[i]));
    }
    assert_int_equal(same, 1);
    assert_true(plans[i].feasible);
    assert_true(!i || plans[i].latency_ns >= plans[i - 1].latency_ns);
  }
}

/* Every feasible way is beaten by a plan, or as good as one. */
static void check_none_is_missing(const qb_service_plan *plans, size_t plan_count,
                                  const service_way *ways, size_t way_count)
{
  for (size_t j = 0; j < way_count; j++) {
    size_t as_good = 0;
    for (size_t i = 0; i < plan_count; i++)
      as_good += dominates(&plans[i], &ways[j].plan) || same_values(&plans[i], &ways[j].plan);
    assert_true(as_good || !ways[j].plan.feasible);
  }
}

static void check_objectives(service_case *c, const qb_service_plan *plans, size_t plan_count)
{
  for (qb_objective o = QB_OBJECTIVE_LATENCY; o <= QB_OBJECTIVE_COST; o++) {
    qb_service_plan plan;
    c->qos.objective = o;
    plan_case(c, &plan);
    size_t same = 0;
    for (size_t i = 0; i < plan_count; i++)
      same += same_way(&plan, &plans[i]);
    assert_int_equal(same, plan.feasible);
  }
}

static void plans_are_those_that_no_other_beats(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  size_t feasible = 0, most = 0;
  const int cases = random_cases(CASES);
  for (int i = 0; i < cases; i++) {
    service_case c;
    service_way ways[MOST_WAYS];
    qb_service_plan plans[MOST_PLANS];
    make_service_case(context, &seed, &c);
    const size_t way_count = list_ways(context, &c, ways), count = find_frontier(&c, plans);
    check_plans(plans, count, ways, way_count);
    check_none_is_missing(plans, count, ways, way_count);
    check_objectives(&c, plans, count);
    feasible += count > 0;
    most = count > most ? count : most;
    free_service_case(&c);
  }
  print_message("%d demands, %zu feasible, frontiers of up to %zu plans\n", cases, feasible, most);
  assert_true(feasible > 0 || !random_kinds_come_up(CASES));
}

static void a_frontier_needs_a_rate_and_may_be_empty(void **state)
{
  (void)state;
  uint64_t seed = 3;
  service_case c;
  make_service_case(context, &seed, &c);
  qb_service_frontier *frontier = NULL;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  c.load.rate_per_s = 0;
  c.qos.objective = QB_OBJECTIVE_RATE;
  assert_status(qb_plan_service(c.profiles, WAY_NODES, &c.load, &c.qos, &plan, &frontier),
                QB_ERROR_INVALID_ARGUMENT);
  assert_message("load.rate_per_s");
  assert_null(frontier);
  c.load.rate_per_s = 1;
  assert_int_equal(qb_service_frontier_count(NULL), 0);
  assert_status(qb_service_frontier_get(NULL, 0, &plan), QB_ERROR_INVALID_ARGUMENT);
  c.qos.latency_ns = 1; /* not feasible: an empty frontier */
  assert_ok(qb_plan_service(c.profiles, WAY_NODES, &c.load, &c.qos, &plan, &frontier));
  assert_int_equal(qb_service_frontier_count(frontier), 0);
  assert_status(qb_service_frontier_get(frontier, 0, &plan), QB_ERROR_NOT_FOUND);
  qb_service_frontier_free(frontier);
  qb_service_frontier_free(NULL);
  free_service_case(&c);
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *its = failing_allocator_context(&allocator);
  const qb_configuration one = {1, 1};
  qb_profile *profile = scripted_profile(its, &one, 2, 5, 1, 1.05);
  const long live = allocator.live;
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  load.rate_per_s = 230; /* all but saturated: few rates to try */
  long failed = 0;
  for (qb_status status = QB_ERROR_NO_MEMORY; status; failed++) {
    qb_service_frontier *frontier = NULL;
    qb_service_plan plan = QB_SERVICE_PLAN_INIT;
    allocator.fail_at = allocator.requests + 1 + failed;
    status = qb_plan_service(&profile, 1, &load, &qos, &plan, &frontier);
    allocator.fail_at = 0;
    assert_true(status == QB_OK || status == QB_ERROR_NO_MEMORY);
    assert_true(plan.batch == (status ? 0 : 2) && (frontier != NULL) == (status == QB_OK));
    qb_service_frontier_free(frontier);
    assert_int_equal(allocator.live, live);
  }
  print_message("%ld allocations failed\n", failed - 1);
  assert_true(failed > 20);
  qb_profile_unref(profile);
  qb_context_unref(its);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plans_are_those_that_no_other_beats),
      cmocka_unit_test(a_frontier_needs_a_rate_and_may_be_empty),
      cmocka_unit_test(every_allocation_may_fail),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
