/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP service over an engine whose rounds take as long as a script says, so that tests need no
 * network and no fast machine. The answer to a sample is its first elements; SIGHUP changes to one
 * more instance.
 *
 * usage: scripted_service LATENCY_MS ROUND_US SAMPLE_US [MEMORY_MIB [TIMEOUT_S [SIDE [GRACE_S
 *        [PROFILE]]]]]
 * A round of n samples takes ROUND_US + n * SAMPLE_US, and 1.2 s more for each whose last element is
 * 1200; a sample is 3 x SIDE x SIDE. PROFILE is written, for a client that is to predict the service.
 */
#include "common/diagnose.h"
#include "server.h"

#include <qosbatch/measurements.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUTS = 4, MOST_BATCH = 16, MOST_INSTANCES = 4, SLOW = 1200 };

#define CHECK(good)                                                                                \
  ((good) ? (void)0 : (fprintf(stderr, "%s: %s\n", #good, qb_error_message()), exit(EXIT_FAILURE)))

static int64_t round_ns, sample_ns;
static qb_tensor_info input = QB_TENSOR_INFO_INIT, output = QB_TENSOR_INFO_INIT;

static int run(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
               void *const *outputs)
{
  (void)user;
  (void)instance;
  int64_t ns = round_ns + batch * sample_ns;
  for (uint32_t i = 0; inputs && i < batch; i++)
    if (((const float *)inputs[0])[(i + 1) * input.elements_per_sample - 1] == SLOW)
      ns += SLOW * INT64_C(1000000);
  const struct timespec pause = {ns / 1000000000, ns % 1000000000};
  nanosleep(&pause, NULL);
  for (uint32_t i = 0; inputs && i < batch; i++)
    memcpy((float *)outputs[0] + i * OUTPUTS,
           (const float *)inputs[0] + i * input.elements_per_sample, OUTPUTS * sizeof(float));
  return 0;
}

/* The profile that the script keeps to. */
static qb_profile *make_profile(qb_context *context, qb_model *model, uint32_t instances)
{
  char path[] = "/tmp/scripted_service_XXXXXX";
  const int file = mkstemp(path);
  FILE *to = file < 0 ? NULL : fdopen(file, "w");
  CHECK(to);
  fputs("instances,threads,batch,latency_ns\n", to);
  for (int n = 1; n <= MOST_BATCH; n++)
    for (int visit = 0; visit < 8; visit++)
      fprintf(to, "%u,1,%d,%lld\n", instances, n, (long long)(round_ns + n * sample_ns));
  CHECK(!fclose(to));
  qb_measurements_params params = QB_MEASUREMENTS_PARAMS_INIT;
  params.model = model;
  qb_profile *profile;
  CHECK(!qb_profile_from_measurements(context, path, &params, &profile));
  unlink(path);
  return profile;
}

static batcher_rounds make_rounds(qb_context *context, qb_model *model, const qb_qos *qos,
                                  uint32_t instances)
{
  batcher_rounds r = {.plan = QB_SERVICE_PLAN_INIT, .params = QB_OPTIMIZER_PARAMS_INIT};
  r.profile = make_profile(context, model, instances);
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = 1;
  qb_profile *profile = r.profile;
  CHECK(!qb_plan_service(&profile, 1, &load, qos, &r.plan, NULL) && r.plan.feasible);
  CHECK(!qb_optimizer_params_of_plan(&r.plan, &r.params));
  r.params.max_batch = MOST_BATCH;
  CHECK(!qb_session_new(model, &r.plan.configuration, NULL, &r.session));
  return r;
}

static void free_rounds(batcher_rounds *r)
{
  qb_session_unref(r->session);
  qb_profile_unref(r->profile);
}

static void report(const char *text)
{
  note("%s", text);
}

static double argument(int argc, char **argv, int index, double otherwise)
{
  return argc > index ? strtod(argv[index], NULL) : otherwise;
}

int main(int argc, char **argv)
{
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  CHECK(!pthread_sigmask(SIG_BLOCK, &signals, NULL));
  diagnose_as("scripted_service");

  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = (int64_t)(argument(argc, argv, 1, 1000) * 1e6);
  qos.percentile = 99;
  qos.shed = true;
  round_ns = (int64_t)(argument(argc, argv, 2, 1000) * 1e3);
  sample_ns = (int64_t)(argument(argc, argv, 3, 1000) * 1e3);
  const int64_t side = (int64_t)argument(argc, argv, 6, 4);
  input = (qb_tensor_info){.size = sizeof input,
                           .name = "image",
                           .rank = 3,
                           .dims = {3, side, side},
                           .elements_per_sample = (uint64_t)(3 * side * side)};
  output = (qb_tensor_info){.size = sizeof output,
                            .name = "first",
                            .rank = 1,
                            .dims = {OUTPUTS},
                            .elements_per_sample = OUTPUTS};

  qb_context *context;
  qb_model *model;
  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = "scripted";
  workload.run = run;
  CHECK(!qb_context_new(NULL, &context));
  CHECK(!qb_model_from_workload(context, &workload, &model));
  uint32_t instances = 1;
  batcher_rounds rounds = make_rounds(context, model, &qos, instances);
  if (argc > 8)
    CHECK(!qb_profile_save(rounds.profile, argv[8]));
  const batcher_params params = {.qos = qos,
                                 .queue_most = 1024,
                                 .input_elements = input.elements_per_sample,
                                 .output_elements = OUTPUTS,
                                 .report = report};
  server_params web = {.address = "127.0.0.1",
                       .model = {"scripted", input, output},
                       .batcher = batcher_start(&params, &rounds),
                       .qos = qos,
                       .memory_bytes = (size_t)argument(argc, argv, 4, 64) << 20,
                       .timeout_ns = (int64_t)(argument(argc, argv, 5, 2) * 1e9),
                       .grace_ns = (int64_t)(argument(argc, argv, 7, 0.1) * 1e9)};
  server *http = web.batcher ? server_start(&web) : NULL;
  CHECK(http);
  printf("http://127.0.0.1:%u, at most %u samples\n", server_port(http),
         batcher_most_samples(web.batcher));
  fflush(stdout);

  int which;
  while (!sigwait(&signals, &which) && which == SIGHUP) {
    instances = instances < MOST_INSTANCES ? instances + 1 : 1;
    batcher_rounds next = make_rounds(context, model, &qos, instances);
    CHECK(batcher_change(web.batcher, &next));
    free_rounds(&rounds);
    rounds = next;
  }
  server_drain(http);
  batcher_stop(web.batcher);
  server_stop(http);
  const batcher_counts counts = batcher_count(web.batcher);
  printf("%llu requests, %llu refused; %llu samples answered\n",
         (unsigned long long)counts.requests, (unsigned long long)counts.refused,
         (unsigned long long)counts.samples);
  batcher_free(web.batcher);
  free_rounds(&rounds);
  qb_model_unref(model);
  qb_context_unref(context);
  return 0;
}
