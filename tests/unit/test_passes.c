/* SPDX-License-Identifier: Apache-2.0 */
#include "core/alloc.h"
#include "engine/reference.h"
#include "model/graph.h"

#include "support/graph_fixture.h"
#include "support/unit.h"

#include "support/failing_allocator.h"
#include "support/optimize_check.h"

#include <string.h>

static void random_graphs_compute_the_same(void **state)
{
  qb__graph *g = *state;
  uint64_t random = random_start();
  for (int i = 0; i < 300; i++) {
    random_network(&random, g, (int)random_int(&random, 1, 15), RANDOM_NORMS | RANDOM_OWN);
    if (!g->status) /* a window may not fit what earlier ones left */
      check_same_result(g);
    qb__graph_clear(g);
  }
}

static int32_t image(qb__graph *g)
{
  static const int64_t dims[3] = {4, 6, 6};
  return qb__graph_input(g, "image", 3, dims);
}

static const qb__window point = {.kernel = {1, 1}, .strides = {1, 1}, .dilations = {1, 1}};

static int32_t convolution(uint64_t *random, qb__graph *g, int32_t x)
{
  const int32_t weights = random_constant(random, g, 4, 4, 1, 1, 0, 0.5f);
  return qb__graph_convolution(g, "conv", x, weights, QB__NONE, &point, 1);
}

static int32_t relu(qb__graph *g, int32_t x)
{
  return qb__graph_activation(g, "relu", x, QB__ACTIVATION_RELU, 0, 0);
}

/* A block of ResNet: two convolutions with batch norms, and the input added to the second. */
static void residual_block_becomes_two_operators(void **state)
{
  qb__graph *g = *state;
  uint64_t random = random_start();
  const int32_t x = convolution(&random, g, image(g));
  int32_t y = relu(g, random_batch_norm(&random, g, convolution(&random, g, x)));
  y = random_batch_norm(&random, g, convolution(&random, g, y));
  qb__graph_output(g, relu(g, qb__graph_add(g, "add", x, y)));
  check_same_result(g);
  assert_int_equal(g->operator_count, 3);
  assert_string_equal(qb__operator_kind_name(&g->operators[1]), "convolution+relu");
  assert_string_equal(qb__operator_kind_name(&g->operators[2]), "convolution+add+relu");
  assert_int_equal(g->operators[2].addend, x);
  for (size_t i = 0; i < g->tensor_count; i++) /* only weights and biases in use are kept */
    if (g->tensors[i].constant)
      assert_true((int32_t)i == g->operators[0].weights || (int32_t)i == g->operators[1].weights ||
                  (int32_t)i == g->operators[2].weights || (int32_t)i == g->operators[1].bias ||
                  (int32_t)i == g->operators[2].bias);
}

static void dense_layer_takes_its_activation(void **state)
{
  qb__graph *g = *state;
  uint64_t random = random_start();
  const int32_t x = qb__graph_flatten(g, "flatten", image(g));
  const int32_t weights = random_constant(&random, g, 9, 144, 0, 0, 0, 0.1f);
  qb__graph_output(g, relu(g, qb__graph_dense(g, "dense", x, weights, QB__NONE)));
  check_same_result(g);
  assert_int_equal(g->operator_count, 2);
  assert_string_equal(qb__operator_kind_name(&g->operators[1]), "dense+relu");
}

static void tensor_read_twice_is_kept(void **state)
{
  qb__graph *g = *state;
  uint64_t random = random_start();
  const int32_t x = convolution(&random, g, image(g));
  const int32_t normed = random_batch_norm(&random, g, x);
  qb__graph_output(g, qb__graph_add(g, "add", x, relu(g, normed)));
  check_same_result(g);
  assert_int_equal(count_kind(g, QB__OP_CONVOLUTION), 2); /* the batch norm became one */
  assert_string_equal(qb__operator_kind_name(&g->operators[1]), "convolution+relu");
  assert_int_equal(count_kind(g, QB__OP_ADD), 1);
}

static void output_read_by_the_caller_is_kept(void **state)
{
  qb__graph *g = *state;
  uint64_t random = random_start();
  const int32_t x = convolution(&random, g, image(g));
  relu(g, x);
  qb__graph_output(g, x);
  check_same_result(g);
  assert_int_equal(g->operator_count, 1); /* what nothing reads is dropped */
  assert_int_equal(g->operators[0].output, x);
  assert_int_equal(g->operators[0].activation, QB__ACTIVATION_NONE);
}

static void tensor_added_to_itself_stays_an_addition(void **state)
{
  qb__graph *g = *state;
  uint64_t random = random_start();
  const int32_t x = convolution(&random, g, image(g));
  qb__graph_output(g, relu(g, qb__graph_add(g, "add", x, x)));
  check_same_result(g);
  assert_int_equal(g->operator_count, 3);
  assert_string_equal(qb__operator_kind_name(&g->operators[1]), "add");
}

/* Scaling the weights for one of the convolutions would change the other. */
static void weights_shared_by_two_convolutions_are_not_scaled(void **state)
{
  qb__graph *g = *state;
  uint64_t random = random_start();
  int32_t x = image(g);
  const int32_t weights = random_constant(&random, g, 4, 4, 1, 1, 0, 0.5f);
  const int32_t bias = random_constant(&random, g, 4, 0, 0, 0, 0, 0.5f);
  x = relu(g, qb__graph_convolution(g, "a", x, weights, bias, &point, 1));
  x = random_batch_norm(&random, g, qb__graph_convolution(g, "b", x, weights, QB__NONE, &point, 1));
  const int32_t own = random_constant(&random, g, 4, 4, 1, 1, 0, 0.5f);
  x = random_batch_norm(&random, g, qb__graph_convolution(g, "c", x, own, bias, &point, 1));
  qb__graph_output(g, x);
  check_same_result(g);
}

static qb_status optimize(qb_context *context, void *user)
{
  (void)user;
  uint64_t random = 1;
  qb__graph g;
  qb__graph_init(&g, context);
  const int32_t x = image(&g);
  qb__graph_output(&g, random_batch_norm(&random, &g, convolution(&random, &g, x)));
  const qb_status status = g.status ? g.status : qb__graph_optimize(&g);
  qb__graph_clear(&g);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  check_every_allocation_failure(optimize, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(random_graphs_compute_the_same, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(residual_block_becomes_two_operators, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(dense_layer_takes_its_activation, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(tensor_read_twice_is_kept, graph_set_up, graph_tear_down),
      cmocka_unit_test_setup_teardown(output_read_by_the_caller_is_kept, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(tensor_added_to_itself_stays_an_addition, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(weights_shared_by_two_convolutions_are_not_scaled,
                                      graph_set_up, graph_tear_down),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
