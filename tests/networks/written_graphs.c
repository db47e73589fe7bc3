/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes random graphs as ONNX files, with inputs and what plain loops give: written_graphs FOLDER
 * COUNT SEED. Graph N is N.onnx, N.inputs and N.outputs, of two samples.
 */
#include "engine/reference.h"
#include "model/model_impl.h"
#include "support/random_graph.h"

#include <qosbatch/quantize.h>

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 2 };

static bool write_floats(const char *folder, int number, const char *ending, const float *values,
                         size_t count)
{
  char path[1024];
  snprintf(path, sizeof path, "%s/%d.%s", folder, number, ending);
  FILE *file = fopen(path, "wb");
  const bool good = file && fwrite(values, sizeof *values, count, file) == count;
  return file && !fclose(file) && good;
}

static bool write_case(const char *folder, int number, const qb_model *model)
{
  const qb__graph *g = &model->graph;
  const size_t in = BATCH * g->tensors[g->inputs[0]].elements;
  const size_t out = BATCH * g->tensors[g->outputs[0]].elements;
  float *input = calloc(in, sizeof *input), *output = calloc(out, sizeof *output);
  char path[1024];
  snprintf(path, sizeof path, "%s/%d.onnx", folder, number);
  bool good = input && output;
  if (good)
    qb__fill_values(input, in, (uint64_t)number + 1, 0, 1);
  good = good && !qb__reference_run(g, BATCH, (const float *const *)&input, &output, NULL) &&
         write_floats(folder, number, "inputs", input, in) &&
         write_floats(folder, number, "outputs", output, out) && !qb_model_save_onnx(model, path);
  free(input);
  free(output);
  return good;
}

int main(int argc, char **argv)
{
  qb_context *context = NULL;
  if (argc != 4 || qb_context_new(NULL, &context))
    return 2;
  uint64_t random = strtoull(argv[3], NULL, 10);
  int written = 0;
  while (written < atoi(argv[2])) {
    qb__graph graph;
    qb_model *model = NULL;
    qb__graph_init(&graph, context);
    random_network(&random, &graph, (int)random_int(&random, 1, 10), RANDOM_NORMS | RANDOM_OWN);
    if (graph.status || !graph.operator_count || qb__model_from_graph(&graph, "random", &model)) {
      qb__graph_clear(&graph);
      continue;
    }
    if (!write_case(argv[1], written, model)) {
      fprintf(stderr, "graph %d: %s\n", written, qb_error_message());
      return 1;
    }
    qb_model_unref(model);
    written++;
  }
  qb_context_unref(context);
  return 0;
}
