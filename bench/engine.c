/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands between the convolutions of a network and the whole of it, and what batching gains.
 *
 * Whole rounds and rounds timed operator by operator run in turn, with all cores; medians are
 * printed. The convolutions of a timed round are the same primitives in the same round as the rest.
 */
#include "engine/network.h"
#include "engine/session_impl.h"
#include "model/builtin.h"
#include "model/model_impl.h"

#include <qosbatch/qosbatch.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAIRS = 15, BATCHES = 6 };

static void check(qb_status status)
{
  if (status) {
    fprintf(stderr, "engine: %s\n", qb_error_message());
    exit(1);
  }
}

typedef struct round_task {
  qb_session *session;
  uint32_t batch;
  const void *inputs[1];
  void *outputs[1];
  int64_t *ns_by_operator;
} round_task;

static qb_status run_round(void *argument, uint32_t instance)
{
  const round_task *t = argument;
  return qb__network_run_timed(t->session->engine, instance, t->batch, t->inputs, t->outputs,
                               t->ns_by_operator);
}

static double now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static double timed(round_task *task, int64_t *ns_by_operator)
{
  task->ns_by_operator = ns_by_operator;
  const double start_ms = now_ms();
  check(qb__instances_run(task->session->instances, run_round, task));
  return now_ms() - start_ms;
}

static int ascending(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(double *values, size_t count)
{
  qsort(values, count, sizeof *values, ascending);
  return values[count / 2];
}

static void measure(qb_context *context, const char *name)
{
  static const uint32_t batches[BATCHES] = {1, 2, 4, 8, 16, 32};
  qb_model *model;
  qb_session *session;
  check(qb_model_builtin(context, name, &model));
  check(qb_session_new(model, NULL, &session));
  const qb__graph *graph = &model->graph;
  const size_t input = graph->tensors[graph->input].elements * 32;
  float *in = aligned_alloc(64, input * sizeof(float));
  float *out = aligned_alloc(64, 32 * 1024 * sizeof(float));
  int64_t *ns = calloc(graph->operator_count, sizeof *ns);
  if (!in || !out || !ns)
    exit(1);
  qb__fill_values(in, input, 1, 0, 1);
  printf("%s, %zu operators\n%8s %12s %12s %14s %12s\n", name, graph->operator_count, "batch",
         "round ms", "ms/sample", "of convs only", "samples/s");
  double first = 0, last = 0;
  for (int b = 0; b < BATCHES; b++) {
    round_task task = {session, batches[b], {in}, {out}, NULL};
    check(qb_session_prepare(session, task.batch, NULL));
    double whole[PAIRS], ratio[PAIRS];
    (void)timed(&task, NULL);
    for (int i = 0; i < PAIRS; i++) {
      whole[i] = timed(&task, NULL);
      memset(ns, 0, graph->operator_count * sizeof *ns);
      const double round_ms = timed(&task, ns);
      double convolutions_ms = 0;
      for (size_t o = 0; o < graph->operator_count; o++)
        if (graph->operators[o].kind == QB__OP_CONVOLUTION)
          convolutions_ms += 1e-6 * (double)ns[o];
      ratio[i] = round_ms / convolutions_ms;
    }
    last = median(whole, PAIRS) / task.batch;
    first = b ? first : last;
    printf("%8u %12.2f %12.3f %14.3f %12.1f\n", task.batch, last * task.batch, last,
           median(ratio, PAIRS), 1e3 / last);
  }
  printf("time per sample at batch 1 / at batch 32: %.2f\n\n", first / last);
  free(in);
  free(out);
  free(ns);
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
