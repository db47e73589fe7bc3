/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers each line of its input, "MODEL BATCH INPUTS OUTPUTS WAY...": runs an ONNX file on the 32-bit
 * floats in the file INPUTS, input after input, and writes what each way gives to the file OUTPUTS. A
 * way is the precision of a session, f32 or int8, or `plain` loops. Prints "done", or why not.
 */
#include "engine/reference.h"
#include "model/model_impl.h"

#include <qosbatch/qosbatch.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TENSORS = 8 };

typedef struct buffers {
  float *inputs[MOST_TENSORS], *outputs[MOST_TENSORS];
} buffers;

static bool is_small(const qb__graph *g)
{
  return g->input_count <= MOST_TENSORS && g->output_count <= MOST_TENSORS;
}

static size_t elements(const qb__graph *g, int32_t tensor, uint32_t batch)
{
  return g->tensors[tensor].elements * batch;
}

static bool read_inputs(const qb__graph *g, uint32_t batch, const char *path, buffers *b)
{
  FILE *file = fopen(path, "rb");
  bool good = file;
  for (size_t i = 0; good && i < g->input_count; i++) {
    const size_t count = elements(g, g->inputs[i], batch);
    b->inputs[i] = calloc(count, sizeof(float));
    good = b->inputs[i] && fread(b->inputs[i], sizeof(float), count, file) == count;
  }
  for (size_t i = 0; good && i < g->output_count; i++)
    good = (b->outputs[i] = calloc(elements(g, g->outputs[i], batch), sizeof(float)));
  if (file)
    fclose(file);
  return good;
}

static bool write_outputs(const qb__graph *g, uint32_t batch, const buffers *b, FILE *file)
{
  bool good = true;
  for (size_t i = 0; good && i < g->output_count; i++) {
    const size_t count = elements(g, g->outputs[i], batch);
    good = fwrite(b->outputs[i], sizeof(float), count, file) == count;
  }
  return good;
}

static bool run_session(qb_model *model, qb_precision precision, uint32_t batch, const buffers *b)
{
  qb_session *session = NULL;
  const qb_configuration configuration = {1, 1, precision};
  const bool good = !qb_session_new(model, &configuration, NULL, &session) &&
                    !qb_session_run(session, batch, (const void *const *)b->inputs,
                                    (void *const *)b->outputs, NULL);
  qb_session_unref(session);
  return good;
}

static bool run_way(qb_model *model, const char *way, uint32_t batch, buffers *b)
{
  if (!strcmp(way, "plain"))
    return !qb__reference_run(&model->graph, batch, (const float *const *)b->inputs, b->outputs,
                              NULL);
  return run_session(model, strcmp(way, "int8") ? QB_PRECISION_F32 : QB_PRECISION_INT8, batch, b);
}

static bool run(qb_model *model, uint32_t batch, const char *in, const char *out, char *ways)
{
  const qb__graph *g = &model->graph;
  buffers b = {{NULL}, {NULL}};
  FILE *file = fopen(out, "wb");
  bool good = file && is_small(g) && read_inputs(g, batch, in, &b);
  for (char *way; good && (way = strsep(&ways, " "));)
    good = run_way(model, way, batch, &b) && write_outputs(g, batch, &b, file);
  for (int i = 0; i < MOST_TENSORS; i++) {
    free(b.inputs[i]);
    free(b.outputs[i]);
  }
  return file && !fclose(file) && good;
}

int main(void)
{
  char line[8192], path[2048], in[2048], out[2048];
  unsigned batch;
  int rest;
  qb_context *context;
  if (qb_context_new(NULL, &context))
    return 1;
  while (fgets(line, sizeof line, stdin) &&
         sscanf(line, "%2047s %u %2047s %2047s %n", path, &batch, in, out, &rest) == 4) {
    qb_model *model = NULL;
    line[strcspn(line, "\n")] = 0;
    if (qb_model_load_onnx(context, path, &model))
      printf("refused %s\n", qb_error_message());
    else if (!run(model, batch, in, out, line + rest))
      printf("failed %s\n", qb_error_message());
    else
      printf("done\n");
    fflush(stdout);
    qb_model_unref(model);
  }
  qb_context_unref(context);
  return 0;
}
