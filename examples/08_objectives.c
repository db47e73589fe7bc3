/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One demand, three plans: the least latency, the highest rate, the least cost; then all plans that
 * no other beats in the three. When nothing meets the demand: which limit binds, and what would be feasible.
 *
 * usage: 08_objectives PROFILE.json LATENCY_MS RATE_PER_S
 */
#include "common.h"

#include <qosbatch/planning.h>

static void print_plan(const char *name, const qb_service_plan *plan)
{
  printf("%-8s %u x %u threads, batch %2u, wait %4.1f ms: p99 %5.1f ms, holds %5.1f/s, %.3f per "
         "hour\n",
         name, plan->configuration.instances, plan->configuration.threads, plan->batch,
         (double)plan->max_wait_ns / 1e6, (double)plan->p99_ns / 1e6, plan->max_rate_per_s,
         plan->cost_per_hour);
}

/* 0 where changing that term alone does not help. */
static void print_nearest(const qb_service_plan *plan)
{
  const qb_nearest *n = &plan->nearest;
  printf("infeasible (%s); feasible with one of:\n", qb_reason_name(plan->reason));
  if (n->latency_ns)
    printf("  a latency of %.1f ms\n", (double)n->latency_ns / 1e6);
  if (n->rate_per_s > 0)
    printf("  a rate of %.1f per second\n", n->rate_per_s);
  if (n->percentile > 0)
    printf("  a percentile of %.2f\n", n->percentile);
  if (n->memory_bytes)
    printf("  a memory limit of %llu bytes\n", (unsigned long long)n->memory_bytes);
  if (n->budget_per_hour > 0)
    printf("  a budget of %.4f per hour\n", n->budget_per_hour);
  if (n->accuracy > 0)
    printf("  an accuracy of %.2f %%\n", n->accuracy);
}

int main(int argc, char **argv)
{
  if (argc != 4) {
    fprintf(stderr, "usage: %s PROFILE.json LATENCY_MS RATE_PER_S\n", argv[0]);
    return 2;
  }
  qb_context *context;
  qb_profile *profile;
  require(qb_context_new(NULL, &context), "make a context");
  require(qb_profile_load(context, argv[1], &profile), "load the profile");

  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = strtod(argv[3], NULL);
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = (int64_t)(strtod(argv[2], NULL) * 1e6);
  qos.percentile = 99;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  for (qb_objective o = QB_OBJECTIVE_LATENCY; o <= QB_OBJECTIVE_COST; o++) {
    qos.objective = o;
    require(qb_plan_service(&profile, 1, &load, &qos, &plan, NULL), "plan the service");
    if (!plan.feasible) {
      print_nearest(&plan);
      break;
    }
    print_plan(qb_objective_name(o), &plan);
  }

  qb_service_frontier *frontier;
  require(qb_plan_service(&profile, 1, &load, &qos, &plan, &frontier), "find the frontier");
  printf("%u plans that no other beats\n", qb_service_frontier_count(frontier));
  for (uint32_t i = 0; i < qb_service_frontier_count(frontier); i++) {
    require(qb_service_frontier_get(frontier, i, &plan), "read the frontier");
    print_plan("", &plan);
  }

  qb_service_frontier_free(frontier);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return 0;
}
