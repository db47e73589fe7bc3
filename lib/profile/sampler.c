/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/sampler.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/hooks.h"
#include "engine/session_profiling.h"
#include "model/builtin.h"
#include "model/model_data.h"

#include <qosbatch/inspect.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

/* Long against the clock and an interrupt, short against a round. */
enum { YARDSTICK_US = 150 };

struct qb__sampler {
  qb_session *session;
  const qb_context *context; /* the session's */
  uint32_t instances;
  uint32_t input_count, output_count;
  float **inputs;  /* read by all instances */
  float **outputs; /* by instance and output */
  size_t parts;
  qb_operator_time *times; /* by instance, then part; NULL: parts are not told apart */
  int64_t *round_ns;
  int64_t *part_ns; /* by round, then part */
  double *flops;    /* by instance, before its rounds and after them */
  uint32_t last_batch;
};

typedef struct visit_task {
  qb__sampler *sampler;
  uint32_t batch, rounds, warm_up_batch; /* 0: it is warm */
  pthread_barrier_t start;
  atomic_uint timed;  /* instances that have been timed */
  atomic_bool failed; /* one has failed: the others need not wait for it */
} visit_task;

/* The slowest thread's FLOP/s; 0 when the context's clock is not the machine's and stands still. */
static double yardstick(const qb__sampler *sampler)
{
  const int64_t before_ns = qb__now_ns(sampler->context);
  const uint32_t threads = qb__session_configuration(sampler->session)->threads;
  const double flops = qb__instance_yardstick(threads, YARDSTICK_US);
  return qb__now_ns(sampler->context) > before_ns ? flops : 0;
}

static qb_status run_round(const visit_task *task, uint32_t instance, uint32_t batch,
                           qb_operator_time *times)
{
  const qb__sampler *s = task->sampler;
  float **outputs = s->outputs ? s->outputs + (size_t)instance * s->output_count : NULL;
  return qb__session_run_round(s->session, instance, batch, (const void *const *)s->inputs,
                               (void *const *)outputs, times);
}

/* What the operators do not account for, or all of the round if there are none, is the first's. */
static qb_status time_round(const visit_task *task, uint32_t instance, uint32_t round)
{
  const qb__sampler *sampler = task->sampler;
  const qb_context *context = sampler->context;
  const size_t index = (size_t)instance * task->rounds + round;
  qb_operator_time *times =
      sampler->times ? sampler->times + (size_t)instance * sampler->parts : NULL;
  for (size_t p = 0; times && p < sampler->parts; p++)
    times[p].time_ns = 0;
  const int64_t start_ns = qb__now_ns(context);
  const qb_status status = run_round(task, instance, task->batch, times);
  const int64_t round_ns = qb__now_ns(context) - start_ns;
  int64_t *part_ns = sampler->part_ns + index * sampler->parts;
  part_ns[0] = round_ns;
  for (size_t p = 1; p < sampler->parts; p++) {
    part_ns[p] = times[p].time_ns;
    part_ns[0] -= part_ns[p];
  }
  sampler->round_ns[index] = round_ns;
  return status;
}

static qb_status visit_instance(void *argument, uint32_t instance)
{
  visit_task *task = argument;
  qb__sampler *sampler = task->sampler;
  qb_status status = QB_OK;
  if (task->warm_up_batch)
    status = run_round(task, instance, task->warm_up_batch, NULL);

  pthread_barrier_wait(&task->start);
  double *flops = &sampler->flops[2 * instance];
  flops[0] = yardstick(sampler);
  pthread_barrier_wait(&task->start);
  for (uint32_t i = 0; i < task->rounds && !status; i++)
    status = time_round(task, instance, i);
  if (status)
    atomic_store(&task->failed, true);
  atomic_fetch_add(&task->timed, 1);
  while (!status && !atomic_load(&task->failed) && atomic_load(&task->timed) < sampler->instances)
    status = run_round(task, instance, task->batch, NULL);
  flops[1] = yardstick(sampler);
  return status;
}

qb_status qb__sampler_visit(qb__sampler *sampler, uint32_t batch, uint32_t rounds,
                            uint32_t warm_up_batch, qb__visit *visit)
{
  visit_task task = {.sampler = sampler,
                     .batch = batch,
                     .rounds = rounds,
                     .warm_up_batch = batch == sampler->last_batch ? 0 : warm_up_batch};
  sampler->last_batch = batch;
  atomic_init(&task.timed, 0);
  atomic_init(&task.failed, false);
  if (pthread_barrier_init(&task.start, NULL, sampler->instances))
    return qb__fail(QB_ERROR_SYSTEM, "cannot make a barrier for %u threads", sampler->instances);
  const qb_status status = qb__session_run_task(sampler->session, visit_instance, &task);
  pthread_barrier_destroy(&task.start);
  if (status)
    return status;
  visit->count = (size_t)rounds * sampler->instances;
  visit->round_ns = sampler->round_ns;
  visit->parts = sampler->parts;
  visit->part_ns = sampler->part_ns;
  visit->flops = visit->most_flops = sampler->flops[0];
  for (size_t i = 1; i < 2 * (size_t)sampler->instances; i++) {
    visit->flops = fmin(visit->flops, sampler->flops[i]);
    visit->most_flops = fmax(visit->most_flops, sampler->flops[i]);
  }
  return QB_OK;
}

static qb_status take_tensors(qb__sampler *sampler, uint32_t largest_batch)
{
  const qb_context *context = sampler->context;
  const qb_model *network = qb__session_model(sampler->session);
  const qb_model_info *model = qb__model_info(network);
  qb_tensor_info tensor = QB_TENSOR_INFO_INIT;
  qb_status status = QB_OK;
  sampler->input_count = model->inputs;
  sampler->output_count = model->outputs;
  const size_t outputs = (size_t)model->outputs * sampler->instances;
  sampler->inputs = qb__calloc(context, model->inputs, sizeof *sampler->inputs);
  sampler->outputs = qb__calloc(context, outputs, sizeof *sampler->outputs);
  if (!sampler->inputs || !sampler->outputs)
    return QB_ERROR_NO_MEMORY;
  for (uint32_t i = 0; i < model->inputs && !status; i++) {
    status = qb_model_get_input(network, i, &tensor);
    const size_t count = status ? 0 : tensor.elements_per_sample * largest_batch;
    sampler->inputs[i] = status ? NULL : qb__calloc(context, count, sizeof(float));
    if (!sampler->inputs[i])
      return status ? status : QB_ERROR_NO_MEMORY;
    qb__fill_values(sampler->inputs[i], count, 1 + i, 0, 1);
  }
  for (size_t i = 0; i < outputs && !status; i++) {
    status = qb_model_get_output(network, (uint32_t)(i % model->outputs), &tensor);
    sampler->outputs[i] =
        status ? NULL
               : qb__calloc(context, tensor.elements_per_sample * largest_batch, sizeof(float));
    if (!sampler->outputs[i])
      return status ? status : QB_ERROR_NO_MEMORY;
  }
  return status;
}

qb_status qb__sampler_new(qb_session *session, uint32_t largest_batch, qb__sampler **sampler)
{
  const qb_context *context = qb__session_context(session);
  const qb_model *model = qb__session_model(session);
  const bool is_network = !qb__model_is_workload(model);
  qb__sampler *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->session = qb_session_ref(session);
  self->context = context;
  self->instances = qb__session_configuration(session)->instances;
  self->flops = qb__calloc(context, 2 * (size_t)self->instances, sizeof *self->flops);
  self->parts = is_network ? qb__model_graph(model)->operator_count : 1;
  const size_t rounds = (size_t)self->instances * QB__MOST_ROUNDS;
  self->round_ns = qb__calloc(context, rounds, sizeof *self->round_ns);
  self->part_ns = qb__calloc(context, rounds, self->parts * sizeof *self->part_ns);
  if (is_network)
    self->times = qb__calloc(context, self->instances, self->parts * sizeof *self->times);
  qb_status status = self->flops && self->round_ns && self->part_ns && (self->times || !is_network)
                         ? QB_OK
                         : QB_ERROR_NO_MEMORY;
  if (!status && is_network)
    status = take_tensors(self, largest_batch);
  if (status)
    qb__sampler_free(self);
  else
    *sampler = self;
  return status;
}

void qb__sampler_free(qb__sampler *sampler)
{
  if (!sampler)
    return;
  qb_session *session = sampler->session;
  const qb_context *context = sampler->context;
  for (size_t i = 0; sampler->outputs && i < (size_t)sampler->instances * sampler->output_count;
       i++)
    qb__free(context, sampler->outputs[i]);
  for (size_t i = 0; sampler->inputs && i < sampler->input_count; i++)
    qb__free(context, sampler->inputs[i]);
  qb__free(context, sampler->outputs);
  qb__free(context, sampler->inputs);
  qb__free(context, sampler->flops);
  qb__free(context, sampler->part_ns);
  qb__free(context, sampler->times);
  qb__free(context, sampler->round_ns);
  qb__free(context, sampler);
  qb_session_unref(session);
}
