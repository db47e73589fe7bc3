/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time of a round goes, operator by operator. */
#include "common/diagnose.h"
#include "common/measure.h"
#include "view.h"

#include <qosbatch/inspect.h>
#include <qosbatch/session.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEWEST_ROUNDS = 5, MOST_ROUNDS = 101 };

static const int64_t MEASURE_NS = 2000000000;

typedef struct layers {
  const qb_model *model;
  uint32_t count, batch;
  double compute_flops_per_s, bytes_per_s;
  qb_operator_time *times; /* medians over rounds */
} layers;

static int ascending(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

/* Medians, operator by operator: a neighbour's burst hits few of an operator's rounds. */
static int measure_rounds(qb_session *session, layers *self, const void *input, void *output)
{
  const void *const inputs[1] = {input};
  void *const outputs[1] = {output};
  int64_t *ns = allocate((size_t)self->count * MOST_ROUNDS, sizeof *ns);
  size_t rounds = 0;
  int64_t spent_ns = 0;
  int result = check(qb_session_run(session, self->batch, inputs, outputs, NULL));
  while (!result && rounds < MOST_ROUNDS && (rounds < FEWEST_ROUNDS || spent_ns < MEASURE_NS)) {
    result = check(
        qb_session_run_timed(session, self->batch, inputs, outputs, self->times, self->count));
    for (uint32_t i = 0; i < self->count; i++) {
      ns[i * MOST_ROUNDS + rounds] = self->times[i].time_ns;
      spent_ns += self->times[i].time_ns;
    }
    rounds++;
  }
  for (uint32_t i = 0; i < self->count && !result; i++) {
    qsort(ns + i * MOST_ROUNDS, rounds, sizeof *ns, ascending);
    self->times[i].time_ns = ns[i * MOST_ROUNDS + rounds / 2];
  }
  free(ns);
  return result;
}

/* What the roofline says an operator cannot be faster than, by arithmetic and by traffic. */
static double compute_ns(const layers *self, const qb_operator_info *o)
{
  return 1e9 * o->flops_per_sample * self->batch / self->compute_flops_per_s;
}

static double memory_ns(const layers *self, const qb_operator_info *o)
{
  return 1e9 * ((double)o->bytes_per_sample * self->batch + (double)o->weight_bytes) /
         self->bytes_per_s;
}

static double saving_of(const char *implementation)
{
  return implementation && strstr(implementation, "wino") ? WINOGRAD_SAVING : 1;
}

/* NAN where it cannot be: c was measured too low, or the time. */
static double share_of_peak(const layers *self, uint32_t index, const qb_operator_info *o)
{
  const qb_operator_time *t = &self->times[index];
  return possible_share(compute_ns(self, o) / (double)t->time_ns, saving_of(t->implementation));
}

static const char *bound(const layers *self, const qb_operator_info *o)
{
  return compute_ns(self, o) >= memory_ns(self, o) ? "compute" : "memory";
}

static void print_as_json(const layers *self, const qb_configuration *configuration)
{
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_model_get_info(self->model, &info);
  json_t *root = object_new();
  add_text(root, "model", info.name);
  add_integer(root, "batch", self->batch);
  add_integer(root, "threads", configuration->threads);
  add_number(root, "compute_flops", self->compute_flops_per_s);
  add_number(root, "memory_bytes_per_s", self->bytes_per_s);
  json_t *list = add_array(root, "layers");
  for (uint32_t i = 0; i < self->count; i++) {
    qb_operator_info o = QB_OPERATOR_INFO_INIT;
    qb_model_get_operator(self->model, i, &o);
    const double ns = (double)self->times[i].time_ns;
    json_t *entry = append_object(list);
    add_text(entry, "name", o.name);
    add_text(entry, "kind", o.kind);
    add_integer(entry, "time_ns", self->times[i].time_ns);
    add_number(entry, "flops_per_s", 1e9 * o.flops_per_sample * self->batch / ns);
    add_number(entry, "peak_fraction", share_of_peak(self, i, &o));
    add_text(entry, "bound", bound(self, &o));
    add_text(entry, "implementation",
             self->times[i].implementation ? self->times[i].implementation : "");
  }
  print_json(root);
}

static void print_as_text(const layers *self, const qb_configuration *configuration)
{
  static const char *const titles[] = {
      "<operator", "<kind",       "time [us]", "of all [%]",
      "GFLOP/s",   "of peak [%]", "<bound by", "<implementation",
  };
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_model_get_info(self->model, &info);
  double all_ns = 0, done = 0; /* arithmetic of a sample that is not saved */
  for (uint32_t i = 0; i < self->count; i++) {
    qb_operator_info o = QB_OPERATOR_INFO_INIT;
    qb_model_get_operator(self->model, i, &o);
    all_ns += (double)self->times[i].time_ns;
    done += o.flops_per_sample / saving_of(self->times[i].implementation);
  }
  const double of_all =
      possible_share(1e9 * info.flops_per_sample * self->batch / all_ns / self->compute_flops_per_s,
                     done > 0 ? info.flops_per_sample / done : 1);
  printf("%s, batch %u on %s: %s a round, %s %% of the peak of %s\n\n", info.name, self->batch,
         human_configuration(configuration).s, human_time((int64_t)all_ns).s,
         isnan(of_all) ? "-" : digits(100 * of_all).s,
         human_amount(self->compute_flops_per_s, "FLOP/s").s);
  table *t = table_new(titles, sizeof titles / sizeof *titles);
  for (uint32_t i = 0; i < self->count; i++) {
    qb_operator_info o = QB_OPERATOR_INFO_INIT;
    qb_model_get_operator(self->model, i, &o);
    const double ns = (double)self->times[i].time_ns;
    if (!self->times[i].implementation)
      continue; /* another view of the same memory: no work */
    table_cell(t, "%s", o.name);
    table_cell(t, "%s", o.kind);
    table_cell(t, "%.0f", ns / 1e3);
    table_cell(t, "%.1f", 100 * ns / all_ns);
    table_cell(t, "%s", digits(o.flops_per_sample * self->batch / ns).s);
    const double share = share_of_peak(self, i, &o);
    table_cell(t, "%s", isnan(share) ? "-" : digits(100 * share).s);
    table_cell(t, "%s", bound(self, &o));
    table_cell(t, "%s", self->times[i].implementation);
  }
  table_print(t);
}

int layers_print(qb_context *context, qb_model *model, uint32_t batch, uint32_t threads,
                 bool as_json)
{
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_tensor_info in = QB_TENSOR_INFO_INIT, out = QB_TENSOR_INFO_INIT;
  qb_node_info machine = QB_NODE_INFO_INIT;
  qb_configuration configuration = {1, 1};
  qb_node *node = NULL;
  qb_session *session = NULL;
  float *input = NULL, *output = NULL;
  layers self = {.model = model, .batch = batch};
  int result = check(qb_node_detect(context, NULL, &node));
  if (result)
    return result;
  qb_node_get_info(node, &machine);
  configuration.threads = threads ? threads : machine.usable_threads;
  qb_model_get_info(model, &info);
  self.count = info.operators;
  self.times = allocate(self.count, sizeof *self.times);
  for (uint32_t i = 0; i < self.count; i++)
    self.times[i].size = sizeof *self.times;
  result = check(qb_node_get_compute(node, configuration.threads, QB_ISA_BEST, QB_PRECISION_F32,
                                     &self.compute_flops_per_s));
  if (!result)
    result = check(qb_node_get_bandwidth(node, configuration.threads, &self.bytes_per_s));
  if (!result)
    result = check(qb_session_new(model, &configuration, NULL, &session));
  if (!result)
    result = check(qb_model_get_input(model, 0, &in) || qb_model_get_output(model, 0, &out));
  if (!result) {
    const size_t count = in.elements_per_sample * batch;
    input = allocate(count, sizeof *input);
    output = allocate(out.elements_per_sample * batch, sizeof *output);
    for (size_t i = 0; i < count; i++)
      input[i] = (float)(i % 255) / 127.0f - 1.0f;
    result = measure_rounds(session, &self, input, output);
  }
  if (!result && as_json)
    print_as_json(&self, &configuration);
  else if (!result)
    print_as_text(&self, &configuration);
  free(self.times);
  free(input);
  free(output);
  qb_session_unref(session);
  qb_node_unref(node);
  return result;
}
