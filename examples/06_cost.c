/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a profile and a price list to what to order: the cheapest fleet that runs a job by its
 * deadline with a chance of 95 %, what one would pay to have it sooner, and the cheapest fleet for
 * a service.
 *
 * usage: 06_cost PROFILE.json CATALOGUE.json SAMPLES DEADLINE_S
 */
#include <qosbatch/qosbatch.h>

#include <stdio.h>
#include <stdlib.h>

static void require(qb_status status, const char *what)
{
  if (status) {
    fprintf(stderr, "cannot %s: %s\n", what, qb_error_message());
    exit(EXIT_FAILURE);
  }
}

static void print_fleet(const qb_catalogue *catalogue, const qb_job_fleet *fleet)
{
  qb_node_type type = QB_NODE_TYPE_INIT;
  require(qb_catalogue_get_type(catalogue, fleet->type, &type), "look up the node type");
  printf("%u x %s, %u instance(s) of %u thread(s), rounds of %u: %.0f s, %.0f s with a chance of "
         "95 %%, %.4f %s\n",
         fleet->nodes, type.name, fleet->configuration.instances, fleet->configuration.threads,
         fleet->batch, (double)fleet->total_ns / 1e9, (double)fleet->total_95_ns / 1e9, fleet->cost,
         qb_catalogue_currency(catalogue));
}

static void plan_service(const qb_catalogue *catalogue, const qb_profile *const *profiles)
{
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  load.rate_per_s = 100;
  qos.latency_ns = 400000000;
  const uint32_t count = qb_catalogue_count(catalogue);
  qb_service_fleet *fleets = calloc(count, sizeof *fleets);
  if (!fleets)
    exit(EXIT_FAILURE);
  for (uint32_t i = 0; i < count; i++)
    fleets[i] = (qb_service_fleet)QB_SERVICE_FLEET_INIT;
  require(qb_plan_service_fleet(catalogue, profiles, 1, &load, &qos, 1, fleets, count),
          "plan the service");
  qb_node_type type = QB_NODE_TYPE_INIT;
  require(qb_catalogue_get_type(catalogue, fleets[0].type, &type), "look up the node type");
  if (fleets[0].feasible)
    printf("100/s within 400 ms for 99 of 100, also with a node lost: %u x %s, %.3f %s per hour\n",
           fleets[0].nodes, type.name, fleets[0].cost_per_hour, qb_catalogue_currency(catalogue));
  else
    printf("no node type holds 100/s within 400 ms\n");
  free(fleets);
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
  const qb_profile *const profiles[] = {profile};

  qb_job job = QB_JOB_INIT;
  qb_job_choice choice = QB_JOB_CHOICE_INIT;
  qb_frontier *frontier;
  job.samples = strtoull(argv[3], NULL, 10);
  job.deadline_ns = (int64_t)(strtod(argv[4], NULL) * 1e9);
  require(qb_plan_job_fleet(catalogue, profiles, 1, &job, &choice, &frontier), "plan the job");
  if (choice.feasible) {
    print_fleet(catalogue, &choice.fleet);
  } else {
    printf("not feasible (%s); the least deadline is %.0f s\n", qb_reason_name(choice.reason),
           (double)choice.nearest_deadline_ns / 1e9);
  }
  printf("%u ways that no other beats in both time and cost, from\n", qb_frontier_count(frontier));
  qb_job_fleet ends = QB_JOB_FLEET_INIT;
  require(qb_frontier_get(frontier, 0, &ends), "read the frontier");
  print_fleet(catalogue, &ends);
  printf("to\n");
  require(qb_frontier_get(frontier, qb_frontier_count(frontier) - 1, &ends), "read the frontier");
  print_fleet(catalogue, &ends);
  plan_service(catalogue, profiles);

  qb_frontier_free(frontier);
  qb_catalogue_unref(catalogue);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return 0;
}
