/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a profile and a price list to what to order: the cheapest nodes that run a job by its
 * deadline, what one would pay to have it sooner, and the cheapest nodes for a service.
 *
 * usage: 06_cost PROFILE.json CATALOGUE.json SAMPLES DEADLINE_S
 */
#include "common.h"

#include <qosbatch/planning.h>

static const char *type_name(const qb_catalogue *catalogue, uint32_t index)
{
  qb_node_type type = QB_NODE_TYPE_INIT;
  require(qb_catalogue_get_type(catalogue, index, &type), "look up the node type");
  return type.name;
}

static void print_plan(const qb_catalogue *catalogue, const qb_job_plan *plan)
{
  qb_catalogue_info info = QB_CATALOGUE_INFO_INIT;
  require(qb_catalogue_get_info(catalogue, &info), "describe the catalogue");
  printf("%u x %s, %u instance(s) of %u thread(s), rounds of %u: %.0f s (95 %%: %.0f to %.0f), "
         "%.4f %s\n",
         plan->nodes, type_name(catalogue, plan->type), plan->configuration.instances,
         plan->configuration.threads, plan->batch, (double)plan->total_ns / 1e9,
         (double)plan->low_ns / 1e9, (double)plan->high_ns / 1e9, plan->cost, info.currency);
}

static void plan_job(const qb_catalogue *catalogue, qb_profile *profile, const qb_job *job,
                     int64_t deadline_ns)
{
  qb_qos qos = QB_QOS_INIT;
  qos.deadline_ns = deadline_ns;
  qos.objective = QB_OBJECTIVE_COST;
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  qb_job_frontier *frontier;
  require(qb_plan_job_fleet(catalogue, &profile, 1, job, &qos, &plan, &frontier), "plan the job");
  if (plan.feasible)
    print_plan(catalogue, &plan);
  else
    printf("infeasible (%s); feasible with a deadline of %.0f s\n", qb_reason_name(plan.reason),
           (double)plan.nearest.deadline_ns / 1e9);
  /* What one would pay to have it sooner: the fastest plan comes first, the cheapest last. */
  const uint32_t count = qb_job_frontier_count(frontier);
  printf("%u plans that no other beats in both time and cost%s\n", count, count ? ", from" : "");
  if (count) {
    require(qb_job_frontier_get(frontier, 0, &plan), "read the frontier");
    print_plan(catalogue, &plan);
    printf("to\n");
    require(qb_job_frontier_get(frontier, count - 1, &plan), "read the frontier");
    print_plan(catalogue, &plan);
  }
  qb_job_frontier_free(frontier);
}

static void plan_service(const qb_catalogue *catalogue, qb_profile *profile)
{
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = 100;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 400000000;
  qos.spare_nodes = 1;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  require(qb_plan_service_fleet(catalogue, &profile, 1, &load, &qos, &plan, NULL),
          "plan the service");
  if (plan.feasible)
    printf("100/s within 400 ms for 99 of 100, also with a node lost: %u x %s, %.3f per hour\n",
           plan.nodes, type_name(catalogue, plan.type), plan.cost_per_hour);
  else
    printf("no node type holds 100/s within 400 ms\n");
}

int main(int argc, char **argv)
{
  if (argc != 5) {
    fprintf(stderr, "usage: %s PROFILE.json CATALOGUE.json SAMPLES DEADLINE_S\n", argv[0]);
    return 2;
  }
  qb_context *context;
  qb_profile *profile;
  qb_catalogue *catalogue;
  require(qb_context_new(NULL, &context), "make a context");
  require(qb_profile_load(context, argv[1], &profile), "load the profile");
  require(qb_catalogue_load(context, argv[2], &catalogue), "load the catalogue");

  qb_job job = QB_JOB_INIT;
  job.samples = strtoull(argv[3], NULL, 10);
  plan_job(catalogue, profile, &job, (int64_t)(strtod(argv[4], NULL) * 1e9));
  plan_service(catalogue, profile);

  qb_catalogue_unref(catalogue);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return 0;
}
