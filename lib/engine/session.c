/* SPDX-License-Identifier: Apache-2.0 */
#include "core/alloc.h"
#include "core/error.h"
#include "core/hooks.h"
#include "core/refcount.h"
#include "core/structs.h"
#include "engine/session_profiling.h"
#include "model/configuration.h"
#include "model/model_data.h"
#include "node/usable_threads.h"

#include <qosbatch/inspect.h>

#include <pthread.h>

struct qb_session {
  qb__refcount references;
  qb_context *context;
  qb_model *model;
  qb_configuration configuration;
  uint32_t pinned_threads;
  bool as_profiled;
  qb__instances *instances;
  qb__engine *engine;
  pthread_mutex_t ready_lock;
  uint32_t *ready; /* batch sizes that are ready on every instance */
  size_t ready_count, ready_capacity;
};

static qb_status usable_threads(const qb_context *context, uint32_t reserve_cores,
                                uint32_t *threads)
{
  qb__topology *topology = qb__calloc(context, 1, sizeof *topology);
  if (!topology)
    return QB_ERROR_NO_MEMORY;
  qb__cgroup_limits limits;
  qb_status status = qb__topology_read(topology);
  if (!status)
    status = qb__cgroup_read(context, "", &limits);
  if (!status) {
    const uint32_t left = qb__usable_threads(topology, &limits, reserve_cores);
    *threads = left ? left : 1;
  }
  qb__free(context, topology);
  return status;
}

static void free_session(qb_session *session)
{
  qb_context *context = session->context;
  qb__instances_stop(session->instances);
  if (session->engine)
    session->engine->type->free(session->engine);
  pthread_mutex_destroy(&session->ready_lock);
  qb__free(context, session->ready);
  qb_model_unref(session->model);
  qb__free(context, session);
  qb_context_unref(context);
}

qb_status qb__session_choose_configuration(const qb_model *model, const qb_configuration *asked,
                                           uint32_t reserve_cores, qb_configuration *configuration)
{
  if (!asked) {
    *configuration = (qb_configuration){1, 1};
    return usable_threads(qb__model_context(model), reserve_cores, &configuration->threads);
  }
  const qb_status status = qb__configuration_check(asked);
  if (status)
    return status;
  if (asked->instances > QB__MOST_CORES || asked->threads > QB__MOST_CORES)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%u instances of %u threads: both must be 1..%d",
                    asked->instances, asked->threads, QB__MOST_CORES);
  *configuration = *asked;
  return QB_OK;
}

qb_status qb__session_new(qb_model *model, const qb_configuration *configuration,
                          const qb__algorithms *algorithms, const qb_node *node,
                          qb_session **session)
{
  qb_session *self = qb__calloc(qb__model_context(model), 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  qb__refcount_init(&self->references);
  self->context = qb_context_ref(qb__model_context(model));
  self->model = qb_model_ref(qb__model_in(model, configuration->precision));
  self->configuration = *configuration;
  self->as_profiled = algorithms != NULL;
  pthread_mutex_init(&self->ready_lock, NULL);
  qb_status status =
      qb__instances_start(self->context, configuration, node, qb__model_is_workload(model),
                          &self->instances, &self->pinned_threads);
  if (!status)
    status = qb__engine_new(self->model, &self->configuration, algorithms,
                            qb__instances_homes(self->instances), &self->engine);
  if (status)
    free_session(self);
  else
    *session = self;
  return status;
}

qb_context *qb__session_context(const qb_session *session)
{
  return session->context;
}

const qb_model *qb__session_model(const qb_session *session)
{
  return session->model;
}

const qb_configuration *qb__session_configuration(const qb_session *session)
{
  return &session->configuration;
}

qb_status qb__session_run_task(qb_session *session, qb__task task, void *argument)
{
  return qb__instances_run_all(session->instances, true, task, argument);
}

qb_status qb__session_run_round(const qb_session *session, uint32_t instance, uint32_t batch,
                                const void *const *inputs, void *const *outputs,
                                qb_operator_time *times)
{
  return session->engine->type->run(session->engine, instance, batch, inputs, outputs, NULL, times);
}

bool qb__session_get_algorithms(const qb_session *session, qb__algorithms *algorithms)
{
  const qb__engine *engine = session->engine;
  return engine->type->get_algorithms && engine->type->get_algorithms(engine, algorithms);
}

typedef struct round_task {
  qb_session *session;
  uint32_t batch;
  const void *const *inputs;
  void *const *outputs;
  uint32_t *flags;
  qb_operator_time *times;
} round_task;

static qb_status run_task(void *argument, uint32_t instance)
{
  const round_task *task = argument;
  qb__engine *engine = task->session->engine;
  return engine->type->run(engine, instance, task->batch, task->inputs, task->outputs, task->flags,
                           task->times);
}

static bool is_ready(qb_session *session, uint32_t batch)
{
  pthread_mutex_lock(&session->ready_lock);
  size_t i = 0;
  while (i < session->ready_count && session->ready[i] != batch)
    i++;
  const bool found = i < session->ready_count;
  pthread_mutex_unlock(&session->ready_lock);
  return found;
}

static qb_status set_ready(qb_session *session, uint32_t batch)
{
  pthread_mutex_lock(&session->ready_lock);
  const bool room = qb__grow(session->context, &session->ready, session->ready_count,
                             &session->ready_capacity, sizeof *session->ready);
  if (room)
    session->ready[session->ready_count++] = batch;
  pthread_mutex_unlock(&session->ready_lock);
  return room ? QB_OK : QB_ERROR_NO_MEMORY;
}

/* Runs on one instance after the other, so the last one makes the batch size ready. */
static qb_status prepare_task(void *argument, uint32_t instance)
{
  const round_task *task = argument;
  qb_session *session = task->session;
  if (is_ready(session, task->batch)) /* another caller was first */
    return QB_OK;
  const qb_status status = session->engine->type->prepare(session->engine, instance, task->batch);
  return !status && instance + 1 == session->configuration.instances
             ? set_ready(session, task->batch)
             : status;
}

static qb_status check_batch(const qb_session *session, uint32_t batch)
{
  if (!session)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "session is NULL");
  if (batch < 1 || batch > QB_MAX_BATCH)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "batch %u is outside 1..%u", batch, QB_MAX_BATCH);
  return QB_OK;
}

qb_status qb_session_prepare(qb_session *session, uint32_t batch, int64_t *prepare_ns)
{
  qb_status status = check_batch(session, batch);
  if (status)
    return status;
  int64_t elapsed_ns = 0;
  if (!is_ready(session, batch)) {
    const int64_t start_ns = qb__now_ns(session->context);
    round_task task = {.session = session, .batch = batch};
    status = qb__instances_run_all(session->instances, false, prepare_task, &task);
    elapsed_ns = qb__now_ns(session->context) - start_ns;
  }
  if (!status && prepare_ns)
    *prepare_ns = elapsed_ns;
  return status;
}

static qb_status check_tensors(const qb_session *session, const void *const *inputs,
                               void *const *outputs)
{
  const qb_model_info *info = qb__model_info(session->model);
  bool complete = qb__model_is_workload(session->model) || (inputs && outputs);
  for (uint32_t i = 0; complete && i < info->inputs; i++)
    complete = inputs[i] != NULL;
  for (uint32_t i = 0; complete && i < info->outputs; i++)
    complete = outputs[i] != NULL;
  return complete ? QB_OK
                  : qb__fail(QB_ERROR_INVALID_ARGUMENT,
                             "model '%s' needs memory for each of its %u inputs and %u outputs; "
                             "pass them all",
                             info->name, info->inputs, info->outputs);
}

static qb_status run_round(qb_session *session, uint32_t batch, const void *const *inputs,
                           void *const *outputs, uint32_t *flags, qb_operator_time *times)
{
  qb_status status = check_batch(session, batch);
  if (status)
    return status;
  status = check_tensors(session, inputs, outputs);
  if (status)
    return status;
  if (!is_ready(session, batch))
    status = qb_session_prepare(session, batch, NULL);
  round_task task = {session, batch, inputs, outputs, flags, times};
  return status ? status : qb__instances_run(session->instances, run_task, &task);
}

qb_status qb_session_run(qb_session *session, uint32_t batch, const void *const *inputs,
                         void *const *outputs, uint32_t *flags)
{
  if (!session)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "session is NULL");
  if (flags && qb__model_is_workload(session->model))
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "'%s' is a workload, whose values the library does not see; pass no flags and "
                    "check them in its callback",
                    qb__model_info(session->model)->name);
  return run_round(session, batch, inputs, outputs, flags, NULL);
}

qb_status qb_session_run_timed(qb_session *session, uint32_t batch, const void *const *inputs,
                               void *const *outputs, qb_operator_time *times, size_t count)
{
  if (!session || !times)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", session ? "times" : "session");
  const uint32_t operators = qb__model_info(session->model)->operators;
  if (qb__model_is_workload(session->model))
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "'%s' is a workload and has no operators to time; pass a network",
                    qb__model_info(session->model)->name);
  if (count != operators)
    return qb__fail(
        QB_ERROR_INVALID_ARGUMENT,
        "times has %zu elements, but '%s' has %u operators; pass one element per operator", count,
        qb__model_info(session->model)->name, operators);
  qb_operator_time *measured = qb__calloc(session->context, count, sizeof *measured);
  if (!measured)
    return QB_ERROR_NO_MEMORY;
  qb_status status = QB__STRUCTS_CHECK(qb_operator_time, times, count);
  if (!status)
    status = run_round(session, batch, inputs, outputs, NULL, measured);
  for (size_t i = 0; i < count && !status; i++)
    QB__STRUCT_OUT_AT(qb_operator_time, times, i, &measured[i]);
  qb__free(session->context, measured);
  return status;
}

typedef struct memory_question {
  const qb_session *session;
  uint32_t batch;
  qb__engine_memory answer;
} memory_question;

/* The engine's memory changes in prepare only, which nothing overlaps in here. */
static qb_status memory_task(void *argument, uint32_t instance)
{
  memory_question *q = argument;
  if (instance == 0)
    q->answer = q->session->engine->type->memory(q->session->engine, q->batch);
  return QB_OK;
}

qb_status qb__session_memory(qb_session *session, uint32_t batch, qb__engine_memory *memory)
{
  memory_question q = {.session = session, .batch = batch};
  const qb_status status = qb__instances_run_all(session->instances, false, memory_task, &q);
  *memory = q.answer;
  return status;
}

qb_status qb_session_get_info(qb_session *session, qb_session_info *info)
{
  if (!session)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "session is NULL");
  qb_status status = QB__STRUCT_CHECK_OUT(qb_session_info, info);
  if (status)
    return status;
  qb__engine_memory memory;
  status = qb__session_memory(session, 0, &memory);
  if (status)
    return status;
  pthread_mutex_lock(&session->ready_lock);
  const uint32_t ready = (uint32_t)session->ready_count;
  pthread_mutex_unlock(&session->ready_lock);
  const qb_session_info found = {.size = sizeof found,
                                 .configuration = session->configuration,
                                 .pinned_threads = session->pinned_threads,
                                 .ready_batches = ready,
                                 .weight_bytes = memory.weight_bytes + memory.copy_bytes,
                                 .arena_bytes = memory.instance_bytes,
                                 .code_bytes = memory.code_bytes,
                                 .as_profiled = session->as_profiled};
  QB__STRUCT_OUT(qb_session_info, info, &found);
  return QB_OK;
}

qb_session *qb_session_ref(qb_session *session)
{
  if (session)
    qb__refcount_take(&session->references);
  return session;
}

void qb_session_unref(qb_session *session)
{
  if (session && qb__refcount_drop(&session->references))
    free_session(session);
}
