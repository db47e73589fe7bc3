/* SPDX-License-Identifier: Apache-2.0 */
/* The engine that runs a graph on oneDNN. */
#include "engine/engine.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/hooks.h"
#include "engine/finite_round.h"
#include "model/model_data.h"

#include <string.h>

/*
 * What oneDNN keeps of a primitive: code, tables, descriptions. It does not tell; this is the
 * growth of processes over the steps of both built-in networks (bench/bench_memory.c), which is 30
 * to 36 KiB.
 */
enum { PRIMITIVE_BYTES = 32768 };

/* A plan's slots as memories in the arena of one instance. */
typedef struct binding {
  struct dnnl_memory **memories; /* by slot; constants belong to the packed weights */
  struct dnnl_memory *(*arguments)[QB__ARG_COUNT]; /* by step */
} binding;

typedef struct instance_state {
  struct dnnl_stream *stream;
  void *arena;
  size_t arena_bytes;
  binding *bindings; /* by plan, as in network_engine.plans */
  size_t binding_count, binding_capacity;
} instance_state;

typedef struct network_engine {
  qb__engine base;
  const qb_model *model;
  const qb_context *context;
  struct dnnl_engine *engine;
  qb__layer_algorithm *algorithms; /* by operator, as given; NULL: to be found */
  qb__choice *choices;             /* by operator; NULL before the first batch size is ready */
  qb__packed packed;
  qb__finite_guards guards;
  qb__network_plan **plans;
  size_t plan_count, plan_capacity;
  uint32_t instance_count;
  instance_state *instances;
} network_engine;

static size_t find_plan(const network_engine *self, uint32_t batch)
{
  size_t i = 0;
  while (i < self->plan_count && self->plans[i]->batch != batch)
    i++;
  return i;
}

static void free_binding(const network_engine *self, size_t plan, binding *b)
{
  const qb__network_plan *p = self->plans[plan];
  for (size_t i = 0; b->memories && i < p->slot_count; i++)
    if (p->slots[i].kind != QB__SLOT_CONSTANT)
      qb__memory_free(b->memories[i]);
  qb__free(self->context, b->memories);
  qb__free(self->context, b->arguments);
  b->memories = NULL;
  b->arguments = NULL;
}

static qb_status bind_slot(const network_engine *self, const qb__slot *slot, char *arena,
                           struct dnnl_memory **memory)
{
  if (slot->kind == QB__SLOT_CONSTANT) {
    *memory = slot->constant;
    return QB_OK;
  }
  void *data = slot->kind == QB__SLOT_ARENA ? arena + slot->region.offset : NULL;
  return *memory ? data ? qb__memory_set(*memory, data) : QB_OK
                 : qb__memory_new(self->engine, slot->layout, data, memory);
}

static qb_status make_binding(const network_engine *self, const qb__network_plan *plan,
                              instance_state *instance, binding *b)
{
  qb_status status = QB_ERROR_NO_MEMORY;
  b->memories = qb__calloc(self->context, plan->slot_count, sizeof(struct dnnl_memory *));
  b->arguments = qb__calloc(self->context, plan->step_count, sizeof *b->arguments);
  if (!b->memories || !b->arguments)
    return status;
  status = QB_OK;
  for (size_t i = 0; i < plan->slot_count && !status; i++)
    status = bind_slot(self, &plan->slots[i], instance->arena, &b->memories[i]);
  for (size_t i = 0; i < plan->step_count && !status; i++)
    for (int a = 0; a < QB__ARG_COUNT; a++) {
      const int32_t slot = plan->steps[i].slots[a];
      b->arguments[i][a] = slot == QB__NONE ? NULL : b->memories[slot];
    }
  return status;
}

/*
 * A larger arena; what was bound to the old one moves. It is touched by the thread that will use
 * it, when the old one is gone: until then it is addresses only.
 */
static qb_status grow_arena(const network_engine *self, instance_state *instance, size_t bytes)
{
  if (bytes <= instance->arena_bytes)
    return QB_OK;
  char *arena = qb__alloc_aligned(self->context, bytes, QB__REGION_ALIGNMENT);
  if (!arena)
    return QB_ERROR_NO_MEMORY;
  qb_status status = QB_OK;
  for (size_t i = 0; i < instance->binding_count && !status; i++)
    for (size_t s = 0; s < self->plans[i]->slot_count && !status; s++)
      status =
          bind_slot(self, &self->plans[i]->slots[s], arena, &instance->bindings[i].memories[s]);
  qb__free(self->context, instance->arena);
  memset(arena, 0, bytes);
  instance->arena = arena;
  instance->arena_bytes = bytes;
  return status;
}

/*
 * The first plan is one of the batch size that layers are tried at, also where their algorithms are
 * given: weights are packed for it, whichever batch sizes come next, so that rounds do not depend
 * on that.
 */
static qb_status make_choices(network_engine *self, struct dnnl_stream *stream)
{
  const qb__graph *graph = qb__model_graph(self->model);
  qb__choice *choices = qb__calloc(self->context, graph->operator_count, sizeof *choices);
  if (!choices)
    return QB_ERROR_NO_MEMORY;
  for (uint32_t i = 0; self->algorithms && i < graph->operator_count; i++)
    choices[i].algorithm = self->algorithms[i];
  qb__network_plan *plan = NULL;
  const qb_status status = qb__network_plan_new(graph, QB__TRIAL_BATCH, false, choices,
                                                &self->packed, self->engine, stream, &plan);
  qb__network_plan_free(self->context, plan);
  if (status)
    qb__free(self->context, choices);
  else
    self->choices = choices;
  return status;
}

static qb_status make_plan(network_engine *self, uint32_t batch, struct dnnl_stream *stream,
                           qb__network_plan **plan)
{
  const qb_status status = self->choices ? QB_OK : make_choices(self, stream);
  return status ? status
                : qb__network_plan_new(qb__model_graph(self->model), batch, true, self->choices,
                                       &self->packed, self->engine, stream, plan);
}

static qb_status prepare(qb__engine *engine, uint32_t instance, uint32_t batch)
{
  network_engine *self = (network_engine *)engine;
  instance_state *state = &self->instances[instance];
  qb_status status = QB_OK;
  if (!state->stream)
    status = qb__stream_new(self->engine, &state->stream);
  const size_t index = find_plan(self, batch);
  if (!status && index == self->plan_count) {
    if (!qb__grow(self->context, &self->plans, self->plan_count, &self->plan_capacity,
                  sizeof(qb__network_plan *)))
      return QB_ERROR_NO_MEMORY;
    status = make_plan(self, batch, state->stream, &self->plans[index]);
    if (!status)
      self->plan_count++;
  }
  if (status || index < state->binding_count)
    return status;
  /* Plans that an earlier failure left without a binding are bound now, to keep the order. */
  for (size_t i = state->binding_count; i <= index && !status; i++) {
    if (!qb__grow(self->context, &state->bindings, i, &state->binding_capacity, sizeof(binding)))
      return QB_ERROR_NO_MEMORY;
    status = grow_arena(self, state, self->plans[i]->arena_bytes);
    if (!status)
      status = make_binding(self, self->plans[i], state, &state->bindings[i]);
    if (status)
      free_binding(self, i, &state->bindings[i]);
    else
      state->binding_count++;
  }
  return status;
}

static qb_status run_step(const qb__step *step, struct dnnl_stream *stream,
                          struct dnnl_memory *const arguments[QB__ARG_COUNT])
{
  if (step->primitive)
    return qb__execute(step->primitive, stream, arguments);
  float *data[QB__ARG_COUNT];
  for (int a = 0; a < QB__ARG_COUNT; a++)
    data[a] = qb__memory_data(arguments[a]);
  step->kernel->run(step->kernel, data);
  return QB_OK;
}

/* Binds the caller's memory and returns the step arguments, NULL after a failure. */
static struct dnnl_memory *(*begin_round(const network_engine *self, size_t index,
                                         instance_state *state, const void *const *inputs,
                                         void *const *outputs))[QB__ARG_COUNT]
{
  const qb__network_plan *plan = self->plans[index];
  binding *b = &state->bindings[index];
  for (size_t i = 0; i < plan->slot_count; i++) {
    qb_status status = QB_OK;
    if (plan->slots[i].kind == QB__SLOT_INPUT)
      status = qb__memory_set(b->memories[i], (void *)(uintptr_t)inputs[plan->slots[i].port]);
    else if (plan->slots[i].kind == QB__SLOT_OUTPUT)
      status = qb__memory_set(b->memories[i], outputs[plan->slots[i].port]);
    if (status)
      return NULL;
  }
  return b->arguments;
}

static qb_status run(qb__engine *engine, uint32_t instance, uint32_t batch,
                     const void *const *inputs, void *const *outputs, uint32_t *flags,
                     qb_operator_time *times)
{
  network_engine *self = (network_engine *)engine;
  const size_t index = find_plan(self, batch);
  instance_state *state = &self->instances[instance];
  struct dnnl_memory *(*arguments)[QB__ARG_COUNT] =
      begin_round(self, index, state, inputs, outputs);
  if (!arguments)
    return QB_ERROR_ENGINE;
  const qb__network_plan *plan = self->plans[index];
  int64_t before_ns = times ? qb__now_ns(self->context) : 0;
  qb__finite_round values;
  qb__finite_begin(&values, qb__model_graph(self->model), &self->guards, plan,
                   state->bindings[index].memories);
  qb_status status = QB_OK;
  for (size_t i = 0; i < plan->step_count && !status; i++) {
    const qb__step *step = &plan->steps[i];
    status = qb__finite_look(&values, i);
    if (!status)
      status = run_step(step, state->stream, arguments[i]);
    if (status)
      status = qb__fail_within(status, "operator '%s' at batch %u",
                               qb__model_graph(self->model)->operators[step->op].name, batch);
    if (times) {
      const int64_t now_ns = qb__now_ns(self->context);
      times[step->op].time_ns += now_ns - before_ns;
      /* An operator's own primitive comes behind the changes of layout it needs. */
      times[step->op].implementation = step->implementation;
      before_ns = now_ns;
    }
  }
  if (!status)
    status = qb__finite_look(&values, plan->step_count);
  qb__finite_end(&values, !status, outputs, flags);
  return status;
}

static size_t primitives_of(const qb__network_plan *plan)
{
  size_t count = 0;
  for (size_t i = 0; i < plan->step_count; i++)
    count += plan->steps[i].primitive != NULL;
  return count;
}

static qb__engine_memory memory(const qb__engine *engine, uint32_t batch)
{
  const network_engine *self = (const network_engine *)engine;
  qb__engine_memory result = {self->packed.bytes, 0, 0};
  const qb__network_plan *only = batch ? self->plans[find_plan(self, batch)] : NULL;
  for (uint32_t i = 0; i < self->instance_count; i++)
    result.instance_bytes += only ? only->arena_bytes : self->instances[i].arena_bytes;
  for (size_t i = 0; i < self->plan_count; i++)
    if (!only || self->plans[i] == only)
      result.code_bytes += primitives_of(self->plans[i]) * PRIMITIVE_BYTES;
  return result;
}

static bool get_algorithms(const qb__engine *engine, qb__layer_algorithm *algorithms)
{
  const network_engine *self = (const network_engine *)engine;
  for (uint32_t i = 0; self->choices && i < qb__model_graph(self->model)->operator_count; i++)
    algorithms[i] = self->choices[i].algorithm;
  return self->choices != NULL;
}

static qb_status keep_algorithms(network_engine *self, const qb__layer_algorithm *algorithms)
{
  const size_t count = qb__model_graph(self->model)->operator_count;
  self->algorithms = qb__calloc(self->context, count, sizeof *algorithms);
  if (!self->algorithms)
    return QB_ERROR_NO_MEMORY;
  memcpy(self->algorithms, algorithms, count * sizeof *algorithms);
  return QB_OK;
}

static void free_engine(qb__engine *engine)
{
  network_engine *self = (network_engine *)engine;
  for (uint32_t i = 0; self->instances && i < self->instance_count; i++) {
    instance_state *state = &self->instances[i];
    for (size_t b = 0; b < state->binding_count; b++)
      free_binding(self, b, &state->bindings[b]);
    qb__free(self->context, state->bindings);
    qb__free(self->context, state->arena);
    qb__stream_free(state->stream);
  }
  qb__free(self->context, self->instances);
  for (size_t i = 0; i < self->plan_count; i++)
    qb__network_plan_free(self->context, self->plans[i]);
  qb__free(self->context, self->plans);
  qb__free(self->context, self->choices);
  qb__free(self->context, self->algorithms);
  qb__packed_clear(&self->packed);
  qb__finite_guards_clear(self->context, &self->guards);
  qb__onednn_stop(self->engine);
  qb__free(self->context, self);
}

qb_status qb__network_new(const qb_model *model, const qb_configuration *configuration,
                          const qb__layer_algorithm *algorithms, qb__engine **engine)
{
  static const qb__engine_type type = {prepare, run, memory, get_algorithms, free_engine};
  network_engine *self = qb__calloc(qb__model_context(model), 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.type = &type;
  self->model = model;
  self->context = qb__model_context(model);
  self->instance_count = configuration->instances;
  qb_status status = qb__onednn_start(&self->engine);
  qb__packed_init(&self->packed, self->context, self->engine);
  if (!status) {
    self->instances = qb__calloc(self->context, self->instance_count, sizeof *self->instances);
    status = self->instances ? QB_OK : QB_ERROR_NO_MEMORY;
  }
  if (!status && algorithms)
    status = keep_algorithms(self, algorithms);
  if (!status)
    status = qb__finite_guards_new(qb__model_graph(model), &self->guards);
  if (status)
    free_engine(&self->base);
  else
    *engine = &self->base;
  return status;
}
