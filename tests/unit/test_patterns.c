/* SPDX-License-Identifier: Apache-2.0 */
/* Operators written as several, in the orders that exporters write them. */
#include "support/graph_fixture.h"
#include "support/unit.h"

#include "support/optimize_check.h"

#include <math.h>

static int32_t image(qb__graph *g)
{
  static const int64_t dims[3] = {4, 3, 6};
  return qb__graph_input(g, "image", 3, dims);
}

static int32_t act(qb__graph *g, int32_t x, qb__activation kind)
{
  return qb__graph_activation(g, "act", x, kind, 0, 0);
}

static int32_t linear(qb__graph *g, int32_t x, double alpha, double beta)
{
  return qb__graph_activation(g, "linear", x, QB__ACTIVATION_LINEAR, (float)alpha, (float)beta);
}

/* In either order. */
static int32_t both(qb__graph *g, qb__op_kind kind, int32_t a, int32_t b, bool swapped)
{
  return qb__graph_binary(g, "both", kind, swapped ? b : a, swapped ? a : b);
}

static int32_t mul(qb__graph *g, int32_t a, int32_t b, bool swapped)
{
  return both(g, QB__OP_MULTIPLY, a, b, swapped);
}

static int32_t one_plus_erf(qb__graph *g, int32_t x)
{
  return linear(g, act(g, linear(g, x, sqrt(0.5), 0), QB__ACTIVATION_ERF), 1, 1);
}

static int32_t gelu_in_the_end(qb__graph *g, int32_t x, bool swapped)
{
  return linear(g, mul(g, x, one_plus_erf(g, x), swapped), 0.5, 0);
}

static int32_t gelu_first(qb__graph *g, int32_t x, bool swapped)
{
  return mul(g, linear(g, x, 0.5, 0), one_plus_erf(g, x), swapped);
}

static int32_t gelu_inside(qb__graph *g, int32_t x, bool swapped)
{
  return mul(g, x, linear(g, one_plus_erf(g, x), 0.5, 0), swapped);
}

static int32_t one_plus_tanh(qb__graph *g, int32_t x)
{
  return linear(g, act(g, x, QB__ACTIVATION_TANH), 1, 1);
}

static int32_t gelu_of_power(qb__graph *g, int32_t x, bool swapped)
{
  const int32_t cube = qb__graph_activation(g, "cube", x, QB__ACTIVATION_POWER, 1, 3);
  const int32_t sum = both(g, QB__OP_ADD, x, linear(g, cube, 0.044715, 0), swapped);
  return mul(g, linear(g, x, 0.5, 0), one_plus_tanh(g, linear(g, sum, 0.79788456, 0)), swapped);
}

static int32_t gelu_of_products(qb__graph *g, int32_t x, bool swapped)
{
  const int32_t outer = linear(g, x, 0.7978845608, 0);
  const int32_t inner = linear(g, mul(g, x, linear(g, x, 0.044715, 0), swapped), 1, 1);
  return mul(g, linear(g, x, 0.5, 0), one_plus_tanh(g, mul(g, outer, inner, swapped)), !swapped);
}

static int32_t swish(qb__graph *g, int32_t x, bool swapped)
{
  return mul(g, x, act(g, x, QB__ACTIVATION_SIGMOID), swapped);
}

static int32_t quick_gelu(qb__graph *g, int32_t x, bool swapped)
{
  return mul(g, x, act(g, linear(g, x, 1.702, 0), QB__ACTIVATION_SIGMOID), swapped);
}

/* Of something that is itself a number times something, plus a number. */
static int32_t swish_of_line(qb__graph *g, int32_t x, bool swapped)
{
  return swish(g, linear(g, x, 2, 1), swapped);
}

static int32_t mish(qb__graph *g, int32_t x, bool swapped)
{
  return mul(g, x, act(g, act(g, x, QB__ACTIVATION_SOFTPLUS), QB__ACTIVATION_TANH), swapped);
}

static int32_t hard_swish_of_sixths(qb__graph *g, int32_t x, bool swapped)
{
  const int32_t gate =
      qb__graph_activation(g, "clip", linear(g, x, 1.0 / 6, 0.5), QB__ACTIVATION_CLIP, 0, 1);
  return mul(g, x, gate, swapped);
}

static int32_t hard_swish_of_six(qb__graph *g, int32_t x, bool swapped)
{
  const int32_t gate =
      qb__graph_activation(g, "clip", linear(g, x, 1, 3), QB__ACTIVATION_CLIP, 0, 6);
  return swapped ? linear(g, mul(g, x, gate, true), 1.0 / 6, 0)
                 : mul(g, x, linear(g, gate, 1.0 / 6, 0), false);
}

static void gated_activations_become_one_operator(void **state)
{
  static const struct {
    int32_t (*build)(qb__graph *g, int32_t x, bool swapped);
    qb__activation expected;
  } cases[] = {
      {gelu_in_the_end, QB__ACTIVATION_GELU_ERF},
      {gelu_first, QB__ACTIVATION_GELU_ERF},
      {gelu_inside, QB__ACTIVATION_GELU_ERF},
      {gelu_of_power, QB__ACTIVATION_GELU_TANH},
      {gelu_of_products, QB__ACTIVATION_GELU_TANH},
      {swish, QB__ACTIVATION_SWISH},
      {quick_gelu, QB__ACTIVATION_SWISH},
      {swish_of_line, QB__ACTIVATION_SWISH},
      {mish, QB__ACTIVATION_MISH},
      {hard_swish_of_sixths, QB__ACTIVATION_HARD_SWISH},
      {hard_swish_of_six, QB__ACTIVATION_HARD_SWISH},
  };
  qb__graph *g = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int swapped = 0; swapped < 2; swapped++) {
      qb__graph_output(g, cases[i].build(g, image(g), swapped));
      check_same_result(g);
      const qb__operator *last = &g->operators[g->operator_count - 1];
      const size_t expected = cases[i].build == swish_of_line ? 2 : 1;
      if (g->operator_count != expected || last->activation != cases[i].expected)
        fail_msg("case %zu%s: %zu operators, %s last", i, swapped ? ", swapped" : "",
                 g->operator_count, qb__operator_kind_name(last));
      qb__graph_clear(g);
    }
}

/* Each is nearly one of the forms. */
static int32_t wrong_number(qb__graph *g, int32_t x)
{
  return mul(g, linear(g, x, 0.5, 0),
             linear(g, act(g, linear(g, x, 0.7, 0), QB__ACTIVATION_ERF), 1, 1), false);
}

static int32_t wrong_shift(qb__graph *g, int32_t x)
{
  return mul(g, x, linear(g, act(g, x, QB__ACTIVATION_SIGMOID), 1, 0.1), false);
}

static int32_t wrong_input(qb__graph *g, int32_t x)
{
  return mul(g, act(g, x, QB__ACTIVATION_ABS), act(g, x, QB__ACTIVATION_SIGMOID), false);
}

static int32_t wrong_factor(qb__graph *g, int32_t x)
{
  return linear(g, mul(g, x, one_plus_erf(g, x), false), 0.25, 0);
}

static int32_t wrong_bound(qb__graph *g, int32_t x)
{
  const int32_t gate =
      qb__graph_activation(g, "clip", linear(g, x, 1, 3), QB__ACTIVATION_CLIP, 0, 5);
  return linear(g, mul(g, x, gate, false), 1.0 / 6, 0);
}

static int32_t wrong_degree(qb__graph *g, int32_t x)
{
  const int32_t square = qb__graph_activation(g, "square", x, QB__ACTIVATION_POWER, 1, 2);
  return mul(g, x, act(g, square, QB__ACTIVATION_SIGMOID), false);
}

static void near_misses_stay(void **state)
{
  int32_t (*const cases[])(qb__graph *, int32_t) = {wrong_number, wrong_shift, wrong_input,
                                                    wrong_factor, wrong_bound, wrong_degree};
  qb__graph *g = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    qb__graph_output(g, cases[i](g, image(g)));
    check_same_result(g);
    assert_int_equal(count_kind(g, QB__OP_MULTIPLY), 1);
    qb__graph_clear(g);
  }
}

/* What a product is made of may be read elsewhere. */
static void parts_that_are_read_stay(void **state)
{
  qb__graph *g = *state;
  const int32_t x = image(g), gate = act(g, x, QB__ACTIVATION_SIGMOID);
  qb__graph_output(g, qb__graph_add(g, "add", mul(g, x, gate, false), gate));
  check_same_result(g);
  assert_int_equal(g->operator_count, 3);
  assert_int_equal(g->operators[0].activation, QB__ACTIVATION_SIGMOID);
}

static int32_t row(qb__graph *g, float mean)
{
  static const int64_t dims[3] = {1, 1, 6};
  const int32_t made = qb__graph_constant(g, "row", 3, dims);
  qb__fill(g, made, 3, mean, 0.3f);
  return made;
}

/* As PyTorch writes a layer norm before there was an operator for it. */
static int32_t layer_norm(qb__graph *g, int32_t x, uint32_t axes, int form)
{
  const int32_t mean = qb__graph_reduce(g, "mean", QB__REDUCTION_MEAN, x, axes);
  const int32_t centred = qb__graph_binary(g, "centred", QB__OP_SUBTRACT, x, mean);
  const int32_t again = form & 1 ? qb__graph_binary(g, "again", QB__OP_SUBTRACT, x, mean) : centred;
  const int32_t square = form & 2
                             ? mul(g, again, again, false)
                             : qb__graph_activation(g, "square", again, QB__ACTIVATION_POWER, 1, 2);
  const int32_t variance = qb__graph_reduce(g, "variance", QB__REDUCTION_MEAN, square, axes);
  const int32_t shifted = linear(g, variance, 1, 1e-2);
  if (form & 4)
    return mul(g, centred,
               qb__graph_activation(g, "inverse", shifted, QB__ACTIVATION_POWER, 1, -0.5f),
               form & 2);
  const int32_t root =
      form & 2 ? act(g, shifted, QB__ACTIVATION_SQRT)
               : qb__graph_activation(g, "root", shifted, QB__ACTIVATION_POWER, 1, 0.5f);
  return qb__graph_binary(g, "norm", QB__OP_DIVIDE, centred, root);
}

static void layer_norms_become_one_operator(void **state)
{
  qb__graph *g = *state;
  for (int form = 0; form < 8; form++)
    for (uint32_t axes = 4; axes <= 6; axes += 2) {
      const int32_t x = image(g);
      int32_t y = layer_norm(g, x, axes, form);
      if (axes == 4)
        y = both(g, QB__OP_ADD, mul(g, y, row(g, 1), form & 1), row(g, 0), form & 2);
      qb__graph_output(g, y);
      check_same_result(g);
      assert_int_equal(g->operator_count, 1);
      assert_int_equal(g->operators[0].kind, QB__OP_LAYER_NORM);
      assert_int_equal(g->operators[0].axis, axes == 4 ? 2 : 1);
      qb__graph_clear(g);
    }
  qb__graph_output(g, layer_norm(g, image(g), 2, 0)); /* not over the last dimensions */
  check_same_result(g);
  assert_int_equal(count_kind(g, QB__OP_LAYER_NORM), 0);
}

static void opposite_transpositions_cancel(void **state)
{
  static const uint32_t to[3] = {1, 2, 0}, back[3] = {2, 0, 1};
  qb__graph *g = *state;
  int32_t x = qb__graph_transpose(g, "to", image(g), to);
  qb__graph_output(g, qb__graph_transpose(g, "back", x, back));
  check_same_result(g);
  assert_int_equal(count_kind(g, QB__OP_TRANSPOSE), 0);
  qb__graph_clear(g);
  x = qb__graph_transpose(g, "to", image(g), to);
  qb__graph_output(g, qb__graph_transpose(g, "again", x, to));
  check_same_result(g);
  assert_int_equal(count_kind(g, QB__OP_TRANSPOSE), 1);
}

/* A unit of ShuffleNet's begins with one operator for each half. */
static void channel_shuffles_become_one_operator_a_half(void **state)
{
  static const uint32_t order[4] = {1, 0, 2, 3};
  static const int64_t groups[4] = {2, 4, 3, 6}, channels[3] = {8, 3, 6};
  static const int64_t none[3] = {0, 0, 0}, half[3] = {-4, 0, 0};
  qb__graph *g = *state;
  const int32_t x = image(g), y = act(g, x, QB__ACTIVATION_ABS), both_halves[2] = {x, y};
  int32_t all = qb__graph_concat(g, "concat", both_halves, 2, 0);
  all = qb__graph_reshape(g, "groups", all, 4, groups);
  all = qb__graph_transpose(g, "shuffle", all, order);
  all = qb__graph_reshape(g, "channels", all, 3, channels);
  const int32_t first = qb__graph_pad(g, "first", all, none, half, 0);
  const int32_t second = qb__graph_pad(g, "second", all, half, none, 0);
  qb__graph_output(g, qb__graph_binary(g, "difference", QB__OP_SUBTRACT, first, second));
  check_same_result(g);
  assert_int_equal(g->operator_count, 4);
  assert_int_equal(count_kind(g, QB__OP_PICK), 2);
}

/* Rows turned among themselves are no channels. */
static void other_rearrangements_stay(void **state)
{
  static const uint32_t orders[2][4] = {{0, 2, 1, 3}, {1, 0, 3, 2}};
  static const int64_t groups[4] = {2, 2, 3, 6}, channels[3] = {4, 3, 6};
  qb__graph *g = *state;
  for (int i = 0; i < 2; i++) {
    int32_t x = qb__graph_reshape(g, "groups", image(g), 4, groups);
    x = qb__graph_transpose(g, "turn", x, orders[i]);
    qb__graph_output(g, qb__graph_reshape(g, "channels", x, 3, channels));
    check_same_result(g);
    assert_int_equal(count_kind(g, QB__OP_PICK), 0);
    qb__graph_clear(g);
  }
}

static void means_of_images_become_pools(void **state)
{
  qb__graph *g = *state;
  qb__graph_output(g, qb__graph_reduce(g, "mean", QB__REDUCTION_MEAN, image(g), 6));
  check_same_result(g);
  assert_int_equal(g->operators[0].kind, QB__OP_AVERAGE_POOL);
}

/* A layer of rows takes the bias, the factors and the channels' norm behind it. */
static void linear_layers_take_what_follows_them(void **state)
{
  static const int64_t shape[2] = {6, 6};
  static const uint32_t to[3] = {2, 0, 1};
  qb__graph *g = *state;
  const int32_t weights = qb__graph_constant(g, "weights", 2, shape);
  qb__fill(g, weights, 5, 0, 0.4f);
  int32_t x = qb__graph_linear(g, "linear", image(g), weights, QB__NONE);
  x = both(g, QB__OP_ADD, row(g, 0), x, false);
  x = qb__graph_transpose(g, "to", linear(g, x, 2, 1), to);
  uint64_t random = random_start();
  qb__graph_output(g, random_batch_norm(&random, g, x));
  check_same_result(g);
  assert_int_equal(g->operator_count, 2);
  assert_int_equal(g->operators[1].kind, QB__OP_TRANSPOSE);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(gated_activations_become_one_operator, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(near_misses_stay, graph_set_up, graph_tear_down),
      cmocka_unit_test_setup_teardown(parts_that_are_read_stay, graph_set_up, graph_tear_down),
      cmocka_unit_test_setup_teardown(layer_norms_become_one_operator, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(opposite_transpositions_cancel, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(channel_shuffles_become_one_operator_a_half, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(other_rearrangements_stay, graph_set_up, graph_tear_down),
      cmocka_unit_test_setup_teardown(means_of_images_become_pools, graph_set_up, graph_tear_down),
      cmocka_unit_test_setup_teardown(linear_layers_take_what_follows_them, graph_set_up,
                                      graph_tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
