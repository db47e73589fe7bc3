/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network of your own from an ONNX file, with a profile that is kept: measured at the first start,
 * and again where it turns out to be of another node or network.
 *
 * usage: 09_onnx MODEL.onnx PROFILE.json [PROFILE_SECONDS]
 */
#include "common.h"

static qb_profile *measure(qb_model *model, qb_node *node, const char *path, double seconds)
{
  qb_profile *profile;
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 16;
  params.time_budget_ns = (int64_t)(seconds * 1e9);
  require(qb_profile_run(model, node, &params, NULL, NULL, &profile), "profile the network");
  require(qb_profile_save(profile, path), "save the profile");
  return profile;
}

/*
 * The profile that was kept, or a new one. That of another node or network would give wrong
 * predictions without a word.
 */
static qb_profile *get_profile(qb_context *context, qb_model *model, const char *path,
                               double seconds)
{
  qb_node *node;
  qb_profile *profile = NULL;
  require(qb_node_detect(context, NULL, &node), "detect the node");
  if (qb_profile_load(context, path, &profile) || qb_profile_check(profile, model, node)) {
    printf("measuring for %g s: %s\n", seconds, qb_error_message());
    qb_profile_unref(profile);
    profile = measure(model, node, path, seconds);
  }
  qb_node_unref(node);
  return profile;
}

/* Runs one round of the best batch. */
static void run(qb_model *model, const qb_profile *profile)
{
  qb_latency_estimate best = QB_LATENCY_ESTIMATE_INIT;
  for (uint32_t batch = 1; batch <= 16; batch *= 2) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    require(qb_estimate(profile, NULL, batch, NULL, &e), "estimate a round");
    if (e.throughput_per_s > best.throughput_per_s)
      best = e;
  }
  qb_session *session;
  qb_tensor_info in = QB_TENSOR_INFO_INIT, out = QB_TENSOR_INFO_INIT;
  require(qb_session_new(model, &best.configuration, profile, &session), "make a session");
  require(qb_model_get_input(model, 0, &in), "describe the input");
  require(qb_model_get_output(model, 0, &out), "describe the output");
  float *samples = calloc(best.batch, in.elements_per_sample * sizeof *samples);
  float *answers = calloc(best.batch, out.elements_per_sample * sizeof *answers);
  const void *const inputs[] = {samples};
  void *const outputs[] = {answers};
  require_that(samples && answers, "allocate samples");
  require(qb_session_run(session, best.batch, inputs, outputs, NULL), "run a round");
  printf("%u samples in about %.2f ms (95 %%: %.2f to %.2f); the first answer begins with %g\n",
         best.batch, (double)best.latency_ns / 1e6, (double)best.low_ns / 1e6,
         (double)best.high_ns / 1e6, (double)answers[0]);
  free(answers);
  free(samples);
  qb_session_unref(session);
}

int main(int argc, char **argv)
{
  if (argc < 3) {
    fprintf(stderr, "usage: %s MODEL.onnx PROFILE.json [PROFILE_SECONDS]\n", argv[0]);
    return 2;
  }
  /* A file from a stranger may claim any amount of memory. */
  qb_context_params limits = QB_CONTEXT_PARAMS_INIT;
  limits.memory_limit_bytes = UINT64_C(4) << 30;
  qb_context *context;
  qb_model *model;
  require(qb_context_new(&limits, &context), "make a context");
  require(qb_model_load_onnx(context, argv[1], &model), "load the network");
  qb_profile *profile = get_profile(context, model, argv[2], argc > 3 ? strtod(argv[3], NULL) : 20);
  run(model, profile);
  qb_profile_unref(profile);
  qb_model_unref(model);
  qb_context_unref(context);
  return 0;
}
