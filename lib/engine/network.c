/* SPDX-License-Identifier: Apache-2.0 */
/* The engine that runs a graph on oneDNN. */
#include "engine/engine.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/hooks.h"
#include "engine/lowering.h"
#include "engine/microbatch.h"
#include "engine/network_choice.h"
#include "engine/plan_check.h"
#include "engine/plan_trial.h"
#include "model/model_data.h"

#include <qosbatch/inspect.h>

#include <string.h>

/*
 * What oneDNN keeps of a primitive: code, tables, descriptions. It does not report it; this is the
 * growth of processes over the steps of both built-in networks (bench/bench_memory.c), which is 30
 * to 36 KiB, and about 80 KiB for those made of small products of matrices, which have code for each
 * size of a product.
 */
enum { PRIMITIVE_BYTES = 32 << 10, PRODUCTS_BYTES = 80 << 10 };

_Static_assert((int)QB__MOST_MICROBATCHES <= (int)QB__MOST_TRIED, "a trial has room for all");

/* Fewer samples than all have to be faster by more than trials are uncertain. */
static const double WORTH_IT = 0.97;

/* How a round of a batch size runs: in parts of equal size, and a rest. */
typedef struct parts {
  uint32_t batch;
  const qb__network_plan *part;
  const qb__network_plan *rest; /* NULL: nothing is left */
} parts;

typedef struct network_engine {
  qb__engine base;
  const qb_model *model;
  const qb_context *context;
  struct dnnl_engine *engine;
  qb__graph graph;                 /* the model's as it runs */
  qb__layer_algorithm *algorithms; /* by operator of the model, as given; NULL: to be found */
  qb__choice *choices;             /* by operator; NULL before the first batch size is ready */
  uint32_t microbatch;             /* 0: rounds are not known to be faster in parts */
  uint32_t compared;               /* larger rounds may find one */
  qb__findings findings;           /* given, and made by checks of plans */
  size_t sample_bytes;             /* of activations at the same time, in plans for few samples */
  qb__packed packed;
  qb__finite_guards guards;
  qb__network_plan **plans;
  size_t plan_count, plan_capacity;
  parts *ready;
  size_t ready_count, ready_capacity;
  uint32_t instance_count;
  qb__workspace *workspaces; /* by instance */
  qb__homes homes;
  qb__weight_copies *copies; /* by the first instance on a NUMA node; of the first node none */
} network_engine;

static qb_status make_choices(network_engine *self, struct dnnl_stream *stream)
{
  const qb__chooser chooser = {&self->graph, &self->guards, &self->findings, self->engine, stream};
  size_t arena_bytes = 0;
  const qb_status status =
      qb__network_choose(&chooser, self->algorithms, &self->choices, &self->packed, &arena_bytes);
  self->sample_bytes = arena_bytes / QB__TRIAL_BATCH;
  return status;
}

/* A plan for `batch` samples: one that is there, or a new one. */
static qb_status take_plan(network_engine *self, uint32_t batch, struct dnnl_stream *stream,
                           const qb__network_plan **plan)
{
  size_t i = 0;
  while (i < self->plan_count && self->plans[i]->batch != batch)
    i++;
  if (i == self->plan_count) {
    if (!qb__grow(self->context, &self->plans, i, &self->plan_capacity, sizeof *self->plans))
      return QB_ERROR_NO_MEMORY;
    const qb_status status =
        qb__network_plan_new(&self->graph, batch, true, &self->findings, self->choices,
                             &self->packed, self->engine, stream, &self->plans[i]);
    if (status)
      return status;
    self->plan_count++;
  }
  *plan = self->plans[i];
  return QB_OK;
}

/* Finds the fastest microbatch for larger rounds than there have been, unless one is chosen. */
static qb_status choose_microbatch(network_engine *self, uint32_t batch, struct dnnl_stream *stream)
{
  uint32_t sizes[QB__MOST_MICROBATCHES];
  const qb__network_plan *plans[QB__MOST_MICROBATCHES];
  const qb__network_bytes bytes = {(double)self->sample_bytes,
                                   qb__model_bytes_per_sample(self->model),
                                   (double)self->packed.bytes};
  const size_t count = qb__microbatch_candidates(batch, &bytes, sizes);
  if (self->microbatch || !count || sizes[count - 1] <= self->compared)
    return QB_OK;
  size_t first = 0; /* those smaller than what was the fastest of earlier ones are slower */
  while (sizes[first] < self->compared)
    first++;
  qb_status status = QB_OK;
  size_t best = 0;
  for (size_t i = first; i < count && !status; i++)
    status = take_plan(self, sizes[i], stream, &plans[i]);
  if (!status)
    status = qb__plan_trial(&self->graph, &self->guards, self->engine, plans + first, count - first,
                            WORTH_IT, &best);
  best += first;
  if (status)
    return status == QB_ERROR_NO_MEMORY ? QB_OK : status; /* it may do for rounds as they are */
  self->compared = sizes[count - 1];
  self->microbatch = best < count - 1 ? sizes[best] : 0;
  return QB_OK;
}

static const parts *find_ready(const network_engine *self, uint32_t batch)
{
  for (size_t i = 0; i < self->ready_count; i++)
    if (self->ready[i].batch == batch)
      return &self->ready[i];
  return NULL;
}

static qb_status make_ready(network_engine *self, uint32_t batch, struct dnnl_stream *stream)
{
  if (!qb__grow(self->context, &self->ready, self->ready_count, &self->ready_capacity,
                sizeof *self->ready))
    return QB_ERROR_NO_MEMORY;
  qb_status status = self->choices ? QB_OK : make_choices(self, stream);
  if (!status)
    status = choose_microbatch(self, batch, stream);
  const uint32_t part = self->microbatch && self->microbatch < batch ? self->microbatch : batch;
  parts made = {.batch = batch};
  if (!status)
    status = take_plan(self, part, stream, &made.part);
  if (!status && batch % part)
    status = take_plan(self, batch % part, stream, &made.rest);
  if (!status)
    self->ready[self->ready_count++] = made;
  return status;
}

/* Forgets the batch size made ready last, if it is `batch`, and all plans that no other one has. */
static void take_back(network_engine *self, uint32_t batch, qb__workspace *workspace)
{
  if (find_ready(self, batch))
    self->ready_count--;
  for (size_t i = self->plan_count; i-- > 0;) {
    bool used = false;
    for (size_t r = 0; r < self->ready_count; r++)
      used = used || self->ready[r].part == self->plans[i] || self->ready[r].rest == self->plans[i];
    if (used)
      continue;
    qb__workspace_forget(workspace, self->plans[i]);
    qb__network_plan_free(self->context, self->plans[i]);
    self->plans[i] = self->plans[--self->plan_count];
  }
  if (self->ready_count)
    return;
  /* Nothing runs yet, so layers may be chosen anew. */
  qb__free(self->context, self->choices);
  self->choices = NULL;
  qb__packed_clear(&self->packed);
  for (uint32_t i = 0; i < self->instance_count; i++)
    qb__weight_copies_clear(self->context, &self->copies[i]);
}

/* Binds a plan and counts what it computes wrongly. */
static qb_status bind(network_engine *self, qb__workspace *workspace, const qb__network_plan *plan,
                      size_t *wrong)
{
  *wrong = 0;
  const qb_status status = qb__workspace_bind(workspace, plan);
  return status || qb__is_checked(&self->findings, plan->batch)
             ? status
             : qb__plan_check(&self->graph, plan, workspace, &self->findings, wrong);
}

static qb_status bind_parts(network_engine *self, qb__workspace *workspace, const parts *p,
                            size_t *wrong)
{
  qb_status status = bind(self, workspace, p->part, wrong);
  if (!status && !*wrong && p->rest)
    status = bind(self, workspace, p->rest, wrong);
  if (!status && !*wrong)
    status = qb__set_checked(self->context, &self->findings, p->part->batch);
  if (!status && !*wrong && p->rest)
    status = qb__set_checked(self->context, &self->findings, p->rest->batch);
  return status;
}

/* Where an instance finds weights that are near, if not where they were packed: NULL. */
static qb__weight_copies *copies_for(const network_engine *self, uint32_t instance)
{
  const uint16_t *nodes = self->homes.nodes;
  if (!qb__weight_copies_pay(&self->homes, self->instance_count, self->packed.bytes))
    return NULL;
  uint32_t first = 0;
  while (nodes[first] != nodes[instance])
    first++;
  return first ? &self->copies[first] : NULL;
}

/* Until nothing is found any more: what is passed over once is not used again, so this ends. */
static qb_status prepare(qb__engine *engine, uint32_t instance, uint32_t batch)
{
  network_engine *self = (network_engine *)engine;
  qb__workspace *workspace = &self->workspaces[instance];
  qb_status status = qb__workspace_init(workspace, self->context, self->engine);
  if (status)
    return status;
  for (;;) {
    const size_t known = self->findings.count;
    size_t wrong = 0;
    status = find_ready(self, batch) ? QB_OK : make_ready(self, batch, workspace->stream);
    if (!status) {
      workspace->copies = copies_for(self, instance);
      status = bind_parts(self, workspace, find_ready(self, batch), &wrong);
    }
    const bool failed = status == QB_ERROR_ENGINE && self->findings.count > known;
    if (!failed && (status || !wrong))
      return status;
    take_back(self, batch, workspace);
  }
}

static qb_status run(qb__engine *engine, uint32_t instance, uint32_t batch,
                     const void *const *inputs, void *const *outputs, uint32_t *flags,
                     qb_operator_time *times)
{
  network_engine *self = (network_engine *)engine;
  const parts *p = find_ready(self, batch);
  const qb__round_data round = {&self->graph, &self->guards, inputs, outputs, flags, times};
  qb_status status = QB_OK;
  for (uint32_t first = 0; first < batch && !status;) {
    const qb__network_plan *plan = batch - first >= p->part->batch ? p->part : p->rest;
    status = qb__workspace_run(&self->workspaces[instance], plan, &round, first);
    first += plan->batch;
  }
  return status;
}

static size_t code_bytes(const qb__network_plan *plan)
{
  size_t bytes = 0;
  for (const qb__step *step = plan->steps; step < plan->steps + plan->step_count; step++)
    if (step->primitive)
      bytes += strncmp(step->implementation, "brg", 3) ? PRIMITIVE_BYTES : PRODUCTS_BYTES;
  return bytes;
}

static qb__engine_memory memory(const qb__engine *engine, uint32_t batch)
{
  const network_engine *self = (const network_engine *)engine;
  qb__engine_memory result = {.weight_bytes = self->packed.bytes};
  for (uint32_t i = 0; i < self->instance_count; i++)
    result.copy_bytes += self->copies[i].bytes;
  if (!batch) {
    for (uint32_t i = 0; i < self->instance_count; i++)
      result.instance_bytes += self->workspaces[i].arena_bytes;
    for (size_t i = 0; i < self->plan_count; i++)
      result.code_bytes += code_bytes(self->plans[i]);
    return result;
  }
  const parts *p = find_ready(self, batch);
  const size_t rest_bytes = p->rest ? p->rest->arena_bytes : 0;
  const size_t arena_bytes = rest_bytes > p->part->arena_bytes ? rest_bytes : p->part->arena_bytes;
  result.instance_bytes = (uint64_t)self->instance_count * arena_bytes;
  result.code_bytes = code_bytes(p->part) + (p->rest ? code_bytes(p->rest) : 0);
  return result;
}

static bool get_algorithms(const qb__engine *engine, qb__algorithms *algorithms)
{
  const network_engine *self = (const network_engine *)engine;
  const size_t operators = qb__model_graph(self->model)->operator_count;
  memset(algorithms->layers, 0, operators * sizeof *algorithms->layers);
  for (uint32_t i = 0; self->choices && i < self->graph.operator_count; i++)
    if (self->choices[i].algorithm)
      algorithms->layers[self->graph.operators[i].origin] = self->choices[i].algorithm;
  algorithms->microbatch = self->microbatch;
  algorithms->compared = self->compared;
  algorithms->findings = self->findings;
  return self->choices != NULL;
}

static qb_status keep_algorithms(network_engine *self, const qb__algorithms *algorithms)
{
  const size_t count = qb__model_graph(self->model)->operator_count;
  self->algorithms = qb__calloc(self->context, count, sizeof *self->algorithms);
  if (!self->algorithms)
    return QB_ERROR_NO_MEMORY;
  memcpy(self->algorithms, algorithms->layers, count * sizeof *self->algorithms);
  self->microbatch = algorithms->microbatch;
  self->compared = algorithms->compared;
  return qb__findings_copy(self->context, &algorithms->findings, &self->findings);
}

static void free_engine(qb__engine *engine)
{
  network_engine *self = (network_engine *)engine;
  for (uint32_t i = 0; self->workspaces && i < self->instance_count; i++)
    qb__workspace_clear(&self->workspaces[i]);
  for (uint32_t i = 0; self->copies && i < self->instance_count; i++)
    qb__weight_copies_clear(self->context, &self->copies[i]);
  qb__free(self->context, self->workspaces);
  qb__free(self->context, self->copies);
  for (size_t i = 0; i < self->plan_count; i++)
    qb__network_plan_free(self->context, self->plans[i]);
  qb__free(self->context, self->plans);
  qb__free(self->context, self->ready);
  qb__free(self->context, self->choices);
  qb__free(self->context, self->algorithms);
  qb__findings_clear(self->context, &self->findings);
  qb__packed_clear(&self->packed);
  qb__finite_guards_clear(self->context, &self->guards);
  qb__graph_clear(&self->graph);
  qb__onednn_stop(self->engine);
  qb__free(self->context, self);
}

qb_status qb__network_new(const qb_model *model, const qb_configuration *configuration,
                          const qb__algorithms *algorithms, const qb__homes *homes,
                          qb__engine **engine)
{
  static const qb__engine_type type = {prepare, run, memory, get_algorithms, free_engine};
  network_engine *self = qb__calloc(qb__model_context(model), 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.type = &type;
  self->model = model;
  self->context = qb__model_context(model);
  self->instance_count = configuration->instances;
  self->homes = *homes;
  qb__graph_init(&self->graph, qb__model_context(model));
  qb_status status = qb__onednn_start(&self->engine);
  qb__packed_init(&self->packed, self->context, self->engine);
  if (!status) {
    self->workspaces = qb__calloc(self->context, self->instance_count, sizeof *self->workspaces);
    self->copies = qb__calloc(self->context, self->instance_count, sizeof *self->copies);
    status = self->workspaces && self->copies ? QB_OK : QB_ERROR_NO_MEMORY;
  }
  if (!status && algorithms)
    status = keep_algorithms(self, algorithms);
  if (!status)
    status =
        qb__lower(qb__model_graph(model), configuration->precision, self->engine, &self->graph);
  if (!status)
    status = qb__finite_guards_new(&self->graph, &self->guards);
  if (status)
    free_engine(&self->base);
  else
    *engine = &self->base;
  return status;
}
