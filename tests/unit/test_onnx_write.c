/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs written as ONNX files, and what the importer makes of these. */
#include "core/alloc.h"
#include "engine/reference.h"
#include "model/onnx_write.h"
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/onnx_memory.h"
#include "support/random_graph.h"
#include "support/scratch_folder.h"

#include <qosbatch/quantize.h>

#include <stdio.h>
#include <stdlib.h>

static qb_context *context;

/* The graph as it is in a file. */
static qb_model *through_a_file(const qb__graph *graph)
{
  uint8_t *data = NULL;
  size_t bytes = 0;
  qb_model *model = NULL;
  assert_ok(qb__onnx_write(graph, "graph", &data, &bytes));
  assert_ok(onnx_memory_load(context, data, bytes, NULL, &model));
  qb__free(context, data);
  return model;
}

/* The largest difference that two samples show, as a share of the largest value. */
static double difference(const qb__graph *a, const qb__graph *b, uint64_t seed)
{
  const size_t in = a->tensors[a->inputs[0]].elements, out = a->tensors[a->outputs[0]].elements;
  float *input = calloc(2 * in, sizeof *input), *expected = calloc(2 * out, sizeof *expected);
  float *found = calloc(2 * out, sizeof *found);
  assert_true(input && expected && found);
  qb__fill_values(input, 2 * in, seed, 0, 1);
  const float *const inputs[1] = {input};
  assert_ok(qb__reference_run(a, 2, inputs, &expected, NULL));
  assert_ok(qb__reference_run(b, 2, inputs, &found, NULL));
  const double error = relative_error(found, expected, 2 * out);
  free(input);
  free(expected);
  free(found);
  return error;
}

static void expect_same_ports(const qb__graph *a, const qb__graph *b)
{
  const int32_t ports[2][2] = {{a->inputs[0], b->inputs[0]}, {a->outputs[0], b->outputs[0]}};
  for (int i = 0; i < 2; i++) {
    const qb__tensor *t = &a->tensors[ports[i][0]], *u = &b->tensors[ports[i][1]];
    assert_string_equal(t->name, u->name);
    assert_int_equal(t->rank, u->rank);
    assert_memory_equal(t->dims, u->dims, t->rank * sizeof *t->dims);
  }
}

/* Products and sums with a number, which ONNX has no single operator for. */
static size_t count_lines(const qb__graph *graph)
{
  size_t count = 0;
  for (size_t i = 0; i < graph->operator_count; i++)
    count += graph->operators[i].activation == QB__ACTIVATION_LINEAR;
  return count;
}

static void random_graphs_return_from_onnx(void **state)
{
  (void)state;
  static const random_kinds kinds[] = {RANDOM_BASIC, RANDOM_NORMS, RANDOM_OWN,
                                       RANDOM_NORMS | RANDOM_OWN};
  uint64_t random = random_start();
  unsigned same = 0, basic = 0;
  for (int i = 0; i < random_cases(300); i++) {
    qb__graph graph;
    qb__graph_init(&graph, context);
    const uint64_t from = random;
    random_network(&random, &graph, (int)random_int(&random, 1, 12), kinds[i % 4]);
    if (graph.status || graph.operator_count == 0) {
      qb__graph_clear(&graph);
      continue;
    }
    const bool fused = random_int(&random, 0, 1);
    if (fused)
      assert_ok(qb__graph_optimize(&graph));
    qb_model *model = through_a_file(&graph);
    expect_same_ports(&graph, &model->graph);
    const double error = difference(&graph, &model->graph, (uint64_t)i);
    if (!(error <= 1e-4))
      fail_msg("graph %d%s of seed %llu: relative error %g", i, fused ? ", fused" : "",
               (unsigned long long)from, error);
    if (fused && kinds[i % 4] == RANDOM_BASIC) { /* not taken apart for ever */
      basic++;
      same += model->graph.operator_count <= graph.operator_count + count_lines(&graph);
    }
    qb_model_unref(model);
    qb__graph_clear(&graph);
  }
  assert_true(same == basic && (basic > 0 || !random_kinds_come_up(300)));
}

/* A layer between tensors of 8 bits: each weight a multiple of its output's step. */
static void add_quantized_layer(qb__graph *g, uint64_t *random, bool convolves, int32_t x)
{
  const int64_t dims[4] = {4, convolves ? 3 : 75, 3, 3}, outputs = 4, one = 1;
  const qb__window window = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
  const int32_t scale = qb__graph_constant(g, "scale", 1, &one);
  const int32_t zero = qb__graph_constant(g, "zero", 1, &one);
  const int32_t weights = qb__graph_constant(g, "w", convolves ? 4 : 2, dims);
  const int32_t bias = qb__graph_constant(g, "b", 1, &outputs);
  assert_ok(g->status);
  g->tensors[scale].constant[0] = 0.0625f;
  g->tensors[zero].constant[0] = 3;
  const size_t each = g->tensors[weights].elements / 4;
  for (size_t i = 0; i < g->tensors[weights].elements; i++) {
    const int steps = i % each == 0 ? 127 : (int)random_int(random, 0, 254) - 127;
    g->tensors[weights].constant[i] = (float)steps * 0.01171875f * (float)(1 + i / each);
  }
  for (size_t i = 0; i < 4; i++)
    g->tensors[bias].constant[i] = (float)((double)random_int(random, 0, 2000) - 1000) * 0.0625f *
                                   0.01171875f * (float)(1 + i);
  x = qb__graph_quantize(g, "q", x, scale, zero, 0, 0, 255);
  x = qb__graph_dequantize(g, "d", x, scale, zero, 0, 0, 255);
  qb__graph_output(g, convolves ? qb__graph_convolution(g, "layer", x, weights, bias, &window, 1)
                                : qb__graph_dense(g, "layer", x, weights, bias));
}

static const uint8_t *bytes_of(const uint8_t *data, size_t bytes, const char *text)
{
  for (size_t i = 0; i + strlen(text) <= bytes; i++)
    if (!memcmp(data + i, text, strlen(text)))
      return data + i;
  return NULL;
}

static void quantized_layers_return_to_the_bit_from_8_bits(void **state)
{
  (void)state;
  static const int64_t image[3] = {3, 5, 5};
  uint64_t random = random_start();
  for (int i = 0; i < 2; i++) {
    qb__graph g;
    qb__graph_init(&g, context);
    add_quantized_layer(&g, &random, i, qb__graph_input(&g, "x", 3, image));
    assert_ok(g.status);
    uint8_t *data = NULL;
    size_t bytes = 0;
    assert_ok(qb__onnx_write(&g, "graph", &data, &bytes));
    size_t converters = 0; /* of the input, the weights and the bias */
    for (const uint8_t *at = data;
         (at = bytes_of(at, bytes - (size_t)(at - data), "DequantizeLinear")); at++)
      converters++;
    assert_int_equal(converters, 3);
    qb_model *model = NULL;
    assert_ok(onnx_memory_load(context, data, bytes, NULL, &model));
    qb__free(context, data);
    assert_true(difference(&g, &model->graph, 1) == 0);
    qb_model_unref(model);
    qb__graph_clear(&g);
  }
}

static void names_are_unique_and_those_of_ports_stay(void **state)
{
  (void)state;
  static const int64_t dims[1] = {4};
  qb__graph g;
  qb__graph_init(&g, context);
  const int32_t x = qb__graph_input(&g, "same#0", 1, dims);
  int32_t y = x;
  for (int i = 0; i < 5; i++)
    y = qb__graph_activation(&g, "same", y, QB__ACTIVATION_TANH, 0, 0);
  qb__graph_rename(&g, y, "same#1");
  qb__graph_output(&g, y);
  qb_model *model = through_a_file(&g);
  expect_same_ports(&g, &model->graph);
  assert_true(difference(&g, &model->graph, 1) < 1e-6);
  qb_model_unref(model);
  qb__graph_clear(&g);
}

static qb_status write_once(qb_context *with, void *unused)
{
  (void)unused;
  qb__graph g;
  uint64_t random = 7;
  qb__graph_init(&g, with);
  random_network(&random, &g, 6, RANDOM_NORMS | RANDOM_OWN);
  uint8_t *data = NULL;
  size_t bytes = 0;
  const qb_status status = g.status ? g.status : qb__onnx_write(&g, "graph", &data, &bytes);
  qb__free(with, data);
  qb__graph_clear(&g);
  return status;
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  assert_true(check_every_allocation_failure(write_once, NULL) > 20);
}

static void files_are_read_again(void **state)
{
  (void)state;
  const scratch_folder folder = scratch_folder_make();
  const scratch_path path = scratch_folder_path(&folder, "written.onnx");
  qb__graph g;
  qb__graph_init(&g, context);
  uint64_t random = random_start();
  random_network(&random, &g, 8, RANDOM_NORMS);
  qb_model *model = NULL, *read = NULL;
  assert_ok(qb__model_from_graph(&g, "written", &model));
  assert_ok(qb_model_save_onnx(model, path.text));
  assert_ok(qb_model_load_onnx(context, path.text, &read));
  assert_true(difference(&model->graph, &read->graph, 1) <= 1e-4);
  assert_int_equal(scratch_folder_count(&folder), 1);
  assert_status(qb_model_save_onnx(model, "/nowhere/written.onnx"), QB_ERROR_IO);
  qb_model_unref(read);
  qb_model_unref(model);
  scratch_folder_remove(&folder);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_graphs_return_from_onnx),
      cmocka_unit_test(quantized_layers_return_to_the_bit_from_8_bits),
      cmocka_unit_test(names_are_unique_and_those_of_ports_stay),
      cmocka_unit_test(every_allocation_may_fail),
      cmocka_unit_test(files_are_read_again),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
