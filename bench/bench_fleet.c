/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long qb_plan_job_fleet() takes over 500 node types x 64 batch sizes x 32 configurations, and
 * up to 64 nodes of each: with one profile that is transferred to all types, and with a profile of
 * each type's own. Medians of 11 runs; with the frontier.
 */
#include "node/node_impl.h"
#include "profile/profile_impl.h"
#include "timing.h"

#include <qosbatch/catalogue.h>
#include <qosbatch/fleet.h>
#include <qosbatch/frontier.h>
#include <qosbatch/planning.h>

#include <math.h>

enum { TYPES = 500, BATCHES = 64, CONFIGURATIONS = 32, NODES = 64, RUNS = 11 };

static qb_context *context;

static double uniform(void)
{
  return (double)rand() / RAND_MAX;
}

/* Every batch size measured in 32 configurations of a node with 64 cores. */
static qb_profile *make_profile(const char *cpu)
{
  static qb_profile_point points[BATCHES * CONFIGURATIONS];
  const qb__sustained compute[] = {{QB_ISA_AVX2, 1, 1e11}, {QB_ISA_AVX2, 64, 64e11}};
  const qb__sustained bandwidth[] = {{QB_ISA_BEST, 64, 2e11}};
  qb_node_info node_info = QB_NODE_INFO_INIT;
  node_info.cpu = cpu;
  node_info.isa = QB_ISA_AVX2;
  node_info.hardware_threads = node_info.cores = node_info.usable_threads = 64;
  node_info.quota_cores = 64;
  node_info.numa_nodes = 1;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.model = "bench";
  info.engine = "none";
  info.library = "bench";
  info.flops_per_sample = 8e9;
  info.weight_bytes = 100000000;
  size_t count = 0;
  for (uint32_t k = 0; k < CONFIGURATIONS; k++) {
    const uint32_t threads = 1 + k / 2, instances = k % 2 ? 64 / threads : 1;
    const double once = 20e6 * uniform(), each = 1e8 / threads * (0.9 + 0.2 * uniform());
    for (uint32_t b = 1; b <= BATCHES; b++) {
      const int64_t ns = (int64_t)(once + each * b);
      points[count++] = (qb_profile_point){.size = sizeof *points,
                                           .configuration = {instances, threads},
                                           .batch = b,
                                           .visits = 7,
                                           .latency_ns = ns,
                                           .low_ns = ns - ns / 100,
                                           .high_ns = ns + ns / 100,
                                           .p95_ns = ns + ns / 50,
                                           .mean_ns = ns + ns / 100,
                                           .memory_bytes = 1000000 * (uint64_t)instances * b};
    }
  }
  qb_node *node;
  qb_profile *profile;
  check(qb__node_new(context, &node_info, compute, 2, bandwidth, 1, &node));
  check(qb__profile_new(context, node, &info, 1e7, points, count, &profile));
  qb_node_unref(node);
  return profile;
}

static qb_catalogue *make_catalogue(void)
{
  static qb_node_type types[TYPES];
  static char names[TYPES][16], cpus[TYPES][16];
  for (int i = 0; i < TYPES; i++) {
    snprintf(names[i], sizeof names[i], "type %d", i);
    snprintf(cpus[i], sizeof cpus[i], "cpu %d", i);
    qb_node_type *t = &types[i];
    *t = (qb_node_type)QB_NODE_TYPE_INIT;
    t->name = names[i];
    t->cpu = cpus[i];
    t->vcpus = 64;
    t->memory_bytes = UINT64_C(1) << 37;
    t->compute_flops_per_s = 64e11 * (0.5 + uniform());
    t->memory_bytes_per_s = 2e11 * (0.5 + uniform());
    t->start_up_ns = 40000000000;
    t->max_nodes = NODES;
    t->billing.price_per_hour = t->compute_flops_per_s / 64e11 * (2 + uniform());
    t->billing.minimum_ns = 60000000000;
  }
  qb_catalogue *catalogue;
  check(qb_catalogue_new(context, "USD", "drawn at random", types, TYPES, &catalogue));
  return catalogue;
}

static void run(const char *what, const qb_catalogue *catalogue, qb_profile *const *profiles,
                size_t count)
{
  double times[RUNS];
  uint32_t plans = 0;
  qb_job job = QB_JOB_INIT;
  qb_qos qos = QB_QOS_INIT;
  job.samples = 10000000;
  qos.deadline_ns = 3600000000000;
  qos.objective = QB_OBJECTIVE_COST;
  for (int i = 0; i < RUNS; i++) {
    qb_job_plan plan = QB_JOB_PLAN_INIT;
    qb_job_frontier *frontier;
    const double start = now_ms();
    check(qb_plan_job_fleet(catalogue, profiles, count, &job, &qos, &plan, &frontier));
    times[i] = now_ms() - start;
    plans = qb_job_frontier_count(frontier);
    qb_job_frontier_free(frontier);
  }
  const double median_ms = median(times, RUNS); /* and in order */
  printf("%-38s  median %6.1f ms, best %6.1f ms; %u plans on the frontier\n", what, median_ms,
         times[0], plans);
}

int main(void)
{
  static qb_profile *own[TYPES];
  srand(1);
  check(qb_context_new(NULL, &context));
  qb_catalogue *catalogue = make_catalogue();
  for (int i = 0; i < TYPES; i++) {
    char cpu[16];
    snprintf(cpu, sizeof cpu, "cpu %d", i);
    own[i] = make_profile(cpu);
  }
  qb_profile *other = make_profile("another");
  printf("%d node types x %d batch sizes x %d configurations, 1..%d nodes of each\n", TYPES,
         BATCHES, CONFIGURATIONS, NODES);
  run("one profile, transferred to each type:", catalogue, &other, 1);
  run("a profile of each type's own:", catalogue, own, TYPES);
  qb_profile_unref(other);
  for (int i = 0; i < TYPES; i++)
    qb_profile_unref(own[i]);
  qb_catalogue_unref(catalogue);
  qb_context_unref(context);
  return 0;
}
