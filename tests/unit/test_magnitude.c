/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds hold, and are no larger than they must be where that can be told. */
#include "core/alloc.h"
#include "engine/reference.h"
#include "model/magnitude.h"
#include "support/expect.h"
#include "support/random_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static qb_context *new_context(void)
{
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  return context;
}

/* The bound of a graph's output for inputs of up to `largest`. */
static double bound_output(const qb__graph *graph, double largest)
{
  qb__factor *factors;
  double *bounds = calloc(graph->tensor_count, sizeof *bounds);
  assert_non_null(bounds);
  assert_ok(qb__factors_new(graph, &factors));
  bounds[graph->inputs[0]] = largest;
  for (size_t i = 0; i < graph->operator_count; i++) {
    const qb__operator *op = &graph->operators[i];
    int32_t input;
    for (size_t j = 0; (input = qb__operator_input(op, j)) != QB__NONE; j++)
      if (graph->tensors[input].constant)
        bounds[input] = qb__largest_constant(&graph->tensors[input]);
    bounds[op->output] = qb__operator_magnitude(graph, op, &factors[i], bounds, INFINITY).result;
  }
  const double result = bounds[graph->outputs[0]];
  free(bounds);
  qb__free(graph->context, factors);
  return result;
}

static double largest_value(const float *values, size_t count)
{
  double most = 0;
  for (size_t i = 0; i < count; i++)
    most = fmax(most, fabs((double)values[i]));
  return most;
}

static void bounds_hold(void **state)
{
  (void)state;
  uint64_t random = random_start();
  qb_context *context = new_context();
  for (int i = 0; i < 200; i++) {
    qb__graph graph;
    qb__graph_init(&graph, context);
    random_network(&random, &graph, (int)random_int(&random, 1, 6), RANDOM_NORMS | RANDOM_OWN);
    assert_ok(qb__graph_optimize(&graph));
    const double largest = pow(10, (double)random_int(&random, 0, 6) - 3);
    const size_t in = graph.tensors[graph.inputs[0]].elements;
    const size_t out = graph.tensors[graph.outputs[0]].elements;
    float *input = malloc(in * sizeof *input), *output = malloc(out * sizeof *output);
    assert_true(input && output);
    for (size_t k = 0; k < in; k++)
      input[k] = (float)(random_int(&random, 0, 1) ? largest : -largest * random_unit(&random));
    assert_ok(qb__reference_run(&graph, 1, (const float *const *)&input, &output, NULL));
    const double found = largest_value(output, out), bound = bound_output(&graph, largest);
    if (!(found <= bound * 1.00001 + 1e-6))
      fail_msg("network %d: %g is beyond its bound %g", i, found, bound);
    free(input);
    free(output);
    qb__graph_clear(&graph);
  }
  qb_context_unref(context);
}

/* The bound of one layer is reached by inputs with the signs of its weights. */
static void bounds_of_one_layer_are_reached(void **state)
{
  (void)state;
  qb_context *context = new_context();
  static const int64_t in[1] = {4}, weights_dims[2] = {2, 4};
  static const float weights[8] = {1, -2, 3, -4, 1, 1, 1, 1};
  qb__graph graph;
  qb__graph_init(&graph, context);
  const int32_t x = qb__graph_input(&graph, "x", 1, in);
  const int32_t w = qb__graph_constant(&graph, "w", 2, weights_dims);
  memcpy(graph.tensors[w].constant, weights, sizeof weights);
  const int32_t y = qb__graph_dense(&graph, "dense", x, w, QB__NONE);
  qb__graph_output(&graph, qb__graph_activation(&graph, "relu", y, QB__ACTIVATION_RELU, 0, 0));
  const double bound = bound_output(&graph, 8);
  assert_true(bound >= 80 && bound < 80.001);
  qb__graph_clear(&graph);
  qb_context_unref(context);
}

static qb__magnitude of_activation(qb__activation activation, float alpha, float beta, double x)
{
  static const int64_t dims[1] = {3};
  qb_context *context = new_context();
  qb__graph graph;
  qb__graph_init(&graph, context);
  const int32_t in = qb__graph_input(&graph, "x", 1, dims);
  qb__graph_output(&graph, qb__graph_activation(&graph, "a", in, activation, alpha, beta));
  qb__factor *factors;
  assert_ok(qb__factors_new(&graph, &factors));
  const double bounds[2] = {x, 0};
  const qb__magnitude m =
      qb__operator_magnitude(&graph, &graph.operators[0], factors, bounds, INFINITY);
  qb__free(context, factors);
  qb__graph_clear(&graph);
  qb_context_unref(context);
  return m;
}

static void activations_bound_their_results(void **state)
{
  (void)state;
  assert_true(of_activation(QB__ACTIVATION_CLIP, 0, 6, 1e30).result == 6);
  assert_true(of_activation(QB__ACTIVATION_CLIP, 0, INFINITY, 1e30).result == 1e30);
  assert_true(of_activation(QB__ACTIVATION_CLIP, 2, 1, 5).result == 1);
  assert_true(of_activation(QB__ACTIVATION_RELU, 0, 0, INFINITY).peak == 0);
  assert_true(isinf(of_activation(QB__ACTIVATION_POWER, 1, -1, 2).peak));
  assert_true(isinf(of_activation(QB__ACTIVATION_POWER, 1, 0.5f, 2).peak));
  assert_true(of_activation(QB__ACTIVATION_POWER, 2, 2, 3).result == 18);
  assert_true(isinf(of_activation(QB__ACTIVATION_LOG, 0, 0, 2).peak));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bounds_hold),
      cmocka_unit_test(bounds_of_one_layer_are_reached),
      cmocka_unit_test(activations_bound_their_results),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
