/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers each line of its input, the path of an ONNX file, with a line: "values" and what two
 * samples of fixed inputs give, or "refused" and why. What a test in another language compares with.
 */
#include "model/builtin.h"

#include <qosbatch/qosbatch.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 2, MOST_TENSORS = 4 };

typedef qb_status (*describer)(const qb_model *, uint32_t, qb_tensor_info *);

/* Room for SAMPLES of each input or output. */
static bool make_buffers(const qb_model *model, describer describe, uint32_t count,
                         float *buffers[MOST_TENSORS], size_t elements[MOST_TENSORS])
{
  for (uint32_t i = 0; i < count; i++) {
    qb_tensor_info info = QB_TENSOR_INFO_INIT;
    if (describe(model, i, &info))
      return false;
    elements[i] = SAMPLES * info.elements_per_sample;
    buffers[i] = calloc(elements[i], sizeof *buffers[i]);
    if (!buffers[i])
      exit(1);
    qb__fill_values(buffers[i], elements[i], 7 + i, 0, 1);
  }
  return true;
}

static bool run(const qb_model *model, qb_session *session)
{
  float *inputs[MOST_TENSORS] = {0}, *outputs[MOST_TENSORS] = {0};
  size_t read[MOST_TENSORS] = {0}, written[MOST_TENSORS] = {0};
  qb_model_info info = QB_MODEL_INFO_INIT;
  bool good =
      !qb_model_get_info(model, &info) && info.inputs <= MOST_TENSORS &&
      info.outputs <= MOST_TENSORS &&
      make_buffers(model, qb_model_get_input, info.inputs, inputs, read) &&
      make_buffers(model, qb_model_get_output, info.outputs, outputs, written) &&
      !qb_session_run(session, SAMPLES, (const void *const *)inputs, (void *const *)outputs, NULL);
  if (good) {
    printf("values");
    for (uint32_t i = 0; i < info.outputs; i++)
      for (size_t k = 0; k < written[i]; k++)
        printf(" %.9g", (double)outputs[i][k]);
    printf("\n");
  }
  for (size_t i = 0; i < MOST_TENSORS; i++) {
    free(inputs[i]);
    free(outputs[i]);
  }
  return good;
}

int main(void)
{
  char path[4096];
  qb_context *context;
  if (qb_context_new(NULL, &context))
    return 1;
  while (fgets(path, sizeof path, stdin)) {
    qb_model *model = NULL;
    qb_session *session = NULL;
    const qb_configuration configuration = {1, 1};
    path[strcspn(path, "\n")] = 0;
    if (qb_model_load_onnx(context, path, &model))
      printf("refused %s\n", qb_error_message());
    else if (qb_session_new(model, &configuration, NULL, &session) || !run(model, session))
      printf("failed %s\n", qb_error_message());
    fflush(stdout);
    qb_session_unref(session);
    qb_model_unref(model);
  }
  qb_context_unref(context);
  return 0;
}
