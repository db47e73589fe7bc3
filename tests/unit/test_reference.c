/* SPDX-License-Identifier: Apache-2.0 */
/* What the plain loops give, against numbers that numpy and onnx's own functions print. */
#include "engine/reference.h"

#include "support/expect.h"
#include "support/graph_fixture.h"
#include "support/unit.h"

#include <math.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int32_t image(qb__graph *g, int64_t c, int64_t h, int64_t w)
{
  const int64_t dims[3] = {c, h, w};
  return qb__graph_input(g, "image", 3, dims);
}

static int32_t constant(qb__graph *g, uint32_t rank, const int64_t *dims, const float *values)
{
  const int32_t made = qb__graph_constant(g, "constant", rank, dims);
  assert_int_not_equal(made, QB__NONE);
  memcpy(g->tensors[made].constant, values, g->tensors[made].elements * sizeof *values);
  return made;
}

/* Runs a graph of one input whose result is `y`, and forgets it. */
static void check(qb__graph *g, int32_t y, const float *input, const float *expected, size_t count)
{
  float output[64];
  float *const outputs[1] = {output};
  qb__graph_output(g, y);
  if (g->status)
    fail_msg("%s", qb_error_message());
  assert_int_equal(g->tensors[y].elements, count);
  assert_ok(qb__reference_run(g, 1, &input, outputs, NULL));
  for (size_t i = 0; i < count; i++)
    if (!(isnan(expected[i]) ? isnan(output[i])
                             : output[i] == expected[i] ||
                                   fabsf(output[i] - expected[i]) <= 2e-6f * fabsf(expected[i])))
      fail_msg("%s: element %zu is %.9g, expected %.9g",
               qb__operator_kind_name(&g->operators[g->operator_count - 1]), i, (double)output[i],
               (double)expected[i]);
  qb__graph_clear(g);
}

static void activations_are_those_of_numpy(void **state)
{
  static const float x[8] = {-2.5f, -1, -0.25f, 0, 0.5f, 1.5f, 3, NAN};
  static const struct {
    qb__activation kind;
    float alpha;
    float y[8];
  } cases[] = {
      {QB__ACTIVATION_ELU, 0.5f, {-0.45895750f, -0.31606028f, -0.11059961f, 0, 0.5f, 1.5f, 3, NAN}},
      {QB__ACTIVATION_GELU_ERF,
       0,
       {-0.015524163f, -0.15865525f, -0.10032342f, 0, 0.34573123f, 1.3997892f, 2.9959503f, NAN}},
      {QB__ACTIVATION_GELU_TANH,
       0,
       {-0.015084266f, -0.15880801f, -0.10032465f, 0, 0.34571401f, 1.3995716f, 2.9963626f, NAN}},
      {QB__ACTIVATION_SWISH,
       2,
       {-0.016732127f, -0.11920292f, -0.094385167f, 0, 0.36552929f, 1.4288612f, 2.9925821f, NAN}},
      {QB__ACTIVATION_SOFTPLUS,
       0,
       {0.078889734f, 0.31326169f, 0.57593942f, 0.69314718f, 0.97407698f, 1.7014133f, 3.0485874f,
        NAN}},
      {QB__ACTIVATION_MISH,
       0,
       {-0.1968162f, -0.30340146f, -0.12992696f, 0, 0.37524521f, 1.4033783f, 2.986535f, NAN}},
      {QB__ACTIVATION_SIGN, 0, {-1, -1, -1, 0, 1, 1, 1, NAN}},
      {QB__ACTIVATION_ROUND, 0, {-2, -1, -0.0f, 0, 0, 2, 3, NAN}},
      {QB__ACTIVATION_FLOOR, 0, {-3, -1, -1, 0, 0, 1, 3, NAN}},
      {QB__ACTIVATION_CEIL, 0, {-2, -1, 0, 0, 1, 2, 3, NAN}},
      {QB__ACTIVATION_ABS, 0, {2.5f, 1, 0.25f, 0, 0.5f, 1.5f, 3, NAN}},
      {QB__ACTIVATION_SQRT, 0, {NAN, NAN, NAN, 0, 0.70710678f, 1.2247449f, 1.7320508f, NAN}},
      {QB__ACTIVATION_LOG,
       0,
       {NAN, NAN, NAN, -INFINITY, -0.69314718f, 0.40546511f, 1.0986123f, NAN}},
      {QB__ACTIVATION_EXP,
       0,
       {0.082084999f, 0.36787944f, 0.77880078f, 1, 1.6487213f, 4.4816891f, 20.085537f, NAN}},
      {QB__ACTIVATION_ERF,
       0,
       {-0.99959305f, -0.84270079f, -0.27632639f, 0, 0.52049988f, 0.96610515f, 0.99997791f, NAN}},
      {QB__ACTIVATION_SIN,
       0,
       {-0.59847214f, -0.84147098f, -0.24740396f, 0, 0.47942554f, 0.99749499f, 0.14112001f, NAN}},
      {QB__ACTIVATION_COS,
       0,
       {-0.80114362f, 0.54030231f, 0.96891242f, 1, 0.87758256f, 0.070737202f, -0.98999250f, NAN}},
  };
  qb__graph *g = *state;
  for (size_t i = 0; i < COUNT(cases); i++)
    check(
        g,
        qb__graph_activation(g, "activation", image(g, 2, 2, 2), cases[i].kind, cases[i].alpha, 0),
        x, cases[i].y, 8);
}

static void binary_operators_are_those_of_numpy(void **state)
{
  static const float x[6] = {-7, -2, 0, 3, 7, NAN}, y[6] = {3, -2, 1, NAN, -3, 1};
  static const struct {
    qb__op_kind kind;
    float z[6];
  } cases[] = {
      {QB__OP_MAXIMUM, {3, -2, 1, NAN, 7, NAN}},
      {QB__OP_MINIMUM, {-7, -2, 0, NAN, -3, NAN}},
      {QB__OP_POWER, {-343, 0.25f, 0, NAN, 0.0029154519f, NAN}},
      {QB__OP_MODULO, {-1, 0, 0, NAN, 1, NAN}},
      {QB__OP_FLOOR_MODULO, {2, 0, 0, NAN, -2, NAN}},
      {QB__OP_PRELU, {-21, 4, 0, 3, 7, NAN}},
      {QB__OP_EQUAL, {0, 1, 0, 0, 0, 0}},
      {QB__OP_LESS, {1, 0, 1, 0, 0, 0}},
      {QB__OP_LESS_EQUAL, {1, 1, 1, 0, 0, 0}},
      {QB__OP_GREATER, {0, 0, 0, 0, 1, 0}},
      {QB__OP_GREATER_EQUAL, {0, 1, 0, 0, 1, 0}},
  };
  static const int64_t dims[3] = {1, 2, 3};
  qb__graph *g = *state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    const int32_t in = image(g, 1, 2, 3);
    check(g, qb__graph_binary(g, "binary", cases[i].kind, in, constant(g, 3, dims, y)), x,
          cases[i].z, 6);
  }
}

static void inputs_are_repeated_as_in_numpy(void **state)
{
  static const float x[2] = {1, 2}, y[3] = {10, 20, 30};
  static const int64_t dims[3] = {1, 1, 3}, scalar[3] = {1, 1, 1};
  static const float less[6] = {-9, -19, -29, -8, -18, -28};
  static const float reversed[6] = {9, 19, 29, 8, 18, 28};
  static const float selected[6] = {10, 20, 30, 5, 5, 5}, one[1] = {1}, five[1] = {5};
  qb__graph *g = *state;
  int32_t in = image(g, 1, 2, 1);
  check(g, qb__graph_binary(g, "binary", QB__OP_SUBTRACT, in, constant(g, 3, dims, y)), x, less, 6);
  in = image(g, 1, 2, 1);
  check(g, qb__graph_binary(g, "binary", QB__OP_SUBTRACT, constant(g, 3, dims, y), in), x, reversed,
        6);
  in = image(g, 1, 2, 1);
  const int32_t equal = qb__graph_binary(g, "equal", QB__OP_EQUAL, in, constant(g, 3, scalar, one));
  const int32_t row = constant(g, 3, dims, y);
  check(g, qb__graph_select(g, "select", equal, row, constant(g, 3, scalar, five)), x, selected, 6);
}

static void reductions_are_those_of_numpy(void **state)
{
  static const float x[6] = {1, -2, 3, 4, 0.5f, -6};
  static const struct {
    qb__reduction kind;
    float y[2], nan; /* of rows, and of all with a NaN at the end */
  } cases[] = {
      {QB__REDUCTION_MEAN, {0.66666667f, -0.5f}, NAN},
      {QB__REDUCTION_MAX, {3, 4}, NAN},
      {QB__REDUCTION_MIN, {-2, -6}, NAN},
      {QB__REDUCTION_SUM, {2, -1.5f}, NAN},
      {QB__REDUCTION_PRODUCT, {-6, -12}, NAN},
      {QB__REDUCTION_L1, {6, 10.5f}, NAN},
      {QB__REDUCTION_L2, {3.7416574f, 7.2284161f}, NAN},
      {QB__REDUCTION_SUM_SQUARE, {14, 52.25f}, NAN},
      {QB__REDUCTION_LOG_SUM, {0.69314718f, NAN}, NAN},
      {QB__REDUCTION_LOG_SUM_EXP, {3.1328451f, 4.0297945f}, NAN},
  };
  float with_nan[6];
  memcpy(with_nan, x, sizeof x);
  with_nan[5] = NAN;
  qb__graph *g = *state;
  for (size_t i = 0; i < COUNT(cases); i++) {
    check(g, qb__graph_reduce(g, "reduce", cases[i].kind, image(g, 1, 2, 3), 4), x, cases[i].y, 2);
    check(g, qb__graph_reduce(g, "reduce", cases[i].kind, image(g, 1, 2, 3), 7), with_nan,
          &cases[i].nan, 1);
  }
}

static void arg_takes_the_first_or_last_of_ties(void **state)
{
  static const float x[6] = {3, 1, 1, 3, 2, 2}; /* columns of a 3x2 image */
  static const struct {
    bool largest, last;
    float y[2];
  } cases[] = {
      {true, false, {0, 1}}, {true, true, {0, 1}}, {false, false, {1, 0}}, {false, true, {1, 0}}};
  static const float ties[4] = {5, 5, NAN, 5}, first[2] = {0, 0}, last[2] = {1, 0};
  qb__graph *g = *state;
  for (size_t i = 0; i < COUNT(cases); i++)
    check(g, qb__graph_arg(g, "arg", image(g, 1, 3, 2), 1, cases[i].largest, cases[i].last), x,
          cases[i].y, 2);
  check(g, qb__graph_arg(g, "arg", image(g, 1, 2, 2), 2, true, false), ties, first, 2);
  check(g, qb__graph_arg(g, "arg", image(g, 1, 2, 2), 2, false, true), ties, last, 2);
}

static void norms_are_those_of_onnx(void **state)
{
  static const float x[8] = {1, 2, 3, 6, -1, 0, 4, 5}, two[2] = {2, 3}, shift[2] = {0, 1};
  static const int64_t dims[1] = {2};
  static const float of_rows[8] = {-0.99998000f, 0.99998000f, -0.99999778f, 0.99999778f,
                                   -0.99998000f, 0.99998000f, -0.99998000f, 0.99998000f};
  static const float of_groups[8] = {-2.1380899f, -1.0690450f, 0,          3.2071349f,
                                     -2.5300904f, -1.3533936f, 3.3533936f, 4.5300904f};
  qb__graph *g = *state;
  check(g, qb__graph_layer_norm(g, "norm", image(g, 2, 2, 2), 2, QB__NONE, QB__NONE, 1e-5f), x,
        of_rows, 8);
  /* One group a channel: mean 3 and variance 3.5, mean 2 and variance 6.5. */
  const int32_t in = image(g, 2, 2, 2);
  const int32_t scale = constant(g, 1, dims, two), shifts = constant(g, 1, dims, shift);
  check(g, qb__graph_group_norm(g, "norm", in, 2, scale, shifts, 0), x, of_groups, 8);
}

static void log_softmax_is_that_of_numpy(void **state)
{
  static const float x[3] = {1, 2, 3}, y[3] = {-2.4076060f, -1.4076060f, -0.40760596f};
  qb__graph *g = *state;
  check(g, qb__graph_softmax(g, "softmax", image(g, 1, 1, 3), 2, true), x, y, 3);
}

static void products_of_matrices_are_those_of_numpy(void **state)
{
  static const float x[4] = {1, 2, 3, 4}, w[6] = {1, 0, 0, 1, 1, 1}, bias[3] = {0, 10, 20};
  static const int64_t three[1] = {3}, weights[2] = {3, 2}, left[3] = {2, 1, 2};
  static const float of_rows[6] = {1, 12, 23, 3, 14, 27};
  static const float of_both[4] = {1, 2, 3, 4}, swapped[4] = {1, 0, 0, 1};
  qb__graph *g = *state;
  int32_t in = image(g, 1, 2, 2);
  const int32_t layer = constant(g, 2, weights, w);
  check(g, qb__graph_linear(g, "linear", in, layer, constant(g, 1, three, bias)), x, of_rows, 6);
  /* Two rows, each of a matrix of its own, with the one of the input. */
  in = image(g, 1, 2, 2);
  check(g, qb__graph_matmul(g, "matmul", constant(g, 3, left, swapped), in), x, of_both, 4);
}

static void picks_copy_and_mix_elements(void **state)
{
  static const float x[3] = {1, 2, 4};
  static const int64_t copies[4] = {2, 0, -1, 2}, pairs[4] = {0, 1, 1, 2};
  static const float factors[4] = {0.5f, 0.5f, 0.25f, 0.75f};
  static const float copied[4] = {4, 1, 9, 4}, mixed[2] = {1.5f, 3.5f};
  qb__graph *g = *state;
  check(g, qb__graph_pick(g, "pick", image(g, 3, 1, 1), 0, 4, 1, copies, NULL, 9), x, copied, 4);
  check(g, qb__graph_pick(g, "pick", image(g, 1, 3, 1), 1, 2, 2, pairs, factors, 0), x, mixed, 2);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(activations_are_those_of_numpy, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(binary_operators_are_those_of_numpy, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(inputs_are_repeated_as_in_numpy, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(reductions_are_those_of_numpy, graph_set_up, graph_tear_down),
      cmocka_unit_test_setup_teardown(arg_takes_the_first_or_last_of_ties, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(norms_are_those_of_onnx, graph_set_up, graph_tear_down),
      cmocka_unit_test_setup_teardown(log_softmax_is_that_of_numpy, graph_set_up, graph_tear_down),
      cmocka_unit_test_setup_teardown(products_of_matrices_are_those_of_numpy, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(picks_copy_and_mix_elements, graph_set_up, graph_tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
