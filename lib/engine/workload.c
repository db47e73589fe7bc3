/* SPDX-License-Identifier: Apache-2.0 */
/* An engine that calls the host's own. */
#include "core/alloc.h"
#include "core/error.h"
#include "engine/engine.h"
#include "model/model_data.h"

#include <qosbatch/inspect.h>

typedef struct workload_engine {
  qb__engine base;
  const qb_model *model;
  const qb_configuration *configuration;
  uint32_t largest_batch;
} workload_engine;

static qb_status prepare(qb__engine *engine, uint32_t instance, uint32_t batch)
{
  workload_engine *self = (workload_engine *)engine;
  const qb_workload *w = qb__model_workload(self->model);
  const int code = w->prepare ? w->prepare(w->user, self->configuration, instance, batch) : 0;
  if (code)
    return qb__fail(QB_ERROR_ENGINE,
                    "workload '%s': prepare returned %d for batch %u on instance %u", w->name, code,
                    batch, instance);
  if (batch > self->largest_batch)
    self->largest_batch = batch;
  return QB_OK;
}

static qb_status run(qb__engine *engine, uint32_t instance, uint32_t batch,
                     const void *const *inputs, void *const *outputs, uint32_t *flags,
                     qb_operator_time *times)
{
  (void)flags; /* nobody sees inside */
  (void)times;
  const workload_engine *self = (workload_engine *)engine;
  const qb_workload *w = qb__model_workload(self->model);
  const int code = w->run(w->user, instance, batch, inputs, outputs);
  return code ? qb__fail(QB_ERROR_ENGINE,
                         "workload '%s': run returned %d for batch %u on instance %u", w->name,
                         code, batch, instance)
              : QB_OK;
}

static qb__engine_memory memory(const qb__engine *engine, uint32_t batch)
{
  const workload_engine *self = (const workload_engine *)engine;
  const qb_workload *w = qb__model_workload(self->model);
  const qb__engine_memory result = {
      .weight_bytes = w->weight_bytes,
      .instance_bytes =
          self->configuration->instances *
          (w->instance_bytes + w->instance_sample_bytes * (batch ? batch : self->largest_batch))};
  return result;
}

static void free_engine(qb__engine *engine)
{
  qb__free(qb__model_context(((workload_engine *)engine)->model), engine);
}

qb_status qb__workload_new(const qb_model *model, const qb_configuration *configuration,
                           qb__engine **engine)
{
  static const qb__engine_type type = {prepare, run, memory, NULL, free_engine};
  workload_engine *self = qb__calloc(qb__model_context(model), 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.type = &type;
  self->model = model;
  self->configuration = configuration;
  *engine = &self->base;
  return QB_OK;
}
