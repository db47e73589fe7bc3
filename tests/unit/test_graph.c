/* SPDX-License-Identifier: Apache-2.0 */
#include "model/graph.h"

#include "support/expect.h"
#include "support/graph_fixture.h"
#include "support/unit.h"

#include "support/failing_allocator.h"

#include <stdint.h>
#include <string.h>

static const qb__window unit = {
    .kernel = {1, 1}, .strides = {1, 1}, .dilations = {1, 1}, .pad_before = {0, 0}};

static int32_t input(qb__graph *graph, int64_t c, int64_t h, int64_t w)
{
  const int64_t dims[3] = {c, h, w};
  return qb__graph_input(graph, "image", 3, dims);
}

/* A constant of 1 to 4 dimensions; the first that is 0 ends them. */
static int32_t constant(qb__graph *graph, int64_t a, int64_t b, int64_t c, int64_t d)
{
  const int64_t dims[4] = {a, b, c, d};
  uint32_t rank = 1;
  while (rank < 4 && dims[rank])
    rank++;
  return qb__graph_constant(graph, "constant", rank, dims);
}

static void check_shape(const qb__graph *graph, int32_t tensor, uint32_t rank, int64_t a, int64_t b,
                        int64_t c)
{
  const int64_t dims[3] = {a, b, c};
  assert_ok(graph->status);
  assert_int_equal(graph->tensors[tensor].rank, rank);
  size_t elements = 1;
  for (uint32_t i = 0; i < rank; i++) {
    assert_int_equal(graph->tensors[tensor].dims[i], dims[i]);
    elements *= (size_t)dims[i];
  }
  assert_int_equal(graph->tensors[tensor].elements, elements);
}

static void convolutions_have_the_shape_of_their_window(void **state)
{
  qb__graph *g = *state;
  int32_t x = input(g, 4, 227, 30);
  qb__window w = unit;
  w.strides[0] = 4;
  w.strides[1] = 3;
  w.pad_before[0] = 1;
  w.pad_after[0] = 2;
  w.pad_after[1] = 5;
  /* (227 + 3 - 11) / 4 + 1 and (30 + 5 - 7) / 3 + 1 */
  x = qb__graph_convolution(g, "a", x, constant(g, 6, 2, 11, 7), constant(g, 6, 0, 0, 0), &w, 2);
  check_shape(g, x, 3, 6, 55, 10);
  w = unit;
  w.dilations[0] = 3;
  w.dilations[1] = 2;
  /* A kernel of 3x4 spread over 7x7. */
  x = qb__graph_convolution(g, "b", x, constant(g, 5, 6, 3, 4), QB__NONE, &w, 1);
  check_shape(g, x, 3, 5, 49, 4);
  assert_int_equal(g->operators[1].window.kernel[0], 3);
  assert_int_equal(g->operators[1].window.kernel[1], 4);
  x = qb__graph_convolution(g, "depthwise", x, constant(g, 5, 1, 49, 4), QB__NONE, &unit, 5);
  check_shape(g, x, 3, 5, 1, 1);
}

static void shapes_follow_from_those_of_the_inputs(void **state)
{
  qb__graph *g = *state;
  int32_t x = input(g, 5, 13, 12);
  qb__window w = unit;
  w.kernel[0] = w.kernel[1] = 3;
  w.strides[0] = w.strides[1] = 2;
  x = qb__graph_pool(g, "max", QB__OP_MAX_POOL, x, &w, false);
  check_shape(g, x, 3, 5, 6, 5);
  w.pad_before[0] = w.pad_after[1] = 1;
  x = qb__graph_pool(g, "average", QB__OP_AVERAGE_POOL, x, &w, false);
  check_shape(g, x, 3, 5, 3, 2);
  x = qb__graph_lrn(g, "lrn", x, 5, 1e-4f, 0.75f, 1);
  check_shape(g, x, 3, 5, 3, 2);
  const int32_t five = constant(g, 5, 0, 0, 0);
  x = qb__graph_batch_norm(g, "norm", x, five, five, five, five, 1e-5f);
  check_shape(g, x, 3, 5, 3, 2);
  x = qb__graph_add(g, "add", x, qb__graph_activation(g, "relu", x, QB__ACTIVATION_RELU, 0, 0));
  check_shape(g, x, 3, 5, 3, 2);
  check_shape(g, qb__graph_flatten(g, "flatten", x), 1, 30, 0, 0);
  x = qb__graph_dense(g, "dense", x, constant(g, 7, 30, 0, 0), constant(g, 7, 0, 0, 0));
  check_shape(g, x, 1, 7, 0, 0);
  check_shape(g, qb__graph_softmax(g, "softmax", x, 0, false), 1, 7, 0, 0);
}

static void repeated_inputs_give_the_larger_shape(void **state)
{
  qb__graph *g = *state;
  const int32_t x = input(g, 4, 1, 6);
  check_shape(g, qb__graph_binary(g, "max", QB__OP_MAXIMUM, x, constant(g, 1, 5, 1, 0)), 3, 4, 5,
              6);
  check_shape(g, qb__graph_binary(g, "less", QB__OP_LESS, constant(g, 4, 5, 6, 0), x), 3, 4, 5, 6);
  const int32_t choice = qb__graph_select(g, "select", x, constant(g, 1, 2, 1, 0), x);
  check_shape(g, choice, 3, 4, 2, 6);
  check_shape(g, qb__graph_matmul(g, "left", constant(g, 1, 7, 1, 0), x), 3, 4, 7, 6);
  check_shape(g, qb__graph_matmul(g, "right", x, constant(g, 4, 6, 2, 0)), 3, 4, 1, 2);
  check_shape(g, qb__graph_linear(g, "linear", x, constant(g, 9, 6, 0, 0), constant(g, 9, 0, 0, 0)),
              3, 4, 1, 9);
}

static void operators_along_an_axis_change_it_alone(void **state)
{
  static const int64_t indices[6] = {3, 3, 0, -1, 1, 2};
  qb__graph *g = *state;
  const int32_t x = input(g, 4, 5, 6), three = constant(g, 30, 0, 0, 0);
  check_shape(g, qb__graph_reduce(g, "max", QB__REDUCTION_MAX, x, 5), 3, 1, 5, 1);
  check_shape(g, qb__graph_arg(g, "arg", x, 1, true, false), 3, 4, 1, 6);
  check_shape(g, qb__graph_layer_norm(g, "norm", x, 1, three, QB__NONE, 0), 3, 4, 5, 6);
  check_shape(g, qb__graph_group_norm(g, "norm", x, 2, QB__NONE, constant(g, 4, 0, 0, 0), 0), 3, 4,
              5, 6);
  check_shape(g, qb__graph_pick(g, "pick", x, 0, 3, 2, indices, NULL, 0), 3, 3, 5, 6);
  /* The mean of single elements is them, the sum of their squares is not. */
  const int32_t one = input(g, 4, 1, 6);
  qb__graph_reduce(g, "mean", QB__REDUCTION_MEAN, one, 2);
  assert_int_equal(g->operators[g->operator_count - 1].kind, QB__OP_FLATTEN);
  qb__graph_reduce(g, "squares", QB__REDUCTION_SUM_SQUARE, one, 2);
  assert_int_equal(g->operators[g->operator_count - 1].kind, QB__OP_REDUCE);
}

static double flops_of_last(const qb__graph *g)
{
  return qb__operator_flops(g, &g->operators[g->operator_count - 1]);
}

static void work_is_counted(void **state)
{
  static const int64_t indices[6] = {3, 3, 0, -1, 1, 2};
  static const float factors[6] = {1, 1, 1, 1, 1, 1};
  qb__graph *g = *state;
  const int32_t x = input(g, 4, 5, 6);
  qb__graph_linear(g, "linear", x, constant(g, 9, 6, 0, 0), constant(g, 9, 0, 0, 0));
  assert_float_equal(flops_of_last(g), 4 * 5 * 9 * (2 * 6 + 1), 0);
  assert_int_equal(qb__operator_weight_bytes(g, g->operators), 4 * (9 * 6 + 9));
  qb__graph_matmul(g, "matmul", constant(g, 1, 7, 5, 0), x);
  assert_float_equal(flops_of_last(g), 2 * 4 * 7 * 5 * 6, 0);
  assert_int_equal(qb__operator_weight_bytes(g, g->operators + 1), 4 * 7 * 5);
  assert_int_equal(qb__operator_activation_bytes(g, g->operators + 1), 4 * (4 * 5 * 6 + 4 * 7 * 6));
  qb__graph_pick(g, "pick", x, 0, 3, 2, indices, factors, 0);
  assert_float_equal(flops_of_last(g), 2 * 2 * 3 * 5 * 6, 0);
  qb__graph_pick(g, "copy", x, 0, 6, 1, indices, NULL, 0);
  assert_float_equal(flops_of_last(g), 0, 0);
  assert_string_equal(qb__operator_kind_name(g->operators), "linear");
  g->operators[0].activation = QB__ACTIVATION_GELU_ERF;
  assert_string_equal(qb__operator_kind_name(g->operators), "linear+gelu_erf");
}

/*
 * One wrong operator, always named "wrong", behind an input of 4x8x8. Returns what the building
 * function returned.
 */
typedef int32_t (*wrong_operator)(qb__graph *graph, int32_t x);

static int32_t flat_convolution(qb__graph *g, int32_t x)
{
  return qb__graph_convolution(g, "wrong", qb__graph_flatten(g, "flatten", x),
                               constant(g, 2, 256, 1, 1), QB__NONE, &unit, 1);
}

static int32_t flat_weights(qb__graph *g, int32_t x)
{
  return qb__graph_convolution(g, "wrong", x, constant(g, 2, 4, 0, 0), QB__NONE, &unit, 1);
}

static int32_t other_channels(qb__graph *g, int32_t x)
{
  return qb__graph_convolution(g, "wrong", x, constant(g, 2, 3, 1, 1), QB__NONE, &unit, 1);
}

static int32_t no_groups(qb__graph *g, int32_t x)
{
  return qb__graph_convolution(g, "wrong", x, constant(g, 2, 4, 1, 1), QB__NONE, &unit, 0);
}

static int32_t uneven_groups(qb__graph *g, int32_t x)
{
  return qb__graph_convolution(g, "wrong", x, constant(g, 3, 2, 1, 1), QB__NONE, &unit, 2);
}

static int32_t short_bias(qb__graph *g, int32_t x)
{
  return qb__graph_convolution(g, "wrong", x, constant(g, 2, 4, 1, 1), constant(g, 3, 0, 0, 0),
                               &unit, 1);
}

static int32_t no_stride(qb__graph *g, int32_t x)
{
  qb__window w = unit;
  w.strides[1] = 0;
  return qb__graph_convolution(g, "wrong", x, constant(g, 2, 4, 1, 1), QB__NONE, &w, 1);
}

static int32_t negative_pad(qb__graph *g, int32_t x)
{
  qb__window w = unit;
  w.pad_after[0] = -1;
  return qb__graph_convolution(g, "wrong", x, constant(g, 2, 4, 1, 1), QB__NONE, &w, 1);
}

static int32_t endless_pad(qb__graph *g, int32_t x)
{
  qb__window w = unit;
  w.pad_before[0] = w.pad_after[0] = INT64_MAX;
  return qb__graph_convolution(g, "wrong", x, constant(g, 2, 4, 1, 1), QB__NONE, &w, 1);
}

static int32_t endless_dilation(qb__graph *g, int32_t x)
{
  qb__window w = unit;
  w.dilations[1] = INT64_MAX;
  return qb__graph_convolution(g, "wrong", x, constant(g, 2, 4, 3, 3), QB__NONE, &w, 1);
}

static int32_t large_kernel(qb__graph *g, int32_t x)
{
  return qb__graph_convolution(g, "wrong", x, constant(g, 2, 4, 9, 1), QB__NONE, &unit, 1);
}

static int32_t norm_constant(qb__graph *g, int32_t x)
{
  const int32_t four = constant(g, 4, 0, 0, 0), five = constant(g, 5, 0, 0, 0);
  return qb__graph_batch_norm(g, "wrong", x, four, four, four, five, 1e-5f);
}

static int32_t add_shape(qb__graph *g, int32_t x)
{
  const qb__window w = {.kernel = {2, 1}, .strides = {1, 1}, .dilations = {1, 1}};
  return qb__graph_add(g, "wrong", x, qb__graph_pool(g, "pool", QB__OP_MAX_POOL, x, &w, false));
}

static int32_t add_rank(qb__graph *g, int32_t x)
{
  return qb__graph_add(g, "wrong", x, qb__graph_flatten(g, "flatten", x));
}

static int32_t flat_pool(qb__graph *g, int32_t x)
{
  return qb__graph_pool(g, "wrong", QB__OP_MAX_POOL, qb__graph_flatten(g, "flatten", x), &unit,
                        false);
}

static int32_t no_kernel(qb__graph *g, int32_t x)
{
  qb__window w = unit;
  w.kernel[0] = 0;
  return qb__graph_pool(g, "wrong", QB__OP_AVERAGE_POOL, x, &w, false);
}

/* The first window would cover no element: an average of nothing. */
static int32_t pool_of_padding(qb__graph *g, int32_t x)
{
  qb__window w = unit;
  w.pad_before[1] = 1;
  return qb__graph_pool(g, "wrong", QB__OP_AVERAGE_POOL, x, &w, false);
}

static int32_t large_pool(qb__graph *g, int32_t x)
{
  qb__window w = unit;
  w.kernel[1] = 9;
  return qb__graph_pool(g, "wrong", QB__OP_MAX_POOL, x, &w, false);
}

static int32_t flat_lrn(qb__graph *g, int32_t x)
{
  return qb__graph_lrn(g, "wrong", qb__graph_flatten(g, "flatten", x), 5, 1e-4f, 0.75f, 1);
}

static int32_t lrn_of_nothing(qb__graph *g, int32_t x)
{
  return qb__graph_lrn(g, "wrong", x, 0, 1e-4f, 0.75f, 1);
}

static int32_t lopsided_lrn(qb__graph *g, int32_t x)
{
  return qb__graph_lrn(g, "wrong", x, 4, 1e-4f, 0.75f, 1);
}

static int32_t dense_weights(qb__graph *g, int32_t x)
{
  return qb__graph_dense(g, "wrong", x, constant(g, 7, 255, 0, 0), QB__NONE);
}

static int32_t dense_rank(qb__graph *g, int32_t x)
{
  return qb__graph_dense(g, "wrong", x, constant(g, 7, 4, 8, 8), QB__NONE);
}

static int32_t dense_bias(qb__graph *g, int32_t x)
{
  return qb__graph_dense(g, "wrong", x, constant(g, 7, 256, 0, 0), constant(g, 8, 0, 0, 0));
}

static int32_t binary_of_constants(qb__graph *g, int32_t x)
{
  (void)x;
  return qb__graph_binary(g, "wrong", QB__OP_POWER, constant(g, 2, 0, 0, 0),
                          constant(g, 2, 0, 0, 0));
}

static int32_t select_shape(qb__graph *g, int32_t x)
{
  return qb__graph_select(g, "wrong", x, x, constant(g, 4, 7, 8, 0));
}

static int32_t matmul_of_constants(qb__graph *g, int32_t x)
{
  (void)x;
  return qb__graph_matmul(g, "wrong", constant(g, 2, 3, 0, 0), constant(g, 3, 2, 0, 0));
}

static int32_t matmul_leading(qb__graph *g, int32_t x)
{
  return qb__graph_matmul(g, "wrong", x, constant(g, 3, 8, 8, 0));
}

static int32_t linear_weights(qb__graph *g, int32_t x)
{
  return qb__graph_linear(g, "wrong", x, constant(g, 3, 4, 0, 0), QB__NONE);
}

static int32_t linear_bias(qb__graph *g, int32_t x)
{
  return qb__graph_linear(g, "wrong", x, constant(g, 3, 8, 0, 0), constant(g, 8, 0, 0, 0));
}

static int32_t arg_axis(qb__graph *g, int32_t x)
{
  return qb__graph_arg(g, "wrong", x, 3, true, true);
}

static int32_t layer_norm_scale(qb__graph *g, int32_t x)
{
  return qb__graph_layer_norm(g, "wrong", x, 1, constant(g, 8, 0, 0, 0), QB__NONE, 0);
}

static int32_t group_norm_groups(qb__graph *g, int32_t x)
{
  return qb__graph_group_norm(g, "wrong", x, 3, QB__NONE, QB__NONE, 0);
}

static int32_t group_norm_shift(qb__graph *g, int32_t x)
{
  return qb__graph_group_norm(g, "wrong", x, 2, QB__NONE, constant(g, 2, 0, 0, 0), 0);
}

static int32_t pick_beyond(qb__graph *g, int32_t x)
{
  static const int64_t indices[2] = {0, 4};
  return qb__graph_pick(g, "wrong", x, 0, 2, 1, indices, NULL, 0);
}

static void wrong_shapes_are_refused_by_name(void **state)
{
  static const struct {
    wrong_operator build;
    const char *named; /* in the message, beside the operator */
  } wrong[] = {
      {flat_convolution, "is 256, expected CxHxW"},
      {flat_weights, "is 2x4, expected OxIxHxW"},
      {other_channels, "is 2x3x1x1, expected"},
      {no_groups, "weights"},
      {uneven_groups, "weights"},
      {short_bias, "bias 'constant' is 3"},
      {no_stride, "strides"},
      {negative_pad, "pads"},
      {endless_pad, "pads"},
      {endless_dilation, "dilations"},
      {large_kernel, "2x0x8"},
      {norm_constant, "is 5, expected one value a channel"},
      {add_shape, "is 4x7x8, expected the shape of the other input"},
      {add_rank, "is 256, expected the shape of the other input"},
      {flat_pool, "expected CxHxW"},
      {no_kernel, "kernel"},
      {pool_of_padding, "pads"},
      {large_pool, "4x8x0"},
      {flat_lrn, "expected CxHxW"},
      {lrn_of_nothing, "size 0"},
      {lopsided_lrn, "size 4"},
      {dense_weights, "is 7x255, expected OxI"},
      {dense_rank, "is 7x4x8x8, expected OxI"},
      {dense_bias, "bias 'constant' is 8"},
      {binary_of_constants, "both inputs are constants"},
      {select_shape, "is 4x7x8, expected the shape of the condition"},
      {matmul_of_constants, "both inputs are constants"},
      {matmul_leading, "is 3x8x8, expected KxN"},
      {linear_weights, "is 3x4, expected OxI"},
      {linear_bias, "bias 'constant' is 8"},
      {arg_axis, "a shape with the axis"},
      {layer_norm_scale, "scale 'constant' is 8"},
      {group_norm_groups, "is 4x8x8, expected channels that divide"},
      {group_norm_shift, "shift 'constant' is 2"},
      {pick_beyond, "the elements that are picked"},
  };
  qb__graph *g = *state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const int32_t result = wrong[i].build(g, input(g, 4, 8, 8));
    if (result != QB__NONE || !strstr(qb_error_message(), "'wrong'") ||
        !strstr(qb_error_message(), wrong[i].named))
      fail_msg("case %zu (%s): %s", i, wrong[i].named, qb_error_message());
    assert_true(g->status == QB_ERROR_INVALID_ARGUMENT || g->status == QB_ERROR_OVERFLOW);
    qb__graph_clear(g);
  }
}

static void shapes_that_overflow_are_refused(void **state)
{
  static const int64_t shapes[][3] = {{1 << 20, 1 << 20, 2},
                                      {INT64_MAX, INT64_MAX, INT64_MAX},
                                      {INT64_C(1) << 32, INT64_C(1) << 32, 1},
                                      {3, 0, 224},
                                      {3, 224, -1}};
  qb__graph *g = *state;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    assert_int_equal(qb__graph_input(g, "huge", 3, shapes[i]), QB__NONE);
    assert_status(g->status, QB_ERROR_OVERFLOW);
    assert_non_null(strstr(qb_error_message(), "'huge'"));
    qb__graph_clear(g);
  }
  static const int64_t largest[3] = {1 << 20, 1 << 20, 1};
  check_shape(g, qb__graph_input(g, "large", 3, largest), 3, 1 << 20, 1 << 20, 1);
  static const int64_t ones[QB_MAX_DIMS + 1] = {1, 1, 1, 1, 1, 1, 1, 1};
  assert_int_equal(qb__graph_input(g, "deep", QB_MAX_DIMS + 1, ones), QB__NONE);
  assert_status(g->status, QB_ERROR_OVERFLOW);
}

static void nothing_is_built_after_a_failure(void **state)
{
  qb__graph *g = *state;
  int32_t x = qb__graph_softmax(g, "softmax", input(g, 1, 2, 3), 0, false);
  const size_t tensors = g->tensor_count;
  x = qb__graph_dense(g, "first", x, constant(g, 2, 7, 0, 0), QB__NONE);
  assert_int_equal(x, QB__NONE);
  x = qb__graph_convolution(g, "later", x, constant(g, 2, 4, 1, 1), QB__NONE, &unit, 1);
  x = qb__graph_batch_norm(g, "later", x, x, x, x, x, 0);
  x = qb__graph_activation(g, "later", x, QB__ACTIVATION_RELU, 0, 0);
  x = qb__graph_add(g, "later", x, x);
  x = qb__graph_pool(g, "later", QB__OP_MAX_POOL, x, &unit, false);
  x = qb__graph_lrn(g, "later", x, 5, 1, 1, 1);
  x = qb__graph_dense(g, "later", x, x, x);
  x = qb__graph_flatten(g, "later", x);
  x = qb__graph_softmax(g, "later", x, 0, false);
  x = qb__graph_select(g, "later", x, x, x);
  x = qb__graph_linear(g, "later", x, x, x);
  x = qb__graph_matmul(g, "later", x, x);
  x = qb__graph_reduce(g, "later", QB__REDUCTION_SUM, x, 1);
  x = qb__graph_arg(g, "later", x, 0, true, true);
  x = qb__graph_layer_norm(g, "later", x, 0, x, x, 0);
  x = qb__graph_group_norm(g, "later", x, 1, x, x, 0);
  x = qb__graph_pick(g, "later", x, 0, 1, 1, NULL, NULL, 0);
  assert_int_equal(x, QB__NONE);
  assert_status(g->status, QB_ERROR_INVALID_ARGUMENT);
  assert_non_null(strstr(qb_error_message(), "'first'"));
  assert_int_equal(g->tensor_count, tensors + 1); /* the constant before the failure */
  assert_int_equal(g->operator_count, 1);
}

static qb_status build(qb_context *context, void *user)
{
  (void)user;
  qb__graph g;
  qb__graph_init(&g, context);
  int32_t x = input(&g, 4, 8, 8);
  static const int64_t indices[4] = {0, 1, 2, 3};
  static const float factors[4] = {1, 1, 1, 1};
  for (int i = 0; i < 12; i++)
    x = qb__graph_convolution(&g, "conv", x, constant(&g, 4, 4, 1, 1), QB__NONE, &unit, 1);
  x = qb__graph_select(&g, "select", x, x, x);
  x = qb__graph_pick(&g, "pick", x, 0, 4, 1, indices, factors, 0);
  const qb_status status = g.status;
  qb__graph_clear(&g);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  assert_true(check_every_allocation_failure(build, NULL) > 12 * 4);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(convolutions_have_the_shape_of_their_window, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(shapes_follow_from_those_of_the_inputs, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(repeated_inputs_give_the_larger_shape, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(operators_along_an_axis_change_it_alone, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(work_is_counted, graph_set_up, graph_tear_down),
      cmocka_unit_test_setup_teardown(wrong_shapes_are_refused_by_name, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(shapes_that_overflow_are_refused, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test_setup_teardown(nothing_is_built_after_a_failure, graph_set_up,
                                      graph_tear_down),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
