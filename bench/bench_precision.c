/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What precisions gain: both built-in networks at several batch sizes, each precision in turn in the
 * same run, on one instance of all cores and on as many instances of one thread; medians of the
 * better of the two. The int8 form is what `qosbatch quantize --portable` makes of the network.
 * ONEDNN_MAX_CPU_ISA=AVX2 shows what a processor without VNNI gains.
 *
 *   precision [NETWORK]            both networks
 *   precision --layers NETWORK     times of a round's operators in int8, batch 8
 */
#include "quantized.h"
#include "timing.h"

#include <qosbatch/inspect.h>
#include <qosbatch/node.h>

#include <pthread.h>
#include <string.h>

enum { ROUNDS = 9, PRECISIONS = 3, SPLITS = 2, BATCHES = 3 };

static const uint32_t batches[BATCHES] = {1, 8, 32};

/* One instance's part of a round of all instances. */
typedef struct part {
  qb_session *session;
  uint32_t batch;
  const float *in;
  float *out;
} part;

static void *run_part(void *argument)
{
  const part *p = argument;
  const void *const inputs[1] = {p->in};
  void *const outputs[1] = {p->out};
  check(qb_session_run(p->session, p->batch, inputs, outputs, NULL));
  return NULL;
}

/* Milliseconds a sample of a round on every instance. */
static double sample_ms(qb_session *session, uint32_t instances, uint32_t batch, const float *in,
                        float *out, size_t out_elements)
{
  pthread_t threads[64];
  part parts[64];
  const double start = now_ms();
  for (uint32_t i = 0; i < instances; i++) {
    parts[i] = (part){session, batch, in, out + i * batch * out_elements};
    pthread_create(&threads[i], NULL, run_part, &parts[i]);
  }
  for (uint32_t i = 0; i < instances; i++)
    pthread_join(threads[i], NULL);
  return (now_ms() - start) / (instances * batch);
}

/* A precision of a network: on one instance of all cores, and on instances of one thread each. */
typedef struct side {
  qb_session *sessions[SPLITS];
  double ms[SPLITS][ROUNDS];
} side;

static bool make_side(qb_model *model, qb_precision precision, uint32_t cores, side *s)
{
  const qb_configuration splits[SPLITS] = {{1, cores, precision}, {cores, 1, precision}};
  for (int i = 0; i < SPLITS; i++) {
    const qb_status status = qb_session_new(model, &splits[i], NULL, &s->sessions[i]);
    if (status == QB_ERROR_UNSUPPORTED)
      return false;
    check(status);
  }
  return true;
}

static double best_ms(side *s)
{
  const double together = median(s->ms[0], ROUNDS), apart = median(s->ms[1], ROUNDS);
  return together < apart ? together : apart;
}

static void measure(qb_context *context, const char *name, uint32_t cores)
{
  qb_model *real, *integer;
  qb_tensor_info input = QB_TENSOR_INFO_INIT, output = QB_TENSOR_INFO_INIT;
  side sides[PRECISIONS] = {0};
  bool there[PRECISIONS];
  check(qb_model_builtin(context, name, &real));
  integer = quantized(real);
  for (int p = 0; p < PRECISIONS; p++)
    there[p] =
        make_side(p == QB_PRECISION_INT8 ? integer : real, (qb_precision)p, cores, &sides[p]);
  check(qb_model_get_input(real, 0, &input));
  check(qb_model_get_output(real, 0, &output));
  const size_t in_count = (size_t)input.elements_per_sample * batches[BATCHES - 1];
  const size_t out_elements = (size_t)output.elements_per_sample;
  float *in = malloc(in_count * sizeof *in);
  float *out = malloc(out_elements * batches[BATCHES - 1] * cores * sizeof *out);
  if (!in || !out)
    exit(1);
  fill_samples(in, in_count);
  printf("%s\n%6s %12s %12s %12s %10s %10s\n", name, "batch", "f32 /s", "bf16 /s", "int8 /s",
         "bf16/f32", "int8/f32");
  for (int b = 0; b < BATCHES; b++) {
    for (int round = -1; round < ROUNDS; round++)
      for (int p = 0; p < PRECISIONS; p++)
        for (int i = 0; there[p] && i < SPLITS; i++) {
          const double ms =
              sample_ms(sides[p].sessions[i], i ? cores : 1, batches[b], in, out, out_elements);
          if (round >= 0) /* the first makes the batch size ready */
            sides[p].ms[i][round] = ms;
        }
    double per_s[PRECISIONS] = {0};
    for (int p = 0; p < PRECISIONS; p++)
      per_s[p] = there[p] ? 1e3 / best_ms(&sides[p]) : 0;
    printf("%6u %12.1f %12.1f %12.1f %10.2f %10.2f\n", batches[b], per_s[0], per_s[1], per_s[2],
           per_s[1] / per_s[0], per_s[2] / per_s[0]);
    fflush(stdout);
  }
  for (int p = 0; p < PRECISIONS; p++)
    for (int i = 0; i < SPLITS; i++)
      qb_session_unref(sides[p].sessions[i]);
  free(in);
  free(out);
  qb_model_unref(real);
  qb_model_unref(integer);
}

static void print_layers(qb_context *context, const char *name, uint32_t cores)
{
  enum { BATCH = 8 };
  const qb_configuration configuration = {1, cores, QB_PRECISION_INT8};
  qb_model *real, *model;
  qb_session *session;
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_tensor_info input = QB_TENSOR_INFO_INIT, output = QB_TENSOR_INFO_INIT;
  check(qb_model_builtin(context, name, &real));
  model = quantized(real);
  check(qb_session_new(model, &configuration, NULL, &session));
  check(qb_model_get_info(model, &info));
  check(qb_model_get_input(model, 0, &input));
  check(qb_model_get_output(model, 0, &output));
  float *in = calloc(BATCH * (size_t)input.elements_per_sample, sizeof *in);
  float *out = calloc(BATCH * (size_t)output.elements_per_sample, sizeof *out);
  qb_operator_time *times = calloc(info.operators, sizeof *times);
  if (!in || !out || !times)
    exit(1);
  const void *const inputs[1] = {in};
  void *const outputs[1] = {out};
  for (uint32_t i = 0; i < info.operators; i++)
    times[i].size = sizeof *times;
  check(qb_session_run(session, BATCH, inputs, outputs, NULL));
  for (int round = 0; round < ROUNDS; round++)
    check(qb_session_run_timed(session, BATCH, inputs, outputs, times, info.operators));
  for (uint32_t i = 0; i < info.operators; i++) {
    qb_operator_info op = QB_OPERATOR_INFO_INIT;
    check(qb_model_get_operator(model, i, &op));
    if (times[i].time_ns)
      printf("%-24s %-24s %10.3f ms %8.1f Gop/s %s\n", op.name, op.kind,
             (double)times[i].time_ns / 1e6, BATCH * op.flops_per_sample / (double)times[i].time_ns,
             times[i].implementation);
  }
  free(in);
  free(out);
  free(times);
  qb_session_unref(session);
  qb_model_unref(model);
  qb_model_unref(real);
}

int main(int argc, char **argv)
{
  static const char *const names[] = {"resnet50", "alexnet"};
  qb_context *context;
  qb_node *node;
  qb_node_info info = QB_NODE_INFO_INIT;
  check(qb_context_new(NULL, &context));
  check(qb_node_detect(context, NULL, &node));
  check(qb_node_get_info(node, &info));
  const uint32_t cores = info.usable_threads < 64 ? info.usable_threads : 64;
  if (argc == 3 && !strcmp(argv[1], "--layers"))
    print_layers(context, argv[2], cores);
  else
    for (int i = 0; i < 2; i++)
      if (argc < 2 || !strcmp(argv[1], names[i]))
        measure(context, names[i], cores);
  qb_node_unref(node);
  qb_context_unref(context);
  return 0;
}
