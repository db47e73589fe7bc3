/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers each line of its input, "MODEL BATCH INPUTS OUTPUTS": runs an ONNX file by the engine and by
 * plain loops on the 32-bit floats in the file INPUTS, input after input, and writes what both give to
 * the file OUTPUTS, the engine's first. Prints "done", or "refused" and why.
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

static bool run(qb_model *model, qb_session *session, uint32_t batch, const char *in,
                const char *out)
{
  const qb__graph *g = &model->graph;
  buffers b = {{NULL}, {NULL}};
  FILE *file = fopen(out, "wb");
  const bool good = file && is_small(g) && read_inputs(g, batch, in, &b) &&
                    !qb_session_run(session, batch, (const void *const *)b.inputs,
                                    (void *const *)b.outputs, NULL) &&
                    write_outputs(g, batch, &b, file) &&
                    !qb__reference_run(g, batch, (const float *const *)b.inputs, b.outputs, NULL) &&
                    write_outputs(g, batch, &b, file);
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
  qb_context *context;
  if (qb_context_new(NULL, &context))
    return 1;
  while (fgets(line, sizeof line, stdin) &&
         sscanf(line, "%2047s %u %2047s %2047s", path, &batch, in, out) == 4) {
    qb_model *model = NULL;
    qb_session *session = NULL;
    const qb_configuration configuration = {1, 1};
    if (qb_model_load_onnx(context, path, &model))
      printf("refused %s\n", qb_error_message());
    else if (qb_session_new(model, &configuration, NULL, &session) ||
             !run(model, session, batch, in, out))
      printf("failed %s\n", qb_error_message());
    else
      printf("done\n");
    fflush(stdout);
    qb_session_unref(session);
    qb_model_unref(model);
  }
  qb_context_unref(context);
  return 0;
}
