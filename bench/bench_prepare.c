/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a session takes to make batch sizes ready, on one instance of all threads, and on what:
 * choosing how layers are computed, with their weights packed for it, checking that it is right, and
 * the rest, which is compiling. A session's first batch size is 8, later ones are 1 and 32; medians
 * over sessions.
 *
 *   prepare [MODEL...]            networks (both built-in ones), or ONNX files
 */
#include "engine/network_choice.h"
#include "engine/plan_check.h"
#include "timing.h"

#include <string.h>

enum { SESSIONS = 5, ROUNDS = 5, BATCHES = 3, FIRST = 8 };

static double choosing_ms, checking_ms; /* of the prepare in progress */

/* The linker puts these before the library's own. */
qb_status __real_qb__network_choose(const qb__chooser *chooser,
                                    const qb__layer_algorithm *algorithms, qb__choice **choices,
                                    qb__packed *packed, size_t *arena_bytes);
qb_status __wrap_qb__network_choose(const qb__chooser *chooser,
                                    const qb__layer_algorithm *algorithms, qb__choice **choices,
                                    qb__packed *packed, size_t *arena_bytes);
qb_status __real_qb__plan_check(const qb__graph *graph, const qb__network_plan *plan,
                                qb__workspace *workspace, qb__findings *findings, size_t *count);
qb_status __wrap_qb__plan_check(const qb__graph *graph, const qb__network_plan *plan,
                                qb__workspace *workspace, qb__findings *findings, size_t *count);

qb_status __wrap_qb__network_choose(const qb__chooser *chooser,
                                    const qb__layer_algorithm *algorithms, qb__choice **choices,
                                    qb__packed *packed, size_t *arena_bytes)
{
  const double start_ms = now_ms();
  const qb_status status =
      __real_qb__network_choose(chooser, algorithms, choices, packed, arena_bytes);
  choosing_ms += now_ms() - start_ms;
  return status;
}

qb_status __wrap_qb__plan_check(const qb__graph *graph, const qb__network_plan *plan,
                                qb__workspace *workspace, qb__findings *findings, size_t *count)
{
  const double start_ms = now_ms();
  const qb_status status = __real_qb__plan_check(graph, plan, workspace, findings, count);
  checking_ms += now_ms() - start_ms;
  return status;
}

/* Milliseconds of a batch size in each session. */
typedef struct cost {
  double all[SESSIONS], choosing[SESSIONS], checking[SESSIONS], round[SESSIONS];
} cost;

static void prepare(qb_session *session, uint32_t batch, const float *in, float *out, int i,
                    cost *c)
{
  double rounds_ms[ROUNDS];
  choosing_ms = checking_ms = 0;
  const double start_ms = now_ms();
  check(qb_session_prepare(session, batch, NULL));
  c->all[i] = now_ms() - start_ms;
  c->choosing[i] = choosing_ms;
  c->checking[i] = checking_ms;
  for (int r = 0; r < ROUNDS; r++)
    rounds_ms[r] = round_ms(session, batch, in, out);
  c->round[i] = median(rounds_ms, ROUNDS);
}

static void print(const char *when, uint32_t batch, cost *c)
{
  const double all = median(c->all, SESSIONS);
  printf("  %-7s %6u %10.0f %12.1f %12.1f %14.1f\n", when, batch, all,
         100 * median(c->choosing, SESSIONS) / all, 100 * median(c->checking, SESSIONS) / all,
         all / median(c->round, SESSIONS));
}

static void measure(qb_context *context, const char *name)
{
  static const uint32_t batches[BATCHES] = {FIRST, 1, 32};
  enum { MOST = 32 };
  static cost costs[BATCHES];
  const size_t length = strlen(name);
  const bool is_file = length > 5 && !strcmp(name + length - 5, ".onnx");
  qb_model *model;
  qb_tensor_info input = QB_TENSOR_INFO_INIT, output = QB_TENSOR_INFO_INIT;
  check(is_file ? qb_model_load_onnx(context, name, &model)
                : qb_model_builtin(context, name, &model));
  check(qb_model_get_input(model, 0, &input));
  check(qb_model_get_output(model, 0, &output));
  float *in = calloc((size_t)input.elements_per_sample * MOST, sizeof *in);
  float *out = malloc((size_t)output.elements_per_sample * MOST * sizeof *out);
  if (!in || !out)
    exit(1);
  for (int i = 0; i < SESSIONS; i++) {
    qb_session *session;
    check(qb_session_new(model, NULL, NULL, &session));
    for (int b = 0; b < BATCHES; b++)
      prepare(session, batches[b], in, out, i, &costs[b]);
    qb_session_unref(session);
  }
  printf("%s\n  %-7s %6s %10s %12s %12s %14s\n", name, "size", "batch", "ready [ms]",
         "choosing [%]", "checking [%]", "of a round [x]");
  for (int b = 0; b < BATCHES; b++)
    print(b ? "later" : "first", batches[b], &costs[b]);
  free(in);
  free(out);
  qb_model_unref(model);
}

int main(int argc, char **argv)
{
  static const char *const builtin[] = {"alexnet", "resnet50"};
  qb_context *context;
  check(qb_context_new(NULL, &context));
  for (int i = 0; i < (argc > 1 ? argc - 1 : 2); i++)
    measure(context, argc > 1 ? argv[i + 1] : builtin[i]);
  qb_context_unref(context);
  return 0;
}
