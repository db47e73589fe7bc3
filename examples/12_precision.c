/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network in 8 bits: made from samples, compared with the one in 32-bit floats, profiled beside it,
 * and chosen where enough of its answers agree.
 *
 * usage: 12_precision MODEL.onnx AGREEMENT_PERCENT LATENCY_MS RATE_PER_S [PROFILE_SECONDS]
 */
#include "common.h"

#include <qosbatch/accuracy.h>
#include <qosbatch/quantize.h>

#include <math.h>

/* Inputs as the network will see them: these are random, yours come from your users. */
static float *draw_samples(qb_model *model, size_t count)
{
  qb_tensor_info in = QB_TENSOR_INFO_INIT;
  require(qb_model_get_input(model, 0, &in), "describe the input");
  const size_t elements = count * in.elements_per_sample;
  float *samples = malloc(elements * sizeof *samples);
  require_that(samples, "allocate samples");
  for (size_t i = 0; i < elements; i++)
    samples[i] = 2 * (float)rand() / (float)RAND_MAX - 1;
  return samples;
}

/* The network and its 8-bit form as one model, whose configurations select between them. */
static qb_model *make_both(qb_model *model, qb_accuracy *accuracy)
{
  enum { SAMPLES = 600 }; /* half of them to find ranges, half to compare answers */
  float *samples = draw_samples(model, SAMPLES);
  const void *const inputs[] = {samples};
  qb_quantize_params params = QB_QUANTIZE_PARAMS_INIT;
  params.inputs = inputs;
  params.samples = SAMPLES;
  qb_quantization q = QB_QUANTIZATION_INIT;
  qb_model *quantized, *both;
  require(qb_model_quantize(model, &params, &q, &quantized), "quantize the network");
  require(qb_model_join_int8(model, quantized, &both), "join both forms");
  printf("%u of %u layers in 8 bits; %.1f %% of answers agree (95 %%: %.1f to %.1f)\n",
         q.integer_layers, q.layers, 100 * q.agreement, 100 * q.agreement_low,
         100 * q.agreement_high);
  accuracy->precision = QB_PRECISION_INT8;
  accuracy->samples = q.samples;
  accuracy->agreeing = (uint64_t)llround(q.agreement * (double)q.samples);
  qb_model_unref(quantized);
  free(samples);
  return both;
}

/* Both precisions measured on this node, with what is known of their accuracy. */
static qb_profile *measure(qb_context *context, qb_model *both, const qb_accuracy *accuracy,
                           double seconds)
{
  static const qb_precision precisions[] = {QB_PRECISION_F32, QB_PRECISION_INT8};
  qb_node *node;
  qb_profile *measured, *profile;
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 16;
  params.time_budget_ns = (int64_t)(seconds * 1e9);
  params.precisions = precisions;
  params.precision_count = 2;
  require(qb_node_detect(context, NULL, &node), "detect the node");
  require(qb_profile_run(both, node, &params, NULL, NULL, &measured), "profile the network");
  require(qb_profile_with_accuracy(measured, accuracy, 1, &profile), "note the accuracy");
  qb_profile_unref(measured);
  qb_node_unref(node);
  return profile;
}

int main(int argc, char **argv)
{
  if (argc < 5) {
    fprintf(stderr,
            "usage: %s MODEL.onnx AGREEMENT_PERCENT LATENCY_MS RATE_PER_S [PROFILE_SECONDS]\n",
            argv[0]);
    return 2;
  }
  qb_context *context;
  qb_model *model;
  qb_accuracy accuracy = QB_ACCURACY_INIT;
  require(qb_context_new(NULL, &context), "make a context");
  require(qb_model_load_onnx(context, argv[1], &model), "load the network");
  qb_model *both = make_both(model, &accuracy);
  qb_profile *profile = measure(context, both, &accuracy, argc > 5 ? strtod(argv[5], NULL) : 20);

  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = strtod(argv[4], NULL);
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = (int64_t)(strtod(argv[3], NULL) * 1e6);
  qos.accuracy = strtod(argv[2], NULL);
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  require(qb_plan_service(&profile, 1, &load, &qos, &plan, NULL), "plan the service");
  if (plan.feasible) {
    qb_session *session; /* runs rounds in the precision that was chosen */
    require(qb_session_new(both, &plan.configuration, profile, &session), "make a session");
    printf("%u x %u in %s\n", plan.configuration.instances, plan.configuration.threads,
           qb_precision_name(plan.configuration.precision));
    qb_session_unref(session);
  } else
    printf("infeasible: %s\n", qb_reason_name(plan.reason));
  qb_profile_unref(profile);
  qb_model_unref(both);
  qb_model_unref(model);
  qb_context_unref(context);
  return 0;
}
