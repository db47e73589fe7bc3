/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Imports, profiles, plans, decides, saves and frees, over and over; after each cycle nothing is left
 * and it prints its resident memory, descriptors and threads, for soak.py to judge.
 *
 * usage: soak_cycles NETWORK.onnx CATALOGUE FOLDER SECONDS
 */
#include <qosbatch/catalogue.h>
#include <qosbatch/frontier.h>
#include <qosbatch/qosbatch.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECK(call)                                                                                \
  do {                                                                                             \
    if (call) {                                                                                    \
      fprintf(stderr, "%s: %s\n", #call, qb_error_message());                                      \
      exit(EXIT_FAILURE);                                                                          \
    }                                                                                              \
  } while (0)

enum { MAX_BATCH = 4, ROUNDS = 1000, PROFILE_NS = 100000000 };

static qb_profile *measure(qb_node *node, qb_model *model)
{
  qb_profile *profile = NULL;
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  static const qb_configuration one = {1, 1};
  params.max_batch = MAX_BATCH;
  params.configurations = &one;
  params.configuration_count = 1;
  params.time_budget_ns = PROFILE_NS;
  CHECK(qb_profile_run(model, node, &params, NULL, NULL, &profile));
  return profile;
}

static void decide(qb_profile *profile)
{
  qb_optimizer *optimizer = NULL;
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  qb_qos qos = QB_QOS_INIT;
  params.configuration = (qb_configuration){1, 1};
  params.max_batch = MAX_BATCH;
  params.rate_per_s = 100;
  qos.latency_ns = 50000000;
  CHECK(qb_optimizer_new(profile, &params, &qos, &optimizer));
  int64_t profiled_ns = 0;
  for (int i = 1; i <= ROUNDS; i++) {
    qb_round_state now = QB_ROUND_STATE_INIT;
    qb_decision decision = QB_DECISION_INIT;
    qb_round_result result = QB_ROUND_RESULT_INIT;
    now.queued = 1 + (uint32_t)(i % MAX_BATCH);
    now.now_ns = i * INT64_C(10000000);
    now.oldest_arrival_ns = now.now_ns - 1000000;
    CHECK(qb_optimize(optimizer, &now, &decision));
    result.batch = now.queued;
    profiled_ns = profiled_ns ? profiled_ns : decision.latency_ns;
    result.latency_ns = profiled_ns * (i < ROUNDS / 2 ? 1 : 2);
    CHECK(qb_observe(optimizer, &result));
    if (decision.refresh_due)
      CHECK(qb_optimizer_refresh(optimizer));
  }
  qb_optimizer_free(optimizer);
}

static void plan(qb_profile *profile)
{
  qb_job job = QB_JOB_INIT;
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  qb_job_plan job_plan = QB_JOB_PLAN_INIT;
  qb_service_plan service_plan = QB_SERVICE_PLAN_INIT;
  qb_job_frontier *frontier = NULL;
  job.samples = 10000;
  load.rate_per_s = 50;
  qos.latency_ns = 50000000;
  CHECK(qb_plan_job(&profile, 1, &job, NULL, &job_plan, &frontier));
  CHECK(qb_plan_service(&profile, 1, &load, &qos, &service_plan, NULL));
  qb_job_frontier_free(frontier);
}

static void cycle(qb_node *node, const char *network, const char *catalogue_path, const char *path)
{
  qb_context *context = NULL;
  qb_model *model = NULL;
  qb_profile *loaded = NULL;
  qb_catalogue *catalogue = NULL;
  CHECK(qb_context_new(NULL, &context));
  CHECK(qb_model_load_onnx(context, network, &model));
  qb_profile *profile = measure(node, model);
  CHECK(qb_profile_save(profile, path));
  qb_profile_unref(profile);
  CHECK(qb_profile_load(context, path, &loaded));
  CHECK(qb_catalogue_load(context, catalogue_path, &catalogue));
  decide(loaded);
  plan(loaded);
  qb_catalogue_unref(catalogue);
  qb_profile_unref(loaded);
  qb_model_unref(model);
  qb_context_unref(context);
}

static size_t entries_of(const char *path)
{
  DIR *folder = opendir(path);
  size_t count = 0;
  while (folder && readdir(folder))
    count++;
  if (folder)
    closedir(folder);
  return count;
}

static long resident_kib(void)
{
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "re");
  if (!file || fscanf(file, "%*d %ld", &pages) != 1)
    exit(EXIT_FAILURE);
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) >> 10);
}

int main(int argc, char **argv)
{
  if (argc < 5)
    return 2;
  char path[512];
  snprintf(path, sizeof path, "%s/profile.json", argv[3]);
  qb_context *context = NULL;
  qb_node *node = NULL;
  CHECK(qb_context_new(NULL, &context));
  CHECK(qb_node_detect(context, NULL, &node));
  const time_t end = time(NULL) + atol(argv[4]);
  while (time(NULL) < end) {
    cycle(node, argv[1], argv[2], path);
    /* Of the folder of descriptors one is its own, and two entries are no files. */
    printf("%ld %zu %zu\n", resident_kib(), entries_of("/proc/self/fd") - 3,
           entries_of("/proc/self/task") - 2);
    fflush(stdout);
  }
  qb_node_unref(node);
  qb_context_unref(context);
  return 0;
}
