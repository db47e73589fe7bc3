/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what an ONNX model gives for zeros, as 32-bit floats. */
#include "engine/reference.h"
#include "model/model_impl.h"

#include <stdio.h>
#include <stdlib.h>

static int evaluate(const qb__graph *g)
{
  const size_t count = g->tensors[g->outputs[0]].elements;
  float *input = calloc(g->tensors[g->inputs[0]].elements, sizeof *input);
  float *output = calloc(count, sizeof *output);
  int result = 1;
  if (input && output && !qb__reference_run(g, 1, (const float *const *)&input, &output, NULL))
    result = fwrite(output, sizeof *output, count, stdout) != count;
  free(input);
  free(output);
  return result;
}

int main(int argc, char **argv)
{
  qb_context *context;
  qb_model *model = NULL;
  int result = 1;
  if (argc != 2 || qb_context_new(NULL, &context))
    return 2;
  if (qb_model_load_onnx(context, argv[1], &model))
    fprintf(stderr, "%s\n", qb_error_message());
  else
    result = evaluate(&model->graph);
  qb_model_unref(model);
  qb_context_unref(context);
  return result;
}
