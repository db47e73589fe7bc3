/* SPDX-License-Identifier: Apache-2.0 */
/* Quantized models: what the graph keeps of scales, and what is refused. */
#include "engine/reference.h"
#include "model/pass_integers.h"
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/onnx_memory.h"
#include "support/onnx_model.h"

#include <stdlib.h>
#include <string.h>

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

static qb_context *context;

static Onnx__ModelProto *model_of(int64_t opset, const char *dims, int32_t type)
{
  Onnx__ModelProto *m = onnx_model_new(opset);
  onnx_model_input(m, "x", dims);
  m->graph->input[0]->type->tensor_type->elem_type = type;
  onnx_model_output(m, "y");
  return m;
}

static void add_number(Onnx__ModelProto *m, const char *name, float value)
{
  onnx_model_floats(m, name, "", &value);
}

static Onnx__NodeProto *microsoft(Onnx__ModelProto *m, const char *type, const char *inputs,
                                  const char *attributes)
{
  Onnx__NodeProto *node = onnx_model_node(m, type, inputs, "y", attributes);
  free(node->domain);
  node->domain = strdup("com.microsoft");
  return node;
}

static void expect(Onnx__ModelProto *proto, const float *input, const float *output, size_t count)
{
  qb_model *model = NULL;
  float found[16];
  float *outputs[1] = {found};
  assert_ok(onnx_memory_import(context, proto, &model));
  assert_int_equal(model->graph.tensors[model->graph.outputs[0]].elements, count);
  assert_ok(qb__reference_run(&model->graph, 1, &input, outputs, NULL));
  for (size_t i = 0; i < count; i++)
    if (found[i] != output[i])
      fail_msg("output %zu is %g instead of %g", i, (double)found[i], (double)output[i]);
  qb_model_unref(model);
}

static void expect_problem(Onnx__ModelProto *proto, const char *message)
{
  qb_model *model = NULL;
  assert_status(onnx_memory_import(context, proto, &model), QB_ERROR_UNSUPPORTED);
  assert_message(message);
}

static void small_integers_that_a_caller_gives_are_rounded_and_saturated(void **state)
{
  (void)state;
  static const float x[4] = {-3, 2.5f, 3.5f, 300};
  Onnx__ModelProto *m = model_of(13, "N,4", TYPE(UINT8));
  onnx_model_node(m, "Identity", "x", "y", "");
  expect(m, x, (const float[4]){0, 2, 4, 255}, 4);
  m = model_of(13, "N,4", TYPE(INT8));
  onnx_model_node(m, "Identity", "x", "y", "");
  expect(m, x, (const float[4]){-3, 2, 4, 127}, 4);
}

static void integers_pass_through_what_moves_and_compares_them(void **state)
{
  (void)state;
  static const float x[4] = {7, 2, 9, 250};
  Onnx__ModelProto *m = model_of(14, "N,1,4", TYPE(UINT8));
  onnx_model_integers(m, "six", "", TYPE(UINT8), "6");
  onnx_model_integers(m, "most", "", TYPE(UINT8), "240");
  onnx_model_node(m, "MaxPool", "x", "p", "kernel_shape=2,");
  onnx_model_node(m, "Clip", "p six most", "y", "");
  expect(m, x, (const float[3]){7, 9, 240}, 3);
  m = model_of(14, "N,4", TYPE(UINT8));
  onnx_model_node(m, "Add", "x x", "y", "");
  expect_problem(m, "input 'x' has elements of ONNX type 2; expected 1 here");
}

/* x - 1, times weights of 2 - 1 and 4 - 1, and 10 and 20 added; times 0.5 and 0.25, and 3 added. */
static Onnx__ModelProto *convolution(void)
{
  Onnx__ModelProto *m = model_of(13, "N,1,2", TYPE(UINT8));
  add_number(m, "half", 0.5f);
  add_number(m, "one", 1);
  onnx_model_floats(m, "ws", "2", (const float[2]){1, 0.5f});
  onnx_model_integers(m, "xz", "", TYPE(UINT8), "1");
  onnx_model_integers(m, "w", "2,1,1", TYPE(UINT8), "2,4");
  onnx_model_integers(m, "wz", "2", TYPE(UINT8), "1,1");
  onnx_model_integers(m, "yz", "", TYPE(UINT8), "3");
  onnx_model_integers(m, "b", "2", TYPE(INT32), "10,20");
  onnx_model_node(m, "QLinearConv", "x half xz w ws wz one yz b", "y", "");
  return m;
}

static void scales_of_a_convolution_stay_in_the_graph(void **state)
{
  (void)state;
  expect(convolution(), (const float[2]){5, 7}, (const float[4]){10, 11, 11, 13}, 4);
  qb_model *model = NULL;
  assert_ok(onnx_memory_import(context, convolution(), &model));
  const qb__graph *g = &model->graph;
  static const qb__op_kind kinds[] = {QB__OP_QUANTIZE, QB__OP_DEQUANTIZE, QB__OP_CONVOLUTION,
                                      QB__OP_DEQUANTIZE, QB__OP_QUANTIZE};
  assert_int_equal(g->operator_count, sizeof kinds / sizeof *kinds);
  for (size_t i = 0; i < g->operator_count; i++)
    assert_int_equal(g->operators[i].kind, kinds[i]);
  assert_float_equal(g->operators[2].integer_limit, 254, 0);
  assert_string_equal(qb__operator_kind_name(&g->operators[2]), "integer_convolution");
  assert_float_equal(g->tensors[g->operators[3].weights].constant[1], 0.25f, 0);
  assert_float_equal(g->tensors[g->operators[4].bias].constant[0], 3, 0);
  assert_float_equal(g->operators[4].beta, 255, 0);
  qb_model_unref(model);
}

static void sums_of_integers_fit_floats_up_to_two_to_the_24(void **state)
{
  (void)state;
  qb__graph g;
  qb__graph_init(&g, context);
  const int64_t dims[2] = {1, 2};
  const int32_t w = qb__graph_constant(&g, "w", 2, dims), b = qb__graph_constant(&g, "b", 1, dims);
  const int32_t x = qb__graph_input(&g, "x", 1, dims + 1);
  qb__graph_dense(&g, "y", x, w, b);
  assert_ok(g.status);
  qb__graph_mark_integers(&g, 0, 256, 1);
  g.tensors[w].constant[0] = -32768;
  g.tensors[w].constant[1] = 32767;
  g.tensors[b].constant[0] = -256;
  assert_true(qb__sums_fit_floats(&g, &g.operators[0]));
  g.tensors[b].constant[0] = 257;
  assert_false(qb__sums_fit_floats(&g, &g.operators[0]));
  qb__graph_clear(&g);
}

static void larger_sums_are_those_of_two_layers(void **state)
{
  (void)state;
  qb__graph g;
  qb__graph_init(&g, context);
  const int64_t dims[2] = {1, 3};
  const int32_t w = qb__graph_constant(&g, "w", 2, dims), b = qb__graph_constant(&g, "b", 1, dims);
  const int32_t x = qb__graph_input(&g, "x", 1, dims + 1);
  const int32_t y = qb__graph_dense(&g, "y", x, w, b);
  qb__graph_mark_integers(&g, 0, 65535, 1);
  qb__graph_output(&g, y);
  assert_ok(g.status);
  const float weights[3] = {255, 255, -3}, input[3] = {65535, 65535, 65535};
  memcpy(g.tensors[w].constant, weights, sizeof weights);
  g.tensors[b].constant[0] = 5;
  qb__split_integers(&g);
  assert_ok(g.status);
  assert_int_equal(g.operator_count, 3);
  for (int i = 0; i < 2; i++)
    assert_true(g.operators[i].kind == QB__OP_DENSE && qb__sums_fit_floats(&g, &g.operators[i]));
  assert_int_equal(g.operators[2].kind, QB__OP_ADD);
  const float *inputs[1] = {input};
  float found;
  float *outputs[1] = {&found};
  assert_ok(qb__reference_run(&g, 1, inputs, outputs, NULL));
  assert_float_equal(found, (float)(65535 * 507 + 5), 0);
  qb__graph_clear(&g);
}

static void operators_of_other_domains_are_refused(void **state)
{
  (void)state;
  Onnx__ModelProto *m = model_of(13, "N,2", TYPE(FLOAT));
  microsoft(m, "Relu", "x", "");
  expect_problem(m, "this operator is not supported");
  m = model_of(13, "N,2", TYPE(UINT8));
  add_number(m, "s", 1);
  onnx_model_node(m, "QLinearSigmoid", "x s - s", "y", "");
  expect_problem(m, "this operator is not supported");
  m = model_of(13, "N,2", TYPE(FLOAT));
  add_number(m, "s", 0.5f);
  microsoft(m, "QuantizeLinear", "x s", "");
  expect(m, (const float[2]){1, 0.75f}, (const float[2]){2, 2}, 2);
}

static void scales_that_do_not_fit_are_refused(void **state)
{
  (void)state;
  Onnx__ModelProto *m = model_of(13, "N,3", TYPE(FLOAT));
  onnx_model_floats(m, "s", "2", (const float[2]){1, 2});
  onnx_model_node(m, "QuantizeLinear", "x s", "y", "");
  expect_problem(m, "scale");
  m = model_of(13, "N,2", TYPE(FLOAT));
  onnx_model_floats(m, "s", "2", (const float[2]){1, 2});
  onnx_model_integers(m, "z", "", TYPE(INT8), "1");
  onnx_model_node(m, "QuantizeLinear", "x s z", "y", "");
  expect_problem(m, "one for each element of an axis");
  m = model_of(13, "N,2", TYPE(UINT8));
  add_number(m, "s", 1);
  onnx_model_integers(m, "z", "", TYPE(INT8), "1");
  onnx_model_node(m, "DequantizeLinear", "x s z", "y", "");
  expect_problem(m, "a zero point of type int8 is given for elements of type uint8");
  m = model_of(13, "N,2", TYPE(FLOAT));
  add_number(m, "s", 1);
  onnx_model_integers(m, "z", "", TYPE(INT32), "1");
  onnx_model_node(m, "QuantizeLinear", "x s z", "y", "");
  expect_problem(m, "reals become integers of 8 and 16 bits, not of type int32");
}

static void computed_scales_are_single_numbers(void **state)
{
  (void)state;
  static const char *const nodes[][2] = {{"QuantizeLinear", "x s"}, {"DequantizeLinear", "q s"}};
  for (int i = 0; i < 2; i++) {
    Onnx__ModelProto *m = model_of(13, "1,2,2", TYPE(FLOAT));
    onnx_model_input(m, "s", "2"); /* of axis 1, not of the last one */
    onnx_model_integers(m, "z", "", TYPE(UINT8), "0");
    onnx_model_floats(m, "one", "", &(float){1});
    onnx_model_node(m, "QuantizeLinear", "x one z", "q", "");
    onnx_model_node(m, nodes[i][0], nodes[i][1], "y", "axis=1");
    expect_problem(m, "its computed scales and zero points are not single numbers");
  }
  Onnx__ModelProto *m = model_of(13, "2,2", TYPE(UINT8));
  onnx_model_input(m, "z", "2,1,1");
  m->graph->input[1]->type->tensor_type->elem_type = TYPE(UINT8);
  onnx_model_integers(m, "w", "2,2", TYPE(INT8), "1,2,3,4");
  onnx_model_node(m, "MatMulInteger", "x w z", "y", "");
  expect_problem(m, "its computed zero point is not a single number");
}

/* Of constants as well, which are evaluated. */
static void zero_points_have_the_type_of_what_they_shift(void **state)
{
  (void)state;
  Onnx__ModelProto *m = model_of(13, "N,2", TYPE(FLOAT));
  onnx_model_integers(m, "q", "2", TYPE(UINT8), "1,2");
  onnx_model_floats(m, "s", "1", (const float[1]){0.5f});
  onnx_model_floats(m, "z", "1", (const float[1]){0});
  onnx_model_node(m, "DequantizeLinear", "q s z", "w", "");
  onnx_model_node(m, "Add", "x w", "y", "");
  expect_problem(m, "a zero point of type float is given for elements of type uint8");
}

static void products_are_of_8_or_16_bits(void **state)
{
  (void)state;
  Onnx__ModelProto *m = model_of(13, "N,2", TYPE(UINT8));
  onnx_model_integers(m, "w", "2,1", TYPE(INT32), "-2147483648,1");
  onnx_model_node(m, "MatMulInteger", "x w", "y", "");
  expect_problem(m, "elements of type int32 with zero points of type int32 are not supported");
}

static void numbers_of_each_sample_multiply_what_has_a_batch(void **state)
{
  (void)state;
  Onnx__ModelProto *m = model_of(13, "N,2", TYPE(FLOAT));
  onnx_model_floats(m, "c", "2", (const float[2]){1, 10});
  onnx_model_node(m, "DynamicQuantizeLinear", "x", "q s z", "");
  onnx_model_node(m, "Mul", "s c", "t", "");
  onnx_model_node(m, "Cast", "q", "f", "to=1");
  onnx_model_node(m, "Mul", "f t", "y", "");
  qb_model *model = NULL;
  float found[4];
  float *outputs[1] = {found};
  static const float x[4] = {255, 51, 510, 0};
  const float *inputs[1] = {x};
  assert_ok(onnx_memory_import(context, m, &model));
  assert_ok(qb__reference_run(&model->graph, 2, inputs, outputs, NULL));
  static const float expected[4] = {255, 510, 510, 0};
  for (int i = 0; i < 4; i++)
    assert_float_equal(found[i], expected[i], 0);
  qb_model_unref(model);
}

static void numbers_of_each_sample_are_no_batch(void **state)
{
  (void)state;
  Onnx__ModelProto *m = model_of(13, "N,2", TYPE(FLOAT));
  onnx_model_ints(m, "one", "1");
  onnx_model_node(m, "DynamicQuantizeLinear", "x", "q s z", "");
  onnx_model_node(m, "Reshape", "s one", "y", "");
  expect_problem(m, "its input 's' is one number of each sample");
}

static Onnx__ModelProto *concatenation(void)
{
  Onnx__ModelProto *m = model_of(13, "N,2", TYPE(UINT8));
  add_number(m, "s", 0.5f);
  onnx_model_integers(m, "z", "", TYPE(UINT8), "7");
  onnx_model_integers(m, "c", "1,2", TYPE(UINT8), "1,2");
  microsoft(m, "QLinearConcat", "s z x s z x s z", "axis=1");
  return m;
}

static Onnx__ModelProto *dynamic_product(void)
{
  Onnx__ModelProto *m = model_of(13, "N,2", TYPE(FLOAT));
  onnx_model_integers(m, "w", "2,3", TYPE(INT8), "1,2,3,4,5,6");
  onnx_model_node(m, "DynamicQuantizeLinear", "x", "q s z", "");
  onnx_model_node(m, "MatMulInteger", "q w z", "y", "");
  return m;
}

static qb_status import_with(qb_context *other, void *make)
{
  qb_context *usual = context;
  qb_model *model = NULL;
  context = other;
  const qb_status status =
      onnx_memory_import(context, (*(Onnx__ModelProto * (**)(void)) make)(), &model);
  qb_model_unref(model);
  context = usual;
  return status;
}

static void every_allocation_of_an_import_may_fail(void **state)
{
  (void)state;
  Onnx__ModelProto *(*models[])(void) = {convolution, concatenation, dynamic_product};
  for (size_t i = 0; i < sizeof models / sizeof *models; i++)
    assert_true(check_every_allocation_failure(import_with, &models[i]) > 10);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_integers_that_a_caller_gives_are_rounded_and_saturated),
      cmocka_unit_test(integers_pass_through_what_moves_and_compares_them),
      cmocka_unit_test(scales_of_a_convolution_stay_in_the_graph),
      cmocka_unit_test(sums_of_integers_fit_floats_up_to_two_to_the_24),
      cmocka_unit_test(larger_sums_are_those_of_two_layers),
      cmocka_unit_test(operators_of_other_domains_are_refused),
      cmocka_unit_test(scales_that_do_not_fit_are_refused),
      cmocka_unit_test(computed_scales_are_single_numbers),
      cmocka_unit_test(zero_points_have_the_type_of_what_they_shift),
      cmocka_unit_test(products_are_of_8_or_16_bits),
      cmocka_unit_test(numbers_of_each_sample_multiply_what_has_a_batch),
      cmocka_unit_test(numbers_of_each_sample_are_no_batch),
      cmocka_unit_test(every_allocation_of_an_import_may_fail),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
