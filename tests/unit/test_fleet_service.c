/* SPDX-License-Identifier: Apache-2.0 */
/* qb_plan_service_fleet() and qb_place_service(): the fewest nodes that hold a rate. */
#include "node/node_impl.h"
#include "support/random_catalogue.h"

#include <qosbatch/catalogue.h>
#include <qosbatch/fleet.h>
#include <qosbatch/frontier.h>
#include <qosbatch/inspect.h>
#include <qosbatch/measurements.h>
#include <qosbatch/place.h>

#include <math.h>
#include <stddef.h>

enum { CASES = 12, MOST_CASES = 200, MAX_BATCH = 4, MOST_NODES = 6 };

static qb_context *context;

/* A catalogue of nodes like the profile's, which need no transfer. */
static qb_catalogue *own_types(const double *prices, const uint32_t *most, uint32_t count)
{
  static const char *const names[] = {"a", "b", "c"};
  qb_node_type types[3];
  for (uint32_t i = 0; i < count; i++) {
    types[i] = (qb_node_type)QB_NODE_TYPE_INIT;
    types[i].name = names[i];
    types[i].cpu = "random";
    types[i].vcpus = 4;
    types[i].memory_bytes = UINT64_C(1) << 40;
    types[i].max_nodes = most[i];
    types[i].billing.price_per_hour = prices[i];
  }
  qb_catalogue *catalogue = NULL;
  assert_ok(qb_catalogue_new(context, "EUR", "", types, count, &catalogue));
  return catalogue;
}

/* The fewest of 1..MOST_NODES nodes, tried one after the other; 0 if more are needed. */
static uint32_t fewest(qb_profile *profile, double rate_per_s, const qb_qos *qos)
{
  for (uint32_t k = 1; k <= MOST_NODES; k++) {
    qb_load load = QB_LOAD_INIT;
    load.rate_per_s = rate_per_s / k;
    qb_service_plan plan = QB_SERVICE_PLAN_INIT;
    assert_ok(qb_plan_service(&profile, 1, &load, qos, &plan, NULL));
    if (plan.feasible)
      return k;
  }
  return 0;
}

/* Member by member where there is padding between them. Fleets name nothing to be measured. */
static void assert_same_plan(const qb_service_plan *a, const qb_service_plan *b)
{
  assert_int_equal(a->feasible, b->feasible);
  assert_int_equal(a->reason, b->reason);
  assert_int_equal(a->profile, b->profile);
  assert_int_equal(a->type, b->type);
  assert_int_equal(a->nodes, b->nodes);
  assert_int_equal(a->source, b->source);
  assert_memory_equal(&a->configuration, &b->configuration, sizeof a->configuration);
  assert_int_equal(a->batch, b->batch);
  assert_memory_equal(&a->max_wait_ns, &b->max_wait_ns,
                      offsetof(qb_service_plan, untried) - offsetof(qb_service_plan, max_wait_ns));
}

static void the_fewest_nodes_that_hold_the_rate_are_found(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  int feasible = 0, told = 0, cases = 0;
  const int least = random_cases(CASES), most = random_kinds_come_up(CASES) ? MOST_CASES : least;
  for (; cases < least || (cases < most && (!feasible || !told)); cases++) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    const double prices[] = {0.5 + random_unit(&seed), 0.5 + random_unit(&seed)};
    const uint32_t nodes[] = {MOST_NODES, 1};
    qb_catalogue *catalogue = own_types(prices, nodes, 2);
    qb_load load = QB_LOAD_INIT;
    load.rate_per_s = 20 + 1500 * random_unit(&seed);
    qb_qos qos = QB_QOS_INIT;
    qos.latency_ns = (int64_t)random_int(&seed, 20000000, 300000000);
    const uint32_t expected = fewest(profile, load.rate_per_s, &qos);
    qb_service_plan plan = QB_SERVICE_PLAN_INIT,
                    plans[2] = {QB_SERVICE_PLAN_INIT, QB_SERVICE_PLAN_INIT};
    qb_service_frontier *frontier;
    assert_ok(qb_plan_service_fleet(catalogue, &profile, 1, &load, &qos, &plan, &frontier));
    assert_int_equal(qb_service_frontier_count(frontier), 2);
    for (uint32_t i = 0; i < 2; i++)
      assert_ok(qb_service_frontier_get(frontier, i, &plans[i]));
    qb_service_frontier_free(frontier);
    assert_same_plan(&plan, &plans[0]);
    const qb_service_plan *a = &plans[plans[0].type == 0 ? 0 : 1];
    const qb_service_plan *b = &plans[plans[0].type == 0 ? 1 : 0];
    assert_int_equal(a->feasible, expected > 0);
    assert_int_equal(b->feasible, expected == 1);
    if (a->feasible) {
      assert_int_equal(a->nodes, expected);
      assert_true(fabs(a->cost_per_hour - expected * prices[0]) < 1e-9);
      assert_true(a->max_rate_per_s >= load.rate_per_s * 0.999);
      assert_int_equal(a->source, QB_SOURCE_MEASURED);
      feasible++;
    } else if (a->nearest.rate_per_s > 0) {
      /* What all nodes hold is told, to 1 %. */
      const double held_per_s = a->nearest.rate_per_s * (1 - 1e-9);
      assert_int_equal(a->nodes, MOST_NODES);
      assert_true(fewest(profile, held_per_s, &qos) > 0);
      assert_int_equal(fewest(profile, held_per_s * 1.05, &qos), 0);
      told++;
    }
    if (expected == 1)
      assert_true(plans[0].cost_per_hour <= plans[1].cost_per_hour);
    qb_catalogue_unref(catalogue);
    qb_profile_unref(profile);
  }
  print_message("%d of %d feasible, %d with a rate that is\n", feasible, cases, told);
  assert_true((feasible > 0 && told > 0) || !random_kinds_come_up(CASES));
}

/* The capacity of a transferred type is that of rounds at the end of their estimate's interval. */
static void a_transferred_type_is_planned_at_the_end_of_its_estimate(void **state)
{
  (void)state;
  uint64_t seed = 10;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  const qb__sustained compute[] = {{QB_ISA_AVX2, 1, 0.7e11}, {QB_ISA_AVX2, 3, 2.1e11}};
  qb_node_info info = *qb__node_info(qb_profile_node(profile));
  info.cpu = "another";
  info.cores = info.usable_threads = info.hardware_threads = 3;
  info.quota_cores = 3;
  qb_node *node = NULL;
  assert_ok(qb__node_new(context, &info, compute, 2, NULL, 0, &node));
  qb_node_type type = QB_NODE_TYPE_INIT;
  type.name = type.cpu = info.cpu;
  type.vcpus = 3;
  type.memory_bytes = UINT64_C(1) << 40;
  type.compute_flops_per_s = 2.1e11;
  qb_catalogue *catalogue = NULL;
  assert_ok(qb_catalogue_new(context, "EUR", "", &type, 1, &catalogue));
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  load.rate_per_s = 1;
  qos.latency_ns = 1; /* which nothing keeps: the plan then tells its capacity */
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  assert_ok(qb_plan_service_fleet(catalogue, &profile, 1, &load, &qos, &plan, NULL));
  assert_false(plan.feasible);
  assert_int_equal(plan.source, QB_SOURCE_TRANSFERRED);
  qb_where where = QB_WHERE_INIT;
  where.node = node;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, &plan.configuration, plan.batch, &where, &e));
  const double slow_ns = (double)e.mean_ns * (double)e.high_ns / (double)e.latency_ns;
  const double capacity = 1e9 * plan.configuration.instances * plan.batch / slow_ns;
  assert_true(fabs(plan.max_rate_per_s / capacity - 1) < 1e-6);
  qb_node_unref(node);
  qb_catalogue_unref(catalogue);
  qb_profile_unref(profile);
}

/* A spare node is one more, and the rest hold the rate without it. */
static void a_spare_node_is_one_more(void **state)
{
  (void)state;
  uint64_t seed = 9;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  const double prices[] = {1};
  const uint32_t most[] = {20};
  qb_catalogue *catalogue = own_types(prices, most, 1);
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = 300;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 400000000;
  qb_service_plan without = QB_SERVICE_PLAN_INIT, with = QB_SERVICE_PLAN_INIT;
  qb_qos spare = qos;
  spare.spare_nodes = 1;
  assert_ok(qb_plan_service_fleet(catalogue, &profile, 1, &load, &qos, &without, NULL));
  assert_ok(qb_plan_service_fleet(catalogue, &profile, 1, &load, &spare, &with, NULL));
  assert_true(without.feasible && with.feasible);
  assert_int_equal(with.nodes, without.nodes + 1);
  assert_true(with.max_rate_per_s == without.max_rate_per_s);
  qos.budget_per_hour = spare.budget_per_hour = without.cost_per_hour;
  assert_ok(qb_plan_service_fleet(catalogue, &profile, 1, &load, &qos, &without, NULL));
  assert_ok(qb_plan_service_fleet(catalogue, &profile, 1, &load, &spare, &with, NULL));
  assert_true(without.feasible && !with.feasible);
  assert_int_equal(with.reason, QB_REASON_BUDGET);
  spare.spare_nodes = QB_MAX_NODES;
  assert_status(qb_plan_service_fleet(catalogue, &profile, 1, &load, &spare, &with, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  load.rate_per_s = 0;
  assert_status(qb_plan_service_fleet(catalogue, &profile, 1, &load, &qos, &with, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  qb_catalogue_unref(catalogue);
  qb_profile_unref(profile);
}

/* With no node but spare ones no rate is held, whether one node would hold it or not. */
static void a_type_with_no_node_but_spare_ones_holds_no_rate(void **state)
{
  (void)state;
  uint64_t seed = 9;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  const double prices[] = {1};
  const uint32_t most[] = {2};
  qb_catalogue *catalogue = own_types(prices, most, 1);
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 400000000;
  for (load.rate_per_s = 1; load.rate_per_s < 1e9; load.rate_per_s *= 1e3)
    for (qos.spare_nodes = 2; qos.spare_nodes <= 3; qos.spare_nodes++) {
      qb_service_plan plan = QB_SERVICE_PLAN_INIT;
      assert_ok(qb_plan_service_fleet(catalogue, &profile, 1, &load, &qos, &plan, NULL));
      assert_false(plan.feasible);
      assert_int_equal(plan.reason, QB_REASON_CAPACITY);
      assert_true(plan.nearest.rate_per_s == 0 && plan.nearest.latency_ns == 0);
    }
  qb_catalogue_unref(catalogue);
  qb_profile_unref(profile);
}

/* Of 1, 4 and 8 cores, all of the profile's processor; the profile's node has 4. */
static qb_catalogue *three_sizes(void)
{
  static const uint32_t cores[] = {1, 4, 8};
  static const char *const names[] = {"one", "four", "eight"};
  qb_node_type types[3];
  for (uint32_t i = 0; i < 3; i++) {
    types[i] = (qb_node_type)QB_NODE_TYPE_INIT;
    types[i].name = names[i];
    types[i].cpu = "random";
    types[i].vcpus = cores[i];
    types[i].memory_bytes = UINT64_C(1) << 40;
    types[i].compute_flops_per_s = 1e11 * cores[i];
    types[i].billing.price_per_hour = cores[i];
  }
  qb_catalogue *catalogue = NULL;
  assert_ok(qb_catalogue_new(context, "EUR", "", types, 3, &catalogue));
  return catalogue;
}

/* Plans types of 1, 4 and 8 cores and checks that no plan takes a core that is left to others. */
static void check_reserve(qb_profile *profile, uint32_t asked, uint32_t reserve,
                          qb_source source_of_four)
{
  static const uint32_t cores[] = {1, 4, 8};
  qb_catalogue *catalogue = three_sizes();
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  qb_job job = QB_JOB_INIT;
  load.rate_per_s = 1;
  job.samples = 100;
  qos.latency_ns = INT64_C(1) << 50;
  qos.reserve_cores = asked;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  qb_service_frontier *frontier = NULL;
  assert_ok(qb_plan_service_fleet(catalogue, &profile, 1, &load, &qos, &plan, &frontier));
  const uint32_t count = qb_service_frontier_count(frontier);
  assert_int_equal(count, reserve == 0 ? 3 : reserve < 4 ? 2 : 1);
  for (uint32_t i = 0; i < count; i++) {
    assert_ok(qb_service_frontier_get(frontier, i, &plan));
    assert_true(plan.configuration.instances * plan.configuration.threads + reserve <=
                cores[plan.type]);
    assert_int_equal(plan.source, plan.type == 1 ? source_of_four : QB_SOURCE_TRANSFERRED);
  }
  qb_service_frontier_free(frontier);
  qb_job_plan fastest = QB_JOB_PLAN_INIT;
  qos.latency_ns = 0;
  assert_ok(qb_plan_job_fleet(catalogue, &profile, 1, &job, &qos, &fastest, NULL));
  assert_true(fastest.configuration.instances * fastest.configuration.threads + reserve <=
              cores[fastest.type]);
  qb_catalogue_unref(catalogue);
}

static void nodes_of_a_fleet_leave_their_reserve(void **state)
{
  (void)state;
  uint64_t seed = 9;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  check_reserve(profile, 0, 0, QB_SOURCE_MEASURED);
  for (uint32_t reserve = 1; reserve <= 4; reserve++)
    check_reserve(profile, reserve, reserve, QB_SOURCE_TRANSFERRED);
  qb_catalogue *catalogue = three_sizes();
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  qb_job job = QB_JOB_INIT;
  qb_service_plan service = QB_SERVICE_PLAN_INIT;
  qb_job_plan fastest = QB_JOB_PLAN_INIT;
  load.rate_per_s = 1;
  qos.latency_ns = 1000000000;
  job.samples = 1;
  qos.reserve_cores = 8;
  assert_status(qb_plan_service_fleet(catalogue, &profile, 1, &load, &qos, &service, NULL),
                QB_ERROR_NOT_FOUND);
  assert_message("a reserve of 8 cores");
  assert_message("the largest has 8; reserve 7 at most");
  assert_status(qb_plan_job_fleet(catalogue, &profile, 1, &job, &qos, &fastest, NULL),
                QB_ERROR_NOT_FOUND);
  qb_catalogue_unref(catalogue);
  qb_profile_unref(profile);
}

/* A profile that was measured beside others is of a node type of all its cores. */
static void the_reserve_of_a_profile_holds_for_its_fleet(void **state)
{
  (void)state;
  static const qb_configuration kinds[] = {{1, 3}, {3, 1}};
  qb_profile_point points[2];
  for (int i = 0; i < 2; i++)
    points[i] = (qb_profile_point){.size = sizeof *points,
                                   .configuration = kinds[i],
                                   .batch = 1,
                                   .latency_ns = 5000000,
                                   .low_ns = 5000000,
                                   .high_ns = 5000000,
                                   .p95_ns = 5000000,
                                   .mean_ns = 5000000};
  uint64_t seed = 9;
  qb_profile *other = random_profile(context, &seed, MAX_BATCH), *profile = NULL;
  qb_measurements_params params = QB_MEASUREMENTS_PARAMS_INIT;
  qb_node_info info = *qb__node_info(qb_profile_node(other));
  info.usable_threads = 3;
  info.reserve_cores = 1;
  assert_ok(qb__node_like(qb_profile_node(other), &info, &params.node));
  assert_ok(qb_profile_from_points(context, points, 2, &params, &profile));
  check_reserve(profile, 0, 1, QB_SOURCE_MEASURED);
  check_reserve(profile, 1, 1, QB_SOURCE_MEASURED);
  check_reserve(profile, 2, 2, QB_SOURCE_TRANSFERRED);
  qb_node_unref(params.node);
  qb_profile_unref(profile);
  qb_profile_unref(other);
}

/* Rates add up, are in proportion to what nodes hold, and each node holds its own. */
static void all_nodes_have_the_same_reserve(void **state)
{
  (void)state;
  enum { NODES = 5 };
  uint64_t seed = 21;
  qb_profile *profiles[2] = {random_profile(context, &seed, MAX_BATCH),
                             random_profile(context, &seed, MAX_BATCH)};
  qb_place_node nodes[NODES];
  qb_share shares[NODES];
  for (int i = 0; i < NODES; i++) {
    nodes[i] = (qb_place_node)QB_PLACE_NODE_INIT;
    nodes[i].profile = profiles[i % 2];
    nodes[i].speed = i == 4 ? 0.5 : 1;
    shares[i] = (qb_share)QB_SHARE_INIT;
  }
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = 100;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 400000000;
  qb_placement placement = QB_PLACEMENT_INIT;
  assert_ok(qb_place_service(nodes, NODES, &load, &qos, shares, &placement));
  assert_true(placement.feasible && placement.max_rate_per_s > 100);
  double sum = 0;
  for (int i = 0; i < NODES; i++) {
    sum += shares[i].rate_per_s;
    qb_load own = QB_LOAD_INIT;
    qb_qos target = qos;
    own.rate_per_s = shares[i].rate_per_s / nodes[i].speed;
    target.latency_ns = (int64_t)((double)qos.latency_ns * nodes[i].speed);
    qb_service_plan plan = QB_SERVICE_PLAN_INIT;
    assert_ok(qb_plan_service(&profiles[i % 2], 1, &own, &target, &plan, NULL));
    assert_true(plan.feasible);
    assert_int_equal(plan.batch, shares[i].batch);
  }
  assert_true(fabs(sum - 100) < 1e-6);
  assert_true(shares[0].rate_per_s == shares[2].rate_per_s);
  assert_true(shares[4].rate_per_s < shares[0].rate_per_s);
  load.rate_per_s = 1e6;
  assert_ok(qb_place_service(nodes, NODES, &load, &qos, shares, &placement));
  assert_false(placement.feasible);
  qos.latency_ns = 1;
  assert_status(qb_place_service(nodes, NODES, &load, &qos, shares, &placement),
                QB_ERROR_INFEASIBLE);
  qb_profile_unref(profiles[0]);
  qb_profile_unref(profiles[1]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_fewest_nodes_that_hold_the_rate_are_found),
      cmocka_unit_test(a_spare_node_is_one_more),
      cmocka_unit_test(a_type_with_no_node_but_spare_ones_holds_no_rate),
      cmocka_unit_test(a_transferred_type_is_planned_at_the_end_of_its_estimate),
      cmocka_unit_test(nodes_of_a_fleet_leave_their_reserve),
      cmocka_unit_test(the_reserve_of_a_profile_holds_for_its_fleet),
      cmocka_unit_test(all_nodes_have_the_same_reserve),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
