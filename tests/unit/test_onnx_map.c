/* SPDX-License-Identifier: Apache-2.0 */
/* Forms of operators that ONNX's node tests (tests/conformance) do not have. */
#include "engine/reference.h"
#include "support/expect.h"
#include "support/onnx_memory.h"
#include "support/onnx_model.h"

#include <math.h>
#include <stdlib.h>

static qb_context *context;

/* A model with input x of `dims`; nodes and output y are added by the caller. */
static Onnx__ModelProto *model_of(int64_t opset, const char *dims)
{
  Onnx__ModelProto *m = onnx_model_new(opset);
  onnx_model_input(m, "x", dims);
  onnx_model_output(m, "y");
  return m;
}

/* Runs one sample and compares all `count` outputs. */
static void expect(Onnx__ModelProto *proto, const float *input, const float *output, size_t count)
{
  qb_model *model = NULL;
  assert_ok(onnx_memory_import(context, proto, &model));
  const qb__graph *g = &model->graph;
  assert_int_equal(g->tensors[g->outputs[0]].elements, count);
  float *found = calloc(count, sizeof *found);
  assert_non_null(found);
  assert_ok(qb__reference_run(g, 1, &input, &found, NULL));
  for (size_t i = 0; i < count; i++)
    if (!(fabs((double)found[i] - output[i]) <= 1e-5))
      fail_msg("output %zu is %g instead of %g", i, found[i], output[i]);
  free(found);
  qb_model_unref(model);
}

static void expect_problem(Onnx__ModelProto *proto, const char *message)
{
  qb_model *model = NULL;
  assert_status(onnx_memory_import(context, proto, &model), QB_ERROR_UNSUPPORTED);
  assert_message(message);
}

static void a_number_may_stand_on_either_side(void **state)
{
  (void)state;
  static const float two[1] = {2}, x[2] = {1, 4};
  static const struct {
    const char *kind, *inputs;
    float expected[2];
  } cases[] = {
      {"Add", "x c", {3, 6}},    {"Add", "c x", {3, 6}},    {"Sub", "x c", {-1, 2}},
      {"Sub", "c x", {1, -2}},   {"Mul", "x c", {2, 8}},    {"Mul", "c x", {2, 8}},
      {"Div", "x c", {0.5f, 2}}, {"Div", "c x", {2, 0.5f}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Onnx__ModelProto *m = model_of(13, "N,2");
    onnx_model_floats(m, "c", "", two);
    onnx_model_node(m, cases[i].kind, cases[i].inputs, "y", "");
    expect(m, x, cases[i].expected, 2);
  }
}

static void channels_may_stand_on_either_side(void **state)
{
  (void)state;
  static const float c[2] = {2, 4}, x[4] = {1, 2, 3, 4};
  static const struct {
    const char *kind, *inputs;
    float expected[4];
  } cases[] = {
      {"Add", "c x", {3, 4, 7, 8}},        {"Sub", "x c", {-1, 0, -1, 0}},
      {"Sub", "c x", {1, 0, 1, 0}},        {"Mul", "x c", {2, 4, 12, 16}},
      {"Div", "x c", {0.5f, 1, 0.75f, 1}}, {"Div", "c x", {2, 1, 4.0f / 3, 1}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Onnx__ModelProto *m = model_of(13, "N,2,1,2");
    onnx_model_floats(m, "c", "2,1,1", c);
    onnx_model_node(m, cases[i].kind, cases[i].inputs, "y", "");
    expect(m, x, cases[i].expected, 4);
  }
}

/* Each input repeated to the other, activations too. */
static void activations_are_repeated_to_each_other(void **state)
{
  (void)state;
  static const float x[4] = {1, 2, 3, 4};
  Onnx__ModelProto *m = model_of(13, "N,2,1,2");
  onnx_model_node(m, "GlobalAveragePool", "x", "mean", "");
  onnx_model_node(m, "Sub", "mean x", "y", "");
  expect(m, x, (const float[4]){0.5f, -0.5f, 0.5f, -0.5f}, 4);
  m = model_of(13, "N,2,1,2");
  onnx_model_node(m, "GlobalAveragePool", "x", "mean", "");
  onnx_model_node(m, "Div", "mean x", "y", "");
  expect(m, x, (const float[4]){1.5f, 0.75f, 3.5f / 3, 0.875f}, 4);
}

static void every_mode_of_padding_is_supported(void **state)
{
  (void)state;
  static const float x[3] = {1, 2, 3};
  static const struct {
    const char *mode, *pads;
    size_t count;
    float expected[7];
  } cases[] = {
      {"mode=edge", "0,2,0,1", 6, {1, 1, 1, 2, 3, 3}},
      {"mode=reflect", "0,2,0,2", 7, {3, 2, 1, 2, 3, 2, 1}},
      {"mode=constant", "0,1,0,-1", 3, {0, 1, 2}},
      {"", "0,-1,0,-1", 1, {2}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Onnx__ModelProto *m = model_of(13, "N,3");
    onnx_model_ints(m, "pads", cases[i].pads);
    onnx_model_node(m, "Pad", "x pads", "y", cases[i].mode);
    expect(m, x, cases[i].expected, cases[i].count);
  }
  Onnx__ModelProto *m = model_of(7, "N,3"); /* attributes, before opset 11 */
  onnx_model_node(m, "Pad", "x", "y", "pads=0,1,0,0 value=5.0");
  expect(m, x, (const float[4]){5, 1, 2, 3}, 4);
  m = model_of(18, "N,3"); /* axes, from opset 18 on */
  onnx_model_ints(m, "pads", "0,1");
  onnx_model_ints(m, "axes", "-1");
  onnx_model_node(m, "Pad", "x pads - axes", "y", "");
  expect(m, x, (const float[4]){1, 2, 3, 0}, 4);
  m = model_of(13, "N,3");
  onnx_model_ints(m, "pads", "0,-3,0,0");
  onnx_model_node(m, "Pad", "x pads", "y", "");
  expect_problem(m, "pads of -3 and 0 on dimension 1 of 3");
}

static void every_opset_has_its_form(void **state)
{
  (void)state;
  static const float x[3] = {-1, 2, 7}, clipped[3] = {0, 2, 6};
  static const float zero[1] = {0}, six[1] = {6};
  Onnx__ModelProto *m = model_of(7, "N,3");
  onnx_model_node(m, "Clip", "x", "y", "min=0.0 max=6.0");
  expect(m, x, clipped, 3);
  m = model_of(11, "N,3");
  onnx_model_floats(m, "low", "", zero);
  onnx_model_floats(m, "high", "", six);
  onnx_model_node(m, "Clip", "x low high", "y", "");
  expect(m, x, clipped, 3);
  m = model_of(22, "N,3");
  onnx_model_floats(m, "low", "", zero);
  onnx_model_node(m, "Clip", "x low", "y", "");
  expect(m, x, (const float[3]){0, 2, 7}, 3);

  m = model_of(9, "N,3,1"); /* axes as attributes, before opset 13 */
  onnx_model_node(m, "Squeeze", "x", "s", "axes=2,");
  onnx_model_node(m, "Unsqueeze", "s", "y", "axes=1,3");
  expect(m, x, x, 3);
  m = model_of(12, "N,3,1"); /* over all dimensions behind the axis */
  onnx_model_node(m, "Softmax", "x", "y", "axis=1");
  const double sum = exp(-8) + exp(-5) + 1;
  expect(m, x, (const float[3]){(float)(exp(-8) / sum), (float)(exp(-5) / sum), (float)(1 / sum)},
         3);
  m = model_of(18, "N,3"); /* axes as an input, from opset 18 on */
  onnx_model_ints(m, "axes", "-1");
  onnx_model_node(m, "ReduceMean", "x axes", "y", "keepdims=0");
  expect(m, x, (const float[1]){8.0f / 3}, 1);
}

static void images_are_resized_as_exporters_ask(void **state)
{
  (void)state;
  static const float x[2] = {1, 3}, scales[4] = {1, 1, 1, 2};
  Onnx__ModelProto *m = model_of(13, "N,1,1,2");
  onnx_model_floats(m, "scales", "4", scales);
  onnx_model_node(m, "Resize", "x - scales", "y", "mode=linear");
  expect(m, x, (const float[4]){1, 1.5f, 2.5f, 3}, 4);
  m = model_of(13, "N,1,1,2"); /* as PyTorch writes it */
  onnx_model_floats(m, "scales", "4", scales);
  onnx_model_node(m, "Resize", "x - scales", "y",
                  "mode=nearest coordinate_transformation_mode=asymmetric nearest_mode=floor");
  expect(m, x, (const float[4]){1, 1, 3, 3}, 4);
  m = model_of(10, "N,1,1,2");
  onnx_model_floats(m, "scales", "4", scales);
  onnx_model_node(m, "Resize", "x scales", "y", "mode=nearest");
  expect(m, x, (const float[4]){1, 1, 3, 3}, 4);
}

static void products_of_matrices_take_their_factors(void **state)
{
  (void)state;
  static const float x[2] = {1, 2}, b[4] = {1, 2, 3, 4}, c[2] = {10, 20}, one[1] = {1};
  Onnx__ModelProto *m = model_of(13, "N,2");
  onnx_model_floats(m, "b", "2,2", b);
  onnx_model_floats(m, "c", "1,2", c);
  onnx_model_node(m, "Gemm", "x b c", "y", "alpha=2.0 beta=0.5");
  expect(m, x, (const float[2]){19, 30}, 2);
  m = model_of(13, "N,2");
  onnx_model_floats(m, "b", "2,2", b);
  onnx_model_floats(m, "c", "", one);
  onnx_model_node(m, "Gemm", "x b c", "y", "transB=1 beta=3.0");
  expect(m, x, (const float[2]){8, 14}, 2);
  m = model_of(13, "N,2"); /* the same weights twice, once transposed */
  onnx_model_floats(m, "b", "2,2", b);
  onnx_model_node(m, "Gemm", "x b", "h", "transB=1");
  onnx_model_node(m, "Gemm", "h b", "y", "");
  expect(m, x, (const float[2]){38, 54}, 2);
}

static void unsupported_forms_are_named(void **state)
{
  (void)state;
  Onnx__ModelProto *m = model_of(13, "N,3,5,5");
  onnx_model_node(m, "LRN", "x", "y", "size=4");
  expect_problem(m, "size 4 must be odd");
  m = model_of(13, "N,3,5,5");
  onnx_model_node(m, "Conv", "x x", "y", "");
  expect_problem(m, "its weights are not constants of the model");
  m = model_of(13, "N,3,5,5");
  onnx_model_random(m, "w", "2,3,3,3");
  onnx_model_node(m, "Conv", "x w", "y", "strides=0,1");
  expect_problem(m, "'strides' is 0; 1 to 32767 are supported");
  m = model_of(13, "N,2,2,2,2,2");
  onnx_model_node(m, "MaxPool", "x", "y", "kernel_shape=1,1,1,1");
  expect_problem(m, "its image has 6 dimensions");
}

/*
 * Of the last window with ceil_mode: dropped where it begins in the padding, counted as it is
 * inside.
 */
static void windows_at_the_end_of_an_image(void **state)
{
  (void)state;
  static const float x[5] = {1, 2, 3, 4, 5};
  Onnx__ModelProto *m = model_of(12, "N,1,5");
  onnx_model_node(m, "MaxPool", "x", "y", "kernel_shape=2, strides=2, pads=1,1 ceil_mode=1");
  expect(m, x, (const float[3]){1, 3, 5}, 3);
  m = model_of(12, "N,1,5");
  onnx_model_node(m, "AveragePool", "x", "y",
                  "kernel_shape=2, strides=2, ceil_mode=1 count_include_pad=1");
  expect(m, x, (const float[3]){1.5f, 3.5f, 5}, 3);
  m = model_of(12, "N,1,5"); /* padding counts, what lies behind it does not */
  onnx_model_node(m, "AveragePool", "x", "y",
                  "kernel_shape=3, strides=3, pads=1,0 ceil_mode=1 count_include_pad=1");
  expect(m, x, (const float[2]){1, 4}, 2);
  m = model_of(19, "N,1,5");
  onnx_model_node(m, "AveragePool", "x", "y", "kernel_shape=2, dilations=2,");
  expect(m, x, (const float[3]){2, 3, 4}, 3);
}

/* Elements that no window reaches have the bias alone. */
static void transposed_convolutions_may_be_padded_beyond_their_reach(void **state)
{
  (void)state;
  static const float x[4] = {1, 1, 1, 1}, w[3] = {1, 1, 1}, b[1] = {10};
  static const float expected[12] = {1, 1, 1, 2, 1, 1, 2, 1, 1, 1, 0, 0};
  for (int with_bias = 0; with_bias < 2; with_bias++) {
    Onnx__ModelProto *m = model_of(13, "N,1,4");
    float sums[12];
    onnx_model_floats(m, "w", "1,1,3", w);
    onnx_model_floats(m, "b", "1", b);
    onnx_model_node(m, "ConvTranspose", with_bias ? "x w b" : "x w", "y",
                    "dilations=3, output_padding=2,");
    for (int i = 0; i < 12; i++)
      sums[i] = expected[i] + (float)with_bias * b[0];
    expect(m, x, sums, 12);
  }
}

static void bounds_the_wrong_way_round_give_the_upper_one(void **state)
{
  (void)state;
  static const float x[3] = {-1, 3, 9}, two[1] = {2}, one[1] = {1};
  Onnx__ModelProto *m = model_of(13, "N,3");
  onnx_model_floats(m, "low", "", two);
  onnx_model_floats(m, "high", "", one);
  onnx_model_node(m, "Clip", "x low high", "y", "");
  expect(m, x, (const float[3]){1, 1, 1}, 3);
}

static void indices_and_pads_beyond_an_axis_are_refused(void **state)
{
  (void)state;
  Onnx__ModelProto *m = model_of(13, "N,3");
  onnx_model_ints(m, "i", "3");
  onnx_model_node(m, "Gather", "x i", "y", "axis=1");
  expect_problem(m, "index 3 is out of range for a dimension of 3");
  m = model_of(13, "N,3");
  onnx_model_ints(m, "shape", "1,2");
  onnx_model_node(m, "Expand", "x shape", "y", "");
  expect_problem(m, "dimension 1 of 3 cannot be broadcast to 2");
  m = model_of(13, "N,3");
  onnx_model_ints(m, "repeats", "1,0");
  onnx_model_node(m, "Tile", "x repeats", "y", "");
  expect_problem(m, "0 times dimension 1 of 3");
  m = model_of(13, "N,3");
  onnx_model_node(m, "Einsum", "x", "y", "equation=bi->b");
  expect_problem(m, "a sum over a letter of one input alone is not supported");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_number_may_stand_on_either_side),
      cmocka_unit_test(channels_may_stand_on_either_side),
      cmocka_unit_test(activations_are_repeated_to_each_other),
      cmocka_unit_test(every_mode_of_padding_is_supported),
      cmocka_unit_test(every_opset_has_its_form),
      cmocka_unit_test(images_are_resized_as_exporters_ask),
      cmocka_unit_test(products_of_matrices_take_their_factors),
      cmocka_unit_test(unsupported_forms_are_named),
      cmocka_unit_test(windows_at_the_end_of_an_image),
      cmocka_unit_test(transposed_convolutions_may_be_padded_beyond_their_reach),
      cmocka_unit_test(bounds_the_wrong_way_round_give_the_upper_one),
      cmocka_unit_test(indices_and_pads_beyond_an_axis_are_refused),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
