/* SPDX-License-Identifier: Apache-2.0 */
/* Loads ONNX files and compares what the engine makes of them with plain loops. */
#include "engine/reference.h"
#include "model/builtin.h"
#include "model/model_impl.h"

#include <qosbatch/session.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLES = 2 };

/* The largest difference as a share of the largest value; -1 after a failure. */
static double difference(const qb_model *model, qb_session *session, uint32_t batch,
                         const float *input, const float *expected)
{
  const qb__graph *g = &model->graph;
  const size_t count = batch * g->tensors[g->outputs[0]].elements;
  float *found = calloc(count, sizeof *found);
  const void *const inputs[1] = {input};
  void *const outputs[1] = {found};
  double worst = -1, largest = 0;
  if (found && !qb_session_run(session, batch, inputs, outputs, NULL)) {
    worst = 0;
    for (size_t i = 0; i < count; i++) {
      const double off = fabs((double)found[i] - expected[i]);
      largest = fmax(largest, fabs(expected[i]));
      worst = off <= worst ? worst : off;
    }
    worst /= largest;
  }
  free(found);
  return worst;
}

static int compare(qb_context *context, const char *path)
{
  qb_model *model = NULL;
  qb_session *session = NULL;
  float *input = NULL, *expected = NULL;
  int result = 1;
  if (qb_model_load_onnx(context, path, &model) || qb_session_new(model, NULL, NULL, &session)) {
    printf("%s: %s\n", path, qb_error_message());
    goto done;
  }
  const qb__graph *g = &model->graph;
  const size_t count = SAMPLES * g->tensors[g->inputs[0]].elements;
  input = calloc(count, sizeof *input);
  expected = calloc(SAMPLES * g->tensors[g->outputs[0]].elements, sizeof *expected);
  if (!input || !expected)
    goto done;
  qb__fill_values(input, count, 7, 0, 1);
  if (qb__reference_run(g, SAMPLES, (const float *const *)&input, &expected, NULL)) {
    printf("%s: plain loops: %s\n", path, qb_error_message());
    goto done;
  }
  result = 0;
  for (uint32_t batch = 1; batch <= SAMPLES; batch++) {
    const double off = difference(model, session, batch, input, expected);
    const bool good = off >= 0 && off <= 1e-4;
    printf("%-20s %3zu operators, %6.3f GFLOP, batch %u: off by %.1e%s%s\n", model->info.name,
           g->operator_count, model->info.flops_per_sample / 1e9, batch, off, good ? "" : " WRONG ",
           off < 0 ? qb_error_message() : "");
    result = result || !good;
  }
done:
  free(input);
  free(expected);
  qb_session_unref(session);
  qb_model_unref(model);
  return result;
}

int main(int argc, char **argv)
{
  qb_context *context;
  int result = qb_context_new(NULL, &context) != QB_OK;
  for (int i = 1; i < argc; i++)
    result = compare(context, argv[i]) || result;
  qb_context_unref(context);
  return result;
}
