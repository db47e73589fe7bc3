/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A template around ONNX Runtime's C API: its rounds are profiled, estimated and planned like those
 * of the built-in engine. For networks with one input and one output of 32-bit floats.
 *
 * usage: 05_onnxruntime MODEL.onnx [PROFILE_SECONDS]
 */
#define _POSIX_C_SOURCE 200809L

#include "common.h"

#include <onnxruntime_c_api.h>

enum { MOST_INSTANCES = 64, MOST_DIMS = 8 };

/* One session an instance: its threads are its own, and stay on the cores of the instance. */
typedef struct engine {
  const OrtApi *ort;
  OrtEnv *env;
  const char *path;
  OrtSession *sessions[MOST_INSTANCES];
  uint32_t threads[MOST_INSTANCES]; /* that they were made for */
  float *samples[MOST_INSTANCES];   /* inputs while profiling */
  uint32_t largest[MOST_INSTANCES];
  OrtMemoryInfo *memory;
  char *input_name, *output_name;
  int64_t dims[MOST_DIMS]; /* of the input, the batch first */
  size_t rank, elements;   /* elements of one sample */
} engine;

/* Tells what went wrong; 0 if nothing did. */
static int failed(const engine *self, OrtStatus *status)
{
  if (!status)
    return 0;
  fprintf(stderr, "ONNX Runtime: %s\n", self->ort->GetErrorMessage(status));
  self->ort->ReleaseStatus(status);
  return 1;
}

static int make_session(engine *self, uint32_t threads, OrtSession **session)
{
  OrtSessionOptions *options;
  if (failed(self, self->ort->CreateSessionOptions(&options)))
    return 1;
  /* Spinning threads would take the cores of the instance next door. */
  const int code =
      failed(self, self->ort->SetIntraOpNumThreads(options, (int)threads)) ||
      failed(self, self->ort->SetInterOpNumThreads(options, 1)) ||
      failed(self,
             self->ort->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0")) ||
      failed(self, self->ort->CreateSession(self->env, self->path, options, session));
  self->ort->ReleaseSessionOptions(options);
  return code;
}

/* Called on the instance's own thread, whose cores the session's threads inherit. */
static int prepare(void *user, const qb_configuration *configuration, uint32_t instance,
                   uint32_t batch)
{
  engine *self = user;
  if (instance >= MOST_INSTANCES)
    return 1;
  if (self->threads[instance] != configuration->threads) {
    self->ort->ReleaseSession(self->sessions[instance]);
    self->sessions[instance] = NULL;
    self->threads[instance] = configuration->threads;
    if (make_session(self, configuration->threads, &self->sessions[instance]))
      return 1;
  }
  if (batch > self->largest[instance]) {
    float *samples = realloc(self->samples[instance], batch * self->elements * sizeof *samples);
    if (!samples)
      return 1;
    for (size_t i = 0; i < batch * self->elements; i++)
      samples[i] = (float)(i % 255) / 255.0f - 0.5f;
    self->samples[instance] = samples;
    self->largest[instance] = batch;
  }
  return 0;
}

static int run(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
               void *const *outputs)
{
  engine *self = user;
  (void)outputs; /* a real service gives them as a value with memory of its own, as the input */
  int64_t dims[MOST_DIMS];
  for (size_t d = 0; d < self->rank; d++)
    dims[d] = d ? self->dims[d] : (int64_t)batch;
  void *data = inputs ? (void *)(uintptr_t)inputs[0] : self->samples[instance];
  OrtValue *input = NULL, *output = NULL;
  const char *input_names[] = {self->input_name}, *output_names[] = {self->output_name};
  int code = failed(self, self->ort->CreateTensorWithDataAsOrtValue(
                              self->memory, data, batch * self->elements * sizeof(float), dims,
                              self->rank, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));
  if (!code)
    code =
        failed(self, self->ort->Run(self->sessions[instance], NULL, input_names,
                                    (const OrtValue *const *)&input, 1, output_names, 1, &output));
  self->ort->ReleaseValue(output);
  self->ort->ReleaseValue(input);
  return code;
}

/* Learns names and shapes from a session that is thrown away. */
static int look_at(engine *self)
{
  OrtSession *session;
  OrtAllocator *allocator;
  OrtTypeInfo *type;
  const OrtTensorTypeAndShapeInfo *shape;
  if (failed(self, self->ort->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "qosbatch", &self->env)) ||
      failed(self,
             self->ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &self->memory)) ||
      failed(self, self->ort->GetAllocatorWithDefaultOptions(&allocator)) ||
      make_session(self, 1, &session) ||
      failed(self, self->ort->SessionGetInputName(session, 0, allocator, &self->input_name)) ||
      failed(self, self->ort->SessionGetOutputName(session, 0, allocator, &self->output_name)) ||
      failed(self, self->ort->SessionGetInputTypeInfo(session, 0, &type)) ||
      failed(self, self->ort->CastTypeInfoToTensorInfo(type, &shape)) ||
      failed(self, self->ort->GetDimensionsCount(shape, &self->rank)) || self->rank < 1 ||
      self->rank > MOST_DIMS ||
      failed(self, self->ort->GetDimensions(shape, self->dims, self->rank)))
    return 1;
  self->elements = 1;
  for (size_t d = 1; d < self->rank; d++)
    self->elements *= (size_t)self->dims[d];
  self->ort->ReleaseTypeInfo(type);
  self->ort->ReleaseSession(session);
  return 0;
}

int main(int argc, char **argv)
{
  engine own = {.ort = OrtGetApiBase()->GetApi(ORT_API_VERSION), .path = argc > 1 ? argv[1] : NULL};
  if (!own.path || !own.ort || look_at(&own)) {
    fprintf(stderr, "usage: %s MODEL.onnx [PROFILE_SECONDS]\n", argv[0]);
    return EXIT_FAILURE;
  }
  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = own.path;
  workload.user = &own;
  workload.prepare = prepare;
  workload.run = run;

  qb_context *context;
  qb_model *model;
  qb_node *node;
  qb_profile *profile;
  require(qb_context_new(NULL, &context), "make a context");
  require(qb_model_from_workload(context, &workload, &model), "make a model of the engine");
  require(qb_node_detect(context, NULL, &node), "detect the node");
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 16;
  params.time_budget_ns = (int64_t)((argc > 2 ? strtod(argv[2], NULL) : 10) * 1e9);
  require(qb_profile_run(model, node, &params, NULL, NULL, &profile), "profile the engine");

  qb_job_plan plan = QB_JOB_PLAN_INIT;
  qb_job job = QB_JOB_INIT;
  job.samples = 10000;
  require(qb_plan_job(&profile, 1, &job, NULL, &plan, NULL), "plan a job");
  printf("10,000 samples: %u instance(s) of %u thread(s), rounds of %u, %.1f samples/s\n",
         plan.configuration.instances, plan.configuration.threads, plan.batch,
         plan.throughput_per_s);

  qb_profile_unref(profile);
  qb_node_unref(node);
  qb_model_unref(model);
  qb_context_unref(context);
  for (int i = 0; i < MOST_INSTANCES; i++) {
    own.ort->ReleaseSession(own.sessions[i]);
    free(own.samples[i]);
  }
  own.ort->ReleaseMemoryInfo(own.memory);
  own.ort->ReleaseEnv(own.env);
  return 0;
}
