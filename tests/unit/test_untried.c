/* SPDX-License-Identifier: Apache-2.0 */
/* Divisions of a node's cores that nobody measured, in plans. */
#include "node/node_data.h"
#include "profile/profile_data.h"
#include "support/expect.h"

#include <qosbatch/plan.h>

static qb_context *context;

/* Of a node of 4 cores; rounds take as long for each sample. @param compute 0: c is not known */
static qb_profile *measured(const qb_configuration *split, double each_ms, size_t compute)
{
  static const qb__sustained table[] = {{QB_ISA_AVX512, 1, 1e11}, {QB_ISA_AVX512, 4, 4e11}};
  qb_node_info node_info = QB_NODE_INFO_INIT;
  node_info.cpu = "four cores";
  node_info.isa = QB_ISA_AVX512;
  node_info.cores = node_info.hardware_threads = node_info.usable_threads = 4;
  node_info.quota_cores = 4;
  node_info.numa_nodes = 1;
  qb_node *node;
  assert_ok(qb__node_new(context, &node_info, table, compute, NULL, 0, &node));
  qb_profile_point points[2];
  for (uint32_t i = 0; i < 2; i++) {
    points[i] = (qb_profile_point)QB_PROFILE_POINT_INIT;
    points[i].configuration = *split;
    points[i].batch = 1 + 7 * i;
    points[i].visits = 10;
    points[i].latency_ns = points[i].low_ns = points[i].high_ns = points[i].p95_ns =
        points[i].mean_ns = (int64_t)(1e6 * each_ms * points[i].batch);
  }
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.model = "network";
  info.engine = info.library = "test";
  info.flops_per_sample = 1e9;
  qb_profile *profile;
  assert_ok(qb__profile_new(context, node, &info, 0, points, 2, &profile));
  qb_node_unref(node);
  return profile;
}

static qb_service_plan plan_service(qb_profile *profile, double rate_per_s)
{
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = rate_per_s;
  assert_ok(qb_plan_service(&profile, 1, &load, NULL, &plan, NULL));
  return plan;
}

static qb_job_plan plan_job(qb_profile *profile)
{
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  qb_job job = QB_JOB_INIT;
  job.samples = 10000;
  assert_ok(qb_plan_job(&profile, 1, &job, NULL, &plan, NULL));
  return plan;
}

static void one_that_is_expected_to_be_better_is_named_and_not_chosen(void **state)
{
  (void)state;
  const qb_configuration one = {.instances = 1, .threads = 1};
  qb_profile *profile = measured(&one, 40, 2);
  const qb_service_plan plan = plan_service(profile, 2);
  assert_int_equal(plan.configuration.threads, 1);
  assert_int_equal(plan.source, QB_SOURCE_MEASURED);
  assert_int_equal(plan.untried.configuration.threads, 4);
  assert_true(plan.untried.gain > 0.7 && plan.untried.gain < 0.8);
  qb_profile_unref(profile);
}

static void one_that_alone_would_meet_the_demand_gains_all(void **state)
{
  (void)state;
  const qb_configuration one = {.instances = 1, .threads = 1};
  qb_profile *profile = measured(&one, 40, 2);
  const qb_service_plan plan = plan_service(profile, 40);
  assert_false(plan.feasible);
  assert_true(plan.untried.configuration.instances > 0);
  assert_true(plan.untried.gain == 1);
  qb_profile_unref(profile);
}

/* Without waiting for each other 4 threads do 6 % more. */
static void a_job_names_the_split_that_would_end_sooner(void **state)
{
  (void)state;
  const qb_configuration four = {.instances = 1, .threads = 4};
  qb_profile *profile = measured(&four, 10, 2);
  const qb_job_plan plan = plan_job(profile);
  assert_int_equal(plan.configuration.threads, 4);
  assert_int_equal(plan.untried.configuration.instances, 4);
  assert_true(plan.untried.gain >= 0.05 && plan.untried.gain < 0.1);
  qb_profile_unref(profile);
}

static void nothing_is_named_that_would_not_be_better(void **state)
{
  (void)state;
  const qb_configuration four = {.instances = 1, .threads = 4};
  qb_profile *profile = measured(&four, 10, 2);
  const qb_service_plan plan = plan_service(profile, 10);
  assert_int_equal(plan.configuration.threads, 4);
  assert_int_equal(plan.untried.configuration.instances, 0);
  qb_profile_unref(profile);
}

static void without_c_there_is_nothing_to_estimate_them_by(void **state)
{
  (void)state;
  const qb_configuration one = {.instances = 1, .threads = 1};
  qb_profile *profile = measured(&one, 40, 0);
  const qb_service_plan plan = plan_service(profile, 2);
  assert_int_equal(plan.configuration.threads, 1);
  assert_int_equal(plan.untried.configuration.instances, 0);
  assert_int_equal(plan_job(profile).untried.configuration.instances, 0);
  qb_profile_unref(profile);
}

static int start(void **state)
{
  (void)state;
  return (int)qb_context_new(NULL, &context);
}

static int stop(void **state)
{
  (void)state;
  qb_context_unref(context);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_that_is_expected_to_be_better_is_named_and_not_chosen),
      cmocka_unit_test(one_that_alone_would_meet_the_demand_gains_all),
      cmocka_unit_test(a_job_names_the_split_that_would_end_sooner),
      cmocka_unit_test(nothing_is_named_that_would_not_be_better),
      cmocka_unit_test(without_c_there_is_nothing_to_estimate_them_by),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
