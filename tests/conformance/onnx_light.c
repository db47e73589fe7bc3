/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The light models of ONNX's zoo: networks at full size whose weights nodes make, so that a file has
 * a few kilobytes. Each runs once, and its output is that of ONNX's test data.
 */
#include "model/model_impl.h"

#include <qosbatch/session.h>

#include "onnx.pb-c.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Onnx__TensorProto *read_tensor(const char *path)
{
  FILE *file = fopen(path, "rb");
  static uint8_t data[1 << 20];
  const size_t bytes = file ? fread(data, 1, sizeof data, file) : 0;
  if (file)
    fclose(file);
  return bytes && bytes < sizeof data ? onnx__tensor_proto__unpack(NULL, bytes, data) : NULL;
}

/* Element `i` of what is expected, which may be raw. */
static float element_of(const Onnx__TensorProto *t, size_t i)
{
  float value;
  if (!t->has_raw_data)
    return t->float_data[i];
  memcpy(&value, t->raw_data.data + i * sizeof value, sizeof value);
  return value;
}

/* The largest difference as a share of the largest value; -1 after a failure. */
static double difference(qb_model *model, const Onnx__TensorProto *expected)
{
  const qb__graph *g = &model->graph;
  const size_t inputs = g->tensors[g->inputs[0]].elements;
  const size_t outputs = g->tensors[g->outputs[0]].elements;
  float *input = calloc(inputs, sizeof *input), *output = calloc(outputs, sizeof *output);
  const void *const in[1] = {input};
  void *const out[1] = {output};
  const qb_configuration one = {1, 1};
  qb_session *session = NULL;
  double worst = 0, largest = 0;
  for (size_t i = 0; input && i < inputs; i++) /* as ONNX's runner makes them */
    input[i] = (float)((double)i / (double)inputs);
  const size_t found = expected->has_raw_data ? expected->raw_data.len / 4 : expected->n_float_data;
  if (!input || !output || found != outputs || qb_session_new(model, &one, NULL, &session) ||
      qb_session_run(session, 1, in, out, NULL))
    largest = worst = -1;
  for (size_t i = 0; worst >= 0 && i < outputs; i++) {
    const double off = fabs((double)output[i] - element_of(expected, i));
    largest = fmax(largest, fabs(element_of(expected, i)));
    worst = off <= worst ? worst : off;
  }
  qb_session_unref(session);
  free(input);
  free(output);
  return worst < 0 ? -1 : worst / largest;
}

static bool check(qb_context *context, const char *folder, const char *name)
{
  char path[600], output[600];
  qb_model *model = NULL;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  snprintf(output, sizeof output, "%s/%.*s_output_0.pb", folder, (int)strlen(name) - 5, name);
  Onnx__TensorProto *expected = read_tensor(output);
  bool good = false;
  if (!expected || qb_model_load_onnx(context, path, &model)) {
    printf("%s: %s\n", name, expected ? qb_error_message() : "no output is known");
  } else {
    const double off = difference(model, expected);
    good = off >= 0 && off <= 1e-4;
    printf("%-26s %5.0f MB of weights, off by %.1e%s%s\n", name, model->info.weight_bytes / 1e6,
           off, good ? "" : " WRONG ", off < 0 ? qb_error_message() : "");
  }
  qb_model_unref(model);
  if (expected)
    onnx__tensor_proto__free_unpacked(expected, NULL);
  return good;
}

static int is_model(const struct dirent *entry)
{
  const size_t length = strlen(entry->d_name);
  return length > 5 && !strcmp(entry->d_name + length - 5, ".onnx");
}

int main(int argc, char **argv)
{
  struct dirent **entries;
  qb_context *context;
  if (argc != 2 || qb_context_new(NULL, &context))
    return 2;
  const int count = scandir(argv[1], &entries, is_model, alphasort);
  int right = 0;
  for (int i = 0; i < count; i++) {
    right += check(context, argv[1], entries[i]->d_name);
    free(entries[i]);
  }
  if (count >= 0)
    free(entries);
  qb_context_unref(context);
  printf("%d of %d models are right\n", right, count);
  return count > 0 && right == count ? 0 : 1;
}
