/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds of one batch size and nothing else: rounds [--int8] MODEL INSTANCES THREADS [PROFILE].
 * MODEL is the name of a built-in network or an ONNX file; layers are computed as a profile says, if
 * one is given. Our side of bench/rivals and bench/zoo, and what bench/run.py sets jobs against. Reads
 * commands and answers each with a line, as onnxruntime.mjs does:
 *
 *   run BATCH SECONDS    rounds on all instances at the same time; answers samples per second
 *   output BATCH FILE    one round of the common input; writes its raw result, answers "written"
 */
#include <qosbatch/qosbatch.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_BATCH = 32 };

typedef struct caller {
  pthread_t thread;
  qb_session *session;
  const float *input;
  float *output;
  uint32_t batch;
  double seconds, samples_per_s;
} caller;

static void check(qb_status status)
{
  if (status) {
    fprintf(stderr, "rounds: %s\n", qb_error_message());
    exit(1);
  }
}

static double now_s(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *call(void *argument)
{
  caller *c = argument;
  const void *const inputs[1] = {c->input};
  void *const outputs[1] = {c->output};
  const double start_s = now_s();
  double elapsed_s = 0;
  uint64_t rounds = 0;
  for (; elapsed_s < c->seconds; elapsed_s = now_s() - start_s, rounds++)
    check(qb_session_run(c->session, c->batch, inputs, outputs, NULL));
  c->samples_per_s = (double)(rounds * c->batch) / elapsed_s;
  return NULL;
}

static double run(caller *callers, uint32_t instances, uint32_t batch, double seconds)
{
  double samples_per_s = 0;
  for (uint32_t i = 0; i < instances; i++) {
    callers[i].batch = batch;
    callers[i].seconds = seconds;
    if (pthread_create(&callers[i].thread, NULL, call, &callers[i]))
      exit(1);
  }
  for (uint32_t i = 0; i < instances; i++) {
    pthread_join(callers[i].thread, NULL);
    samples_per_s += callers[i].samples_per_s;
  }
  return samples_per_s;
}

static qb_model *load(qb_context *context, const char *name)
{
  qb_model *model;
  check(strstr(name, ".onnx") ? qb_model_load_onnx(context, name, &model)
                              : qb_model_builtin(context, name, &model));
  return model;
}

static void *allocate(size_t bytes)
{
  void *memory = malloc(bytes);
  if (!memory)
    exit(1);
  return memory;
}

int main(int argc, char **argv)
{
  qb_configuration configuration = {1, 1};
  if (argc > 1 && !strcmp(argv[1], "--int8")) {
    configuration.precision = QB_PRECISION_INT8;
    argc--;
    argv++;
  }
  if (argc != 4 && argc != 5) {
    fprintf(stderr, "usage: rounds [--int8] MODEL INSTANCES THREADS [PROFILE]\n");
    return 2;
  }
  configuration.instances = (uint32_t)atoi(argv[2]);
  configuration.threads = (uint32_t)atoi(argv[3]);
  qb_context *context;
  qb_session *session;
  qb_tensor_info in = QB_TENSOR_INFO_INIT, out = QB_TENSOR_INFO_INIT;
  check(qb_context_new(NULL, &context));
  qb_model *model = load(context, argv[1]);
  check(qb_model_get_input(model, 0, &in));
  check(qb_model_get_output(model, 0, &out));
  if (argc == 5) {
    qb_profile *profile;
    check(qb_profile_load(context, argv[4], &profile));
    check(qb_session_new(model, &configuration, profile, &session));
    qb_profile_unref(profile);
  } else {
    check(qb_session_new(model, &configuration, NULL, &session));
  }
  const size_t count = in.elements_per_sample * MOST_BATCH;
  float *input = allocate(count * sizeof *input);
  for (size_t i = 0; i < count; i++)
    input[i] = (float)((uint32_t)i * 2654435761u >> 22) / 512.0f - 1.0f;
  caller *callers = allocate(configuration.instances * sizeof *callers);
  for (uint32_t i = 0; i < configuration.instances; i++) {
    callers[i].session = session;
    callers[i].input = input;
    callers[i].output = allocate(out.elements_per_sample * MOST_BATCH * sizeof(float));
  }
  printf("ready\n");
  fflush(stdout);

  unsigned batch;
  double seconds;
  char line[4200], path[4096];
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "run %u %lf", &batch, &seconds) == 2 && batch >= 1 && batch <= MOST_BATCH) {
      check(qb_session_prepare(session, batch, NULL));
      printf("%.4f\n", run(callers, configuration.instances, batch, seconds));
    } else if (sscanf(line, "output %u %4095s", &batch, path) == 2 && batch >= 1 &&
               batch <= MOST_BATCH) {
      FILE *file = fopen(path, "wb");
      run(callers, 1, batch, 0.001);
      if (!file || !fwrite(callers[0].output, out.elements_per_sample * batch * 4, 1, file) ||
          fclose(file))
        return 1;
      printf("written\n");
    } else {
      fprintf(stderr, "rounds: no command '%s'\n", line);
      return 2;
    }
    fflush(stdout);
  }
  for (uint32_t i = 0; i < configuration.instances; i++)
    free(callers[i].output);
  free(callers);
  free(input);
  qb_session_unref(session);
  qb_model_unref(model);
  qb_context_unref(context);
  return 0;
}
