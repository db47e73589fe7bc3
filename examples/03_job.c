/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job: samples that are all there at the start, run as the plan says on all instances at once,
 * and the predicted end-to-end time against the measured one.
 *
 * usage: 03_job [MODEL] [SAMPLES] [PROFILE_SECONDS]
 */
#define _POSIX_C_SOURCE 200809L

#include "common.h"

#include <pthread.h>
#include <time.h>

/* One instance's share of the job. */
typedef struct share {
  pthread_t thread;
  qb_session *session;
  uint64_t samples;
  uint32_t batch;
  float *inputs, *outputs; /* of one round */
  qb_status status;
  char message[256]; /* qb_error_message() belongs to the thread that failed */
} share;

static void *allocate(size_t count, size_t bytes)
{
  void *memory = calloc(count, bytes);
  require_that(memory, "allocate memory");
  return memory;
}

static double now_s(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *run_share(void *argument)
{
  share *s = argument;
  const void *const inputs[] = {s->inputs};
  void *const outputs[] = {s->outputs};
  for (uint64_t left = s->samples; left && s->status == QB_OK;) {
    const uint32_t batch = left < s->batch ? (uint32_t)left : s->batch;
    /* A real job reads the next `batch` samples into the inputs here. */
    s->status = qb_session_run(s->session, batch, inputs, outputs, NULL);
    left -= batch;
  }
  if (s->status)
    snprintf(s->message, sizeof s->message, "%s", qb_error_message());
  return NULL;
}

int main(int argc, char **argv)
{
  const char *name = argc > 1 ? argv[1] : "resnet50";
  const uint64_t samples = argc > 2 ? strtoull(argv[2], NULL, 10) : 400;
  const double profile_s = argc > 3 ? strtod(argv[3], NULL) : 20;

  qb_context *context;
  qb_node *node;
  qb_profile *profile;
  require(qb_context_new(NULL, &context), "make a context");
  qb_model *model = open_model(context, name);
  require(qb_node_detect(context, NULL, &node), "detect the node");
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = samples < 16 ? (uint32_t)samples : 16; /* 0 stands for the default */
  params.time_budget_ns = (int64_t)(profile_s * 1e9);
  require(qb_profile_run(model, node, &params, NULL, NULL, &profile), "profile the model");

  qb_job job = QB_JOB_INIT;
  job.samples = samples;
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  require(qb_plan_job(&profile, 1, &job, NULL, &plan, NULL), "plan the job");
  const uint32_t instances = plan.configuration.instances;
  printf("%u instance(s) of %u thread(s), rounds of %u samples\n", instances,
         plan.configuration.threads, plan.batch);

  qb_session *session;
  qb_tensor_info input = QB_TENSOR_INFO_INIT, output = QB_TENSOR_INFO_INIT;
  require(qb_session_new(model, &plan.configuration, profile, &session), "make a session");
  require(qb_model_get_input(model, 0, &input), "describe the input");
  require(qb_model_get_output(model, 0, &output), "describe the output");
  share *shares = allocate(instances, sizeof *shares);
  for (uint32_t i = 0; i < instances; i++) {
    share *s = &shares[i];
    s->session = session;
    s->samples = samples / instances + (i < samples % instances);
    s->batch = plan.batch;
    s->inputs = allocate(plan.batch, input.elements_per_sample * sizeof *s->inputs);
    s->outputs = allocate(plan.batch, output.elements_per_sample * sizeof *s->outputs);
    for (uint64_t k = 0; k < plan.batch * input.elements_per_sample; k++)
      s->inputs[k] = (float)(k % 255) / 255.0f - 0.5f;
    /* The predicted time begins with every batch size ready, the last, smaller one too. */
    if (s->samples >= plan.batch)
      require(qb_session_prepare(session, plan.batch, NULL), "prepare");
    if (s->samples % plan.batch)
      require(qb_session_prepare(session, (uint32_t)(s->samples % plan.batch), NULL), "prepare");
  }

  const double start_s = now_s();
  for (uint32_t i = 0; i < instances; i++)
    require_that(!pthread_create(&shares[i].thread, NULL, run_share, &shares[i]), "start a thread");
  int result = EXIT_SUCCESS;
  for (uint32_t i = 0; i < instances; i++) {
    pthread_join(shares[i].thread, NULL);
    if (shares[i].status) {
      fprintf(stderr, "instance %u: %s\n", i, shares[i].message);
      result = EXIT_FAILURE;
    }
  }
  const double measured_s = now_s() - start_s;
  const double predicted_s = (double)plan.total_ns / 1e9;
  if (result == EXIT_SUCCESS)
    printf("predicted %.3f s (95 %%: %.3f to %.3f), measured %.3f s: %+.1f %%; %.1f samples/s\n",
           predicted_s, (double)plan.low_ns / 1e9, (double)plan.high_ns / 1e9, measured_s,
           100 * (predicted_s - measured_s) / measured_s, (double)samples / measured_s);

  for (uint32_t i = 0; i < instances; i++) {
    free(shares[i].inputs);
    free(shares[i].outputs);
  }
  free(shares);
  qb_session_unref(session);
  qb_profile_unref(profile);
  qb_node_unref(node);
  qb_model_unref(model);
  qb_context_unref(context);
  return result;
}
