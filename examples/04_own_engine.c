/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A template for an engine of your own: profile any blocking function, estimate it, plan with it.
 * Put your engine where this one multiplies a matrix by `batch` vectors; needs no oneDNN.
 *
 * usage: 04_own_engine [PROFILE_SECONDS]
 */
#define _POSIX_C_SOURCE 200809L

#include "common.h"

enum { SIZE = 512, MOST_INSTANCES = 64 };

typedef struct engine {
  float *weights;                   /* SIZE x SIZE, shared by all instances */
  float *data[MOST_INSTANCES];      /* by instance: inputs, then outputs of the largest batch */
  uint32_t largest[MOST_INSTANCES]; /* batch that `data` has room for */
} engine;

/*
 * Called on the instance's own thread. An engine starts its `configuration->threads` threads here.
 */
static int prepare(void *user, const qb_configuration *configuration, uint32_t instance,
                   uint32_t batch)
{
  engine *self = user;
  (void)configuration; /* this one runs on the calling thread alone */
  if (instance >= MOST_INSTANCES)
    return 1;
  if (batch <= self->largest[instance])
    return 0;
  float *data = realloc(self->data[instance], (size_t)batch * 2 * SIZE * sizeof *data);
  if (!data)
    return 1; /* anything but 0 fails the call with QB_ERROR_ENGINE */
  for (size_t i = 0; i < (size_t)batch * 2 * SIZE; i++)
    data[i] = (float)(i % 17) / 17.0f; /* touched, and no denormals: both would spoil timings */
  self->data[instance] = data;
  self->largest[instance] = batch;
  return 0;
}

/* One round. A real service passes its own data; while profiling there are none. */
static int run(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
               void *const *outputs)
{
  const engine *self = user;
  const float *x = inputs ? inputs[0] : self->data[instance];
  float *y = outputs ? outputs[0] : self->data[instance] + (size_t)batch * SIZE;
  for (size_t row = 0; row < SIZE; row++)
    for (uint32_t b = 0; b < batch; b++) {
      float sum = 0;
      for (size_t k = 0; k < SIZE; k++)
        sum += self->weights[row * SIZE + k] * x[b * SIZE + k];
      y[b * SIZE + row] = sum;
    }
  return 0;
}

int main(int argc, char **argv)
{
  engine own = {.weights = calloc((size_t)SIZE * SIZE, sizeof(float))};
  require_that(own.weights, "allocate weights");
  for (size_t i = 0; i < (size_t)SIZE * SIZE; i++)
    own.weights[i] = (float)(i % 13) / 13.0f - 0.5f;

  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = "matrix";
  workload.user = &own;
  workload.prepare = prepare;
  workload.run = run;
  /* What is known makes densities and transfers to other nodes possible; 0 where it is not. */
  workload.flops_per_sample = 2.0 * SIZE * SIZE;
  workload.bytes_per_sample = 2.0 * SIZE * sizeof(float);
  workload.weight_bytes = (uint64_t)SIZE * SIZE * sizeof(float);
  workload.instance_sample_bytes = 2 * SIZE * sizeof(float);

  qb_context *context;
  qb_model *model;
  qb_node *node;
  qb_profile *profile;
  require(qb_context_new(NULL, &context), "make a context");
  require(qb_model_from_workload(context, &workload, &model), "make a model of the engine");
  require(qb_node_detect(context, NULL, &node), "detect the node");

  const qb_configuration one_thread = {1, 1}; /* what this engine can use */
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.configurations = &one_thread;
  params.configuration_count = 1;
  params.max_batch = 16;
  params.time_budget_ns = (int64_t)((argc > 1 ? strtod(argv[1], NULL) : 5) * 1e9);
  require(qb_profile_run(model, node, &params, NULL, NULL, &profile), "profile the engine");

  static const uint32_t batches[] = {1, 5, 16};
  for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    require(qb_estimate(profile, NULL, batches[i], NULL, &e), "estimate a round");
    printf("batch %2u: %.3f ms (95 %%: %.3f to %.3f, %s), density %.2f\n", e.batch,
           (double)e.latency_ns / 1e6, (double)e.low_ns / 1e6, (double)e.high_ns / 1e6,
           qb_source_name(e.source), e.density);
  }
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  qb_job job = QB_JOB_INIT;
  job.samples = 100000;
  require(qb_plan_job(&profile, 1, &job, NULL, &plan, NULL), "plan a job");
  printf("100,000 samples: rounds of %u, %.2f s\n", plan.batch, (double)plan.total_ns / 1e9);

  qb_profile_unref(profile);
  qb_node_unref(node);
  qb_model_unref(model);
  qb_context_unref(context);
  for (int i = 0; i < MOST_INSTANCES; i++)
    free(own.data[i]);
  free(own.weights);
  return 0;
}
