/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to keep NaN, infinities and overflows visible: whole rounds that look at their values
 * and rounds that do not, in turn, with all cores. The ratio of medians is printed.
 */
#include "engine/finite_round.h"
#include "timing.h"

#include <math.h>

enum { PAIRS = 15, FEW_PAIRS = 5 };

static bool looks;

/* The linker puts it before the library's own. */
qb_status __real_qb__finite_look(qb__finite_round *round, size_t step);
qb_status __wrap_qb__finite_look(qb__finite_round *round, size_t step);

qb_status __wrap_qb__finite_look(qb__finite_round *round, size_t step)
{
  return looks ? __real_qb__finite_look(round, step) : QB_OK;
}

static double looking_over_not(qb_session *session, uint32_t batch, int pairs, const float *in,
                               float *out)
{
  double with_ms[PAIRS], without_ms[PAIRS];
  for (int i = -1; i < pairs; i++) {
    const bool first = i % 2; /* whoever comes second finds warmer caches */
    for (int turn = 0; turn < 2; turn++) {
      looks = (turn == 0) == first;
      const double ms = round_ms(session, batch, in, out);
      if (i >= 0)
        (looks ? with_ms : without_ms)[i] = ms;
    }
  }
  return median(with_ms, (size_t)pairs) / median(without_ms, (size_t)pairs);
}

static void measure(qb_context *context, const char *name, bool is_file)
{
  static const uint32_t batches[] = {1, 4, 16};
  enum { MOST = 16 };
  qb_model *model;
  qb_session *session;
  qb_tensor_info input = QB_TENSOR_INFO_INIT, output = QB_TENSOR_INFO_INIT;
  check(is_file ? qb_model_load_onnx(context, name, &model)
                : qb_model_builtin(context, name, &model));
  check(qb_session_new(model, NULL, NULL, &session));
  check(qb_model_get_input(model, 0, &input));
  check(qb_model_get_output(model, 0, &output));
  const size_t in_count = (size_t)input.elements_per_sample * MOST;
  float *in = malloc(in_count * sizeof *in);
  float *out = malloc((size_t)output.elements_per_sample * MOST * sizeof *out);
  if (!in || !out)
    exit(1);
  for (size_t i = 0; i < in_count; i++)
    in[i] = (float)(i * 2654435761u % 1024) / 512.0f - 1.0f;
  for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
    check(qb_session_prepare(session, batches[b], NULL));
    const double usual = looking_over_not(session, batches[b], PAIRS, in, out);
    in[0] = NAN; /* one sample of the round */
    const double poisoned = looking_over_not(session, batches[b], FEW_PAIRS, in, out);
    in[0] = 0;
    printf("%-10s %6u %18.4f %18.4f\n", name, batches[b], usual, poisoned);
  }
  free(in);
  free(out);
  qb_session_unref(session);
  qb_model_unref(model);
}

int main(int argc, char **argv)
{
  qb_context *context;
  setvbuf(stdout, NULL, _IOLBF, 0);
  check(qb_context_new(NULL, &context));
  printf("rounds that look at their values over rounds that do not, medians of %d in turn\n",
         PAIRS);
  printf("%-10s %6s %18s %18s\n", "network", "batch", "all finite", "one NaN");
  if (argc < 2) {
    measure(context, "alexnet", false);
    measure(context, "resnet50", false);
  }
  for (int i = 1; i < argc; i++)
    measure(context, argv[i], true);
  qb_context_unref(context);
  return 0;
}
