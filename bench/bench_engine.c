/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands between the convolutions of a network and the whole of it, and what batching gains.
 *
 * Whole rounds and rounds timed operator by operator run in turn, with all cores; medians are
 * printed. The convolutions of a timed round are the same primitives in the same round as the rest.
 */
#include "timing.h"

#include <qosbatch/inspect.h>

#include <string.h>

enum { PAIRS = 15, BATCHES = 6 };

/* A round timed by operators: all of them over the convolutions. */
static double over_convolutions(const qb_model *model, qb_session *session, uint32_t batch,
                                const float *in, float *out, qb_operator_time *times, size_t count)
{
  const void *const inputs[1] = {in};
  void *const outputs[1] = {out};
  double all_ns = 0, convolutions_ns = 0;
  check(qb_session_run_timed(session, batch, inputs, outputs, times, count));
  for (uint32_t i = 0; i < count; i++) {
    qb_operator_info info = QB_OPERATOR_INFO_INIT;
    check(qb_model_get_operator(model, i, &info));
    all_ns += (double)times[i].time_ns;
    if (!strncmp(info.kind, "convolution", 11))
      convolutions_ns += (double)times[i].time_ns;
  }
  return all_ns / convolutions_ns;
}

static void measure(qb_context *context, const char *name)
{
  static const uint32_t batches[BATCHES] = {1, 2, 4, 8, 16, 32};
  qb_model *model;
  qb_session *session;
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_tensor_info input = QB_TENSOR_INFO_INIT, output = QB_TENSOR_INFO_INIT;
  check(qb_model_builtin(context, name, &model));
  check(qb_session_new(model, NULL, NULL, &session));
  check(qb_model_get_info(model, &info));
  check(qb_model_get_input(model, 0, &input));
  check(qb_model_get_output(model, 0, &output));
  const size_t in_count = (size_t)input.elements_per_sample * batches[BATCHES - 1];
  float *in = malloc(in_count * sizeof *in);
  float *out = malloc((size_t)output.elements_per_sample * batches[BATCHES - 1] * sizeof *out);
  qb_operator_time *times = calloc(info.operators, sizeof *times);
  if (!in || !out || !times)
    exit(1);
  for (size_t i = 0; i < in_count; i++)
    in[i] = (float)(i * 2654435761u % 1024) / 512.0f - 1.0f;
  for (uint32_t i = 0; i < info.operators; i++)
    times[i].size = sizeof *times;
  printf("%s, %u operators\n%8s %12s %12s %14s %12s\n", name, info.operators, "batch", "round ms",
         "ms/sample", "of convs only", "samples/s");
  double first = 0, last = 0;
  for (int b = 0; b < BATCHES; b++) {
    check(qb_session_prepare(session, batches[b], NULL));
    double whole[PAIRS], ratio[PAIRS];
    (void)round_ms(session, batches[b], in, out);
    for (int i = 0; i < PAIRS; i++) {
      whole[i] = round_ms(session, batches[b], in, out);
      ratio[i] = over_convolutions(model, session, batches[b], in, out, times, info.operators);
    }
    last = median(whole, PAIRS) / batches[b];
    first = b ? first : last;
    printf("%8u %12.2f %12.3f %14.3f %12.1f\n", batches[b], last * batches[b], last,
           median(ratio, PAIRS), 1e3 / last);
  }
  printf("time per sample at batch 1 / at batch 32: %.2f\n\n", first / last);
  free(in);
  free(out);
  free(times);
  qb_session_unref(session);
  qb_model_unref(model);
}

int main(int argc, char **argv)
{
  qb_context *context;
  check(qb_context_new(NULL, &context));
  if (argc < 2) {
    measure(context, "alexnet");
    measure(context, "resnet50");
  }
  for (int i = 1; i < argc; i++)
    measure(context, argv[i]);
  qb_context_unref(context);
  return 0;
}
