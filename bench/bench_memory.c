/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memory a session takes at its peak, against what qb_estimate() predicts; how small the arena
 * is; and that weights are held once for all batch sizes and instances.
 *
 * Every case runs in a process of its own, forked from one that has the model, in a session for a
 * profile that has measured some of the batch sizes. The baseline is what the process has resident
 * with model and profile loaded, inputs and outputs filled and the pages of all libraries read, which
 * all processes share: the model's own weights and the library's code do not count. The peak is the
 * kernel's high-water mark (VmHWM) when the session is ready and has run a round on every instance.
 */
#include "quantized.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPLITS = 3, BATCHES = 5, LARGEST = 32 };
static const qb_configuration splits[SPLITS] = {{1, 1}, {1, 2}, {2, 1}};
static const uint32_t batches[BATCHES] = {1, 3, 8, 16, LARGEST};
static const uint32_t profiled[] = {1, 4, LARGEST};

typedef struct measured {
  double peak, weights, arena, activations; /* bytes */
} measured;

/* A line of /proc/self/status in bytes. */
static double status_bytes(const char *name)
{
  char line[256];
  double kib = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file))
    if (!strncmp(line, name, strlen(name)))
      kib = strtod(line + strlen(name) + 1, NULL);
  if (file)
    fclose(file);
  return 1024 * kib;
}

/* Reads all pages of mapped files, and begins a new high-water mark. */
static double baseline(void)
{
  char line[512];
  FILE *maps = fopen("/proc/self/maps", "r");
  while (maps && fgets(line, sizeof line, maps)) {
    char *rest;
    const uintptr_t start = strtoull(line, &rest, 16), end = strtoull(rest + 1, &rest, 16);
    if (strchr(rest, '/') && rest[1] == 'r')
      (void)madvise((void *)start, end - start, MADV_POPULATE_READ);
  }
  if (maps)
    fclose(maps);
  FILE *peaks = fopen("/proc/self/clear_refs", "w");
  if (peaks) {
    fputs("5", peaks);
    fclose(peaks);
  }
  return status_bytes("VmRSS");
}

/* Runs a case in a child, which writes `bytes` to its argument's result. */
static void in_child(void (*run)(const void *, void *), const void *argument, void *result,
                     size_t bytes)
{
  int ends[2];
  fflush(stdout);
  if (pipe(ends))
    exit(1);
  const pid_t child = fork();
  if (child == 0) {
    run(argument, result);
    _exit(write(ends[1], result, bytes) != (ssize_t)bytes);
  }
  close(ends[1]);
  const ssize_t got = read(ends[0], result, bytes);
  close(ends[0]);
  int code = 1;
  waitpid(child, &code, 0);
  if (child < 0 || got != (ssize_t)bytes || code) {
    fprintf(stderr, "memory: a case failed\n");
    exit(1);
  }
}

typedef struct trial {
  qb_context *context;
  qb_model *model;
  const void *input; /* of the largest batch */
  void *output;
  const char *profile, *quantized;
  qb_precision precision;
  qb_configuration configuration;
  const uint32_t *batches;
  size_t batch_count;
} trial;

static void measure(const void *argument, void *result)
{
  const trial *t = argument;
  qb_profile *profile;
  qb_session *session;
  const void *const inputs[1] = {t->input};
  void *const outputs[1] = {t->output};
  check(qb_profile_load(t->context, t->profile, &profile));
  const double before = baseline();
  check(qb_session_new(t->model, &t->configuration, profile, &session));
  for (size_t i = 0; i < t->batch_count; i++)
    check(qb_session_prepare(session, t->batches[i], NULL));
  for (size_t i = 0; i < t->batch_count; i++)
    for (uint32_t round = 0; round < t->configuration.instances; round++)
      check(qb_session_run(session, t->batches[i], inputs, outputs, NULL));
  qb_session_info info = QB_SESSION_INFO_INIT;
  qb_model_info about = QB_MODEL_INFO_INIT;
  check(qb_session_get_info(session, &info));
  check(qb_model_get_info(t->model, &about));
  *(measured *)result =
      (measured){.peak = status_bytes("VmHWM") - before,
                 .weights = (double)info.weight_bytes,
                 .arena = (double)info.arena_bytes,
                 .activations = (double)about.activation_bytes_per_sample *
                                t->batches[t->batch_count - 1] * info.configuration.instances};
}

static qb_configuration in_precision(const trial *t, int split)
{
  return (qb_configuration){splits[split].instances, splits[split].threads, t->precision};
}

/* Makes the profile; the result is what qb_estimate() tells of each configuration and batch size. */
static void predict(const void *argument, void *result)
{
  const trial *t = argument;
  qb_node *node;
  qb_profile *profile;
  qb_node_params node_params = QB_NODE_PARAMS_INIT;
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  qb_configuration configurations[SPLITS];
  for (int k = 0; k < SPLITS; k++)
    configurations[k] = in_precision(t, k);
  node_params.measure_budget_ns = 200000000;
  params.configurations = configurations;
  params.configuration_count = SPLITS;
  params.batches = profiled;
  params.batch_count = sizeof profiled / sizeof *profiled;
  params.time_budget_ns = 1;
  check(qb_node_detect(t->context, &node_params, &node));
  check(qb_profile_run(t->model, node, &params, NULL, NULL, &profile));
  check(qb_profile_save(profile, t->profile));
  for (int k = 0; k < SPLITS; k++)
    for (int b = 0; b < BATCHES; b++) {
      qb_latency_estimate estimate = QB_LATENCY_ESTIMATE_INIT;
      check(qb_estimate(profile, &configurations[k], batches[b], NULL, &estimate));
      ((double *)result)[k * BATCHES + b] = (double)estimate.memory_bytes;
    }
}

static double mib(double bytes)
{
  return bytes / 1048576;
}

static float *filled(size_t elements)
{
  float *values = malloc(elements * sizeof *values);
  if (!values)
    exit(1);
  fill_samples(values, elements);
  return values;
}

/* Of all figures of all networks. */
typedef struct extremes {
  double error, arena_share;
} extremes;

static void print_predictions(trial t, extremes *most)
{
  double predicted[SPLITS * BATCHES];
  in_child(predict, &t, predicted, sizeof predicted);
  printf("%6s %6s %14s %10s %8s %10s %10s %18s\n", "i x t", "batch", "predicted MiB", "peak MiB",
         "ratio", "weights", "arena", "arena/activations");
  for (int k = 0; k < SPLITS; k++)
    for (int b = 0; b < BATCHES; b++) {
      measured seen;
      t.configuration = in_precision(&t, k);
      t.batches = &batches[b];
      t.batch_count = 1;
      in_child(measure, &t, &seen, sizeof seen);
      const double ratio = predicted[k * BATCHES + b] / seen.peak;
      const double share = seen.arena / seen.activations;
      most->error = fmax(most->error, fabs(ratio - 1));
      most->arena_share = fmax(most->arena_share, share);
      printf("%4ux%u %6u %14.1f %10.1f %8.3f %10.1f %10.1f %16.0f %%\n", splits[k].instances,
             splits[k].threads, batches[b], mib(predicted[k * BATCHES + b]), mib(seen.peak), ratio,
             mib(seen.weights), mib(seen.arena), 100 * share);
    }
}

static void print_sharing(trial t)
{
  static const uint32_t six[] = {1, 2, 4, 8, 16, LARGEST};
  measured one, batch_sizes, instances;
  t.configuration = in_precision(&t, 0);
  t.batches = six + 5;
  t.batch_count = 1;
  in_child(measure, &t, &one, sizeof one);
  t.batches = six;
  t.batch_count = 6;
  in_child(measure, &t, &batch_sizes, sizeof batch_sizes);
  t.configuration = in_precision(&t, 2);
  t.batches = six + 5;
  t.batch_count = 1;
  in_child(measure, &t, &instances, sizeof instances);
  printf("batch %u ready: %.1f MiB; 6 batch sizes: %+.1f; 2 instances: %+.1f, an arena being %.1f "
         "and the weights %.1f\n\n",
         LARGEST, mib(one.peak), mib(batch_sizes.peak - one.peak), mib(instances.peak - one.peak),
         mib(one.arena), mib(one.weights));
}

/* In a child, as all that starts threads: the parent forks. */
static void quantize(const void *argument, void *result)
{
  const trial *t = argument;
  qb_model *made = quantized(t->model);
  check(qb_model_save_onnx(made, t->quantized));
  qb_model_unref(made);
  *(bool *)result = true;
}

static void try_precision(const void *argument, void *result)
{
  const trial *t = argument;
  const qb_configuration configuration = in_precision(t, 0);
  qb_session *session;
  const qb_status status = qb_session_new(t->model, &configuration, NULL, &session);
  *(bool *)result = status != QB_ERROR_UNSUPPORTED;
  if (*(bool *)result) {
    check(status);
    qb_session_unref(session);
  }
}

/* The network with its 8-bit form. */
static qb_model *joined(trial t, const char *name)
{
  qb_model *quantized, *both;
  bool done;
  check(qb_model_builtin(t.context, name, &t.model));
  in_child(quantize, &t, &done, sizeof done);
  check(qb_model_load_onnx(t.context, t.quantized, &quantized));
  check(qb_model_join_int8(t.model, quantized, &both));
  qb_model_unref(quantized);
  qb_model_unref(t.model);
  return both;
}

static void print_network(trial t, const char *name, extremes *most)
{
  static const qb_precision precisions[] = {QB_PRECISION_F32, QB_PRECISION_BF16, QB_PRECISION_INT8};
  qb_tensor_info in = QB_TENSOR_INFO_INIT, out = QB_TENSOR_INFO_INIT;
  t.model = joined(t, name);
  check(qb_model_get_input(t.model, 0, &in));
  check(qb_model_get_output(t.model, 0, &out));
  float *input = filled(LARGEST * in.elements_per_sample);
  float *output = filled(LARGEST * out.elements_per_sample);
  t.input = input;
  t.output = output;
  for (int p = 0; p < 3; p++) {
    bool there;
    t.precision = precisions[p];
    in_child(try_precision, &t, &there, sizeof there);
    if (!there)
      continue;
    printf("%s, %s\n", name, qb_precision_name(t.precision));
    print_predictions(t, &most[p]);
    print_sharing(t);
  }
  free(input);
  free(output);
  qb_model_unref(t.model);
}

int main(int argc, char **argv)
{
  static const char *const both[] = {"alexnet", "resnet50"};
  const char *const *models = argc > 1 ? (const char *const *)argv + 1 : both;
  const int count = argc > 1 ? argc - 1 : 2;
  extremes most[3] = {{0, 0}};
  char folder[] = "/tmp/qosbatch-memory-XXXXXX", profile[64], quantized[64];
  trial t = {.profile = profile, .quantized = quantized};
  if (!mkdtemp(folder))
    return 1;
  snprintf(profile, sizeof profile, "%s/profile.json", folder);
  snprintf(quantized, sizeof quantized, "%s/int8.onnx", folder);
  check(qb_context_new(NULL, &t.context));
  for (int m = 0; m < count; m++)
    print_network(t, models[m], most);
  unlink(profile);
  unlink(quantized);
  rmdir(folder);
  for (int p = 0; p < 3; p++)
    if (most[p].arena_share > 0)
      printf("%s: predicted is off by %.1f %% at most; arenas take %.0f %% of all activations at "
             "most\n",
             qb_precision_name((qb_precision)p), 100 * most[p].error, 100 * most[p].arena_share);
  qb_context_unref(t.context);
  return 0;
}
