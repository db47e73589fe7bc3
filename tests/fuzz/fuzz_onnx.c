/* SPDX-License-Identifier: Apache-2.0 */
/* A model that is accepted is whole: its work can be counted, its inputs and outputs described. */
#include "fuzz/fuzz.h"
#include "support/onnx_memory.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
  qb_context *context;
  qb_model *model;
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.memory_limit_bytes = 1 << 18; /* what a file claims takes time to compute, too */
  FUZZ_EXPECT(!qb_context_new(&params, &context));
  if (!onnx_memory_load(context, data, bytes, NULL, &model)) {
    qb_model_info info = QB_MODEL_INFO_INIT;
    qb_tensor_info tensor = QB_TENSOR_INFO_INIT;
    FUZZ_EXPECT(!qb_model_get_info(model, &info));
    FUZZ_EXPECT(info.inputs && info.outputs && isfinite(info.flops_per_sample));
    for (uint32_t i = 0; i < info.inputs; i++)
      FUZZ_EXPECT(!qb_model_get_input(model, i, &tensor) && tensor.elements_per_sample);
    for (uint32_t i = 0; i < info.outputs; i++)
      FUZZ_EXPECT(!qb_model_get_output(model, i, &tensor) && tensor.elements_per_sample);
    qb_model_unref(model);
  }
  qb_context_unref(context);
  return 0;
}
