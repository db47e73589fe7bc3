/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An inference server: HTTP on 127.0.0.1, the Open Inference Protocol, rounds decided by
 * qb_optimize(), 429 instead of answers that come too late. docs/service.md explains it.
 *
 * usage: service MODEL PROFILE RATE_PER_S LATENCY_MS [PORT]
 */
#define _POSIX_C_SOURCE 200809L
#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUEUE_MOST = 1024 };

#define CHECK(good)                                                                                \
  ((good) ? (void)0 : (fprintf(stderr, "%s: %s\n", #good, qb_error_message()), exit(EXIT_FAILURE)))

/* The batches that the configuration was measured with; larger ones would be guesses. */
static uint32_t largest_batch(const qb_profile *profile, const qb_configuration *c)
{
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  uint32_t largest = 1;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &p); i++)
    if (p.configuration.instances == c->instances && p.configuration.threads == c->threads)
      largest = p.batch;
  return largest;
}

int main(int argc, char **argv)
{
  if (argc < 5) {
    fprintf(stderr, "usage: service MODEL PROFILE RATE_PER_S LATENCY_MS [PORT]\n");
    return 2;
  }
  sigset_t ends; /* handled below; blocked before any thread starts */
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  CHECK(!pthread_sigmask(SIG_BLOCK, &ends, NULL));
  signal(SIGPIPE, SIG_IGN);

  qb_context *context;
  qb_profile *profile;
  qb_model *model;
  CHECK(!qb_context_new(NULL, &context));
  CHECK(!qb_model_builtin(context, argv[1], &model));
  CHECK(!qb_profile_load(context, argv[2], &profile));
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = strtod(argv[3], NULL);
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = (int64_t)(strtod(argv[4], NULL) * 1e6);
  qos.percentile = 99;
  qos.shed = true;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  CHECK(!qb_plan_service((const qb_profile *const *)&profile, 1, &load, &qos, &plan));
  plan.batch = largest_batch(profile, &plan.configuration); /* qb_optimize() chooses below it */

  batcher_params rounds = {
      .context = context, .profile = profile, .plan = plan, .qos = qos, .queue_most = QUEUE_MOST};
  server_params web = {.port = argc > 5 ? (uint16_t)strtoul(argv[5], NULL, 10) : 8080,
                       .model = argv[1],
                       .input = QB_TENSOR_INFO_INIT,
                       .output = QB_TENSOR_INFO_INIT,
                       .plan = &plan,
                       .qos = &qos};
  CHECK(!qb_model_get_input(model, 0, &web.input) && !qb_model_get_output(model, 0, &web.output));
  rounds.input_elements = web.input.elements_per_sample;
  rounds.output_elements = web.output.elements_per_sample;
  CHECK(!qb_session_for_profile(model, profile, &plan.configuration, &rounds.session));
  for (uint32_t n = 1; n <= plan.batch; n++) /* or the first round of a size is late */
    CHECK(!qb_session_prepare(rounds.session, n, NULL));
  web.batcher = batcher_start(&rounds);
  server *http = web.batcher ? server_start(&web) : NULL;
  if (!http)
    return EXIT_FAILURE;
  printf("%s on http://127.0.0.1:%u, %u instance%s x %u thread%s, batches up to %u\n", argv[1],
         server_port(http), plan.configuration.instances,
         plan.configuration.instances == 1 ? "" : "s", plan.configuration.threads,
         plan.configuration.threads == 1 ? "" : "s", plan.batch);
  fflush(stdout);

  int which;
  sigwait(&ends, &which);
  server_drain(http);
  batcher_stop(web.batcher);
  server_stop(http);
  const batcher_counts counts = batcher_count(web.batcher);
  printf("%llu requests, %llu refused; %llu samples answered, %llu in time; rounds took %.3f times "
         "what was predicted\n",
         (unsigned long long)counts.requests, (unsigned long long)counts.refused,
         (unsigned long long)counts.samples, (unsigned long long)counts.in_time,
         counts.predicted_sum_s > 0 ? counts.round_sum_s / counts.predicted_sum_s : 1);
  batcher_free(web.batcher);
  qb_session_unref(rounds.session);
  qb_profile_unref(profile);
  qb_model_unref(model);
  qb_context_unref(context);
}
