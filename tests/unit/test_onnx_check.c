/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes against the signatures of their operators: what is refused, and what a missing value is. */
#include "engine/reference.h"
#include "model/onnx_map.h"
#include "support/expect.h"
#include "support/onnx_memory.h"
#include "support/onnx_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static qb_context *context;

static Onnx__ModelProto *model_of(int64_t opset, const char *dims)
{
  Onnx__ModelProto *m = onnx_model_new(opset);
  onnx_model_input(m, "x", dims);
  onnx_model_output(m, "y");
  return m;
}

static void expect_refusal(Onnx__ModelProto *proto, const char *message)
{
  qb_model *model = NULL;
  assert_status(onnx_memory_import(context, proto, &model), QB_ERROR_UNSUPPORTED);
  assert_message(message);
}

/* Runs one sample and compares all `count` outputs; NaN equals NaN. */
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
    if (!(fabs((double)found[i] - output[i]) <= 1e-5) && !(isnan(found[i]) && isnan(output[i])))
      fail_msg("output %zu is %g instead of %g", i, found[i], output[i]);
  free(found);
  qb_model_unref(model);
}

/* Of another opset, of another type, of no known word, missing, unknown, given twice. */
static void attributes_that_do_not_fit_are_refused(void **state)
{
  (void)state;
  static const struct {
    int64_t opset;
    const char *type, *inputs, *attributes, *message;
  } cases[] = {
      {13, "Clip", "x", "min=0.0 max=6.0",
       "'y' (Clip, opset 13): attribute 'min' exists up to opset 10; later opsets have an input"},
      {10, "Clip", "x w w", "", "it has 3 inputs; expected 1"},
      {10, "Clip", "x", "min=0 max=6", "attribute 'min' is an integer; expected a float"},
      {18, "ReduceMean", "x", "axes=2,3", "attribute 'axes' exists up to opset 17"},
      {13, "Squeeze", "x", "axes=3,", "attribute 'axes' exists up to opset 12"},
      {7, "Add", "x w", "broadcast=1 axis=1", "unknown attribute 'broadcast'"},
      {13, "Conv", "x w", "auto_pad=SAME",
       "attribute 'auto_pad' is 'SAME'; expected one of: NOTSET SAME_UPPER SAME_LOWER"},
      {13, "Conv", "x w", "strides=2",
       "attribute 'strides' is an integer; expected a list of integers"},
      {13, "Conv", "x w", "kernel_shape=3,3", "'kernel_shape' is 3 where its weights have 1"},
      {13, "LeakyRelu", "x", "alpha=1", "attribute 'alpha' is an integer; expected a float"},
      {13, "LeakyRelu", "x", "alpha=1.0 alpha=1.0", "attribute 'alpha' is given twice"},
      {13, "LeakyRelu", "x", "beta=1.0", "unknown attribute 'beta'"},
      {13, "MaxPool", "x", "", "attribute 'kernel_shape' is missing"},
      {13, "Concat", "x x", "", "attribute 'axis' is missing"},
      {9, "MaxPool", "x", "kernel_shape=1,1 ceil_mode=1", "'ceil_mode' exists from opset 10 on"},
      {13, "Mish", "x", "", "the operator exists from opset 18 on"},
      {10, "Upsample", "x w", "", "the operator exists up to opset 9"},
      {13, "Relu", "x x", "", "it has 2 inputs; expected 1"},
      {13, "Conv", "x", "", "it has 1 input; expected 2 to 3"},
      {13, "Conv", "x -", "", "its required input 2 is missing"},
      {13, "Sum", "x - x", "", "its required input 2 is missing"},
      {18, "Split", "x", "axis=1", "it has neither sizes nor 'num_outputs'; expected one of them"},
      {18, "Split", "x", "axis=1 num_outputs=2", "'num_outputs' is 2; it has 1"},
      {14, "BatchNormalization", "x c c c c", "training_mode=1", "it is in training mode"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Onnx__ModelProto *m = model_of(cases[i].opset, "N,2,4,4");
    onnx_model_random(m, "w", "2,2,1,1");
    onnx_model_random(m, "c", "2");
    onnx_model_node(m, cases[i].type, cases[i].inputs, "y", cases[i].attributes);
    expect_refusal(m, cases[i].message);
  }
}

static void training_is_refused_in_every_form(void **state)
{
  (void)state;
  Onnx__ModelProto *m = model_of(9, "N,2,1,1"); /* by its outputs, before opset 14 */
  onnx_model_random(m, "c", "2");
  onnx_model_node(m, "BatchNormalization", "x c c c c", "y mean variance", "");
  expect_refusal(m, "it is in training mode");
  m = model_of(12, "N,2");
  onnx_model_floats(m, "ratio", "", (const float[1]){0.5f});
  Onnx__TensorProto *training = onnx_model_ints(m, "training", "1");
  training->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__BOOL;
  training->n_int32_data = 1;
  training->int32_data = malloc(sizeof *training->int32_data);
  training->int32_data[0] = 1;
  training->has_raw_data = 0;
  training->n_int64_data = 0;
  training->n_dims = 0;
  onnx_model_floats(m, "w", "2", (const float[2]){1, 2});
  onnx_model_node(m, "Dropout", "w ratio training", "d", ""); /* of constants, too */
  onnx_model_node(m, "Mul", "x d", "y", "");
  expect_refusal(m, "it is in training mode");
}

/* A dropout that drops nothing computes the same in training. */
static void a_dropout_of_nothing_is_none(void **state)
{
  (void)state;
  Onnx__ModelProto *m = model_of(13, "N,2");
  onnx_model_floats(m, "ratio", "", (const float[1]){0});
  onnx_model_ints(m, "yes", "1");
  onnx_model_node(m, "Cast", "yes", "training", "to=9");
  onnx_model_node(m, "Dropout", "x ratio training", "y", "");
  expect(m, (const float[2]){-1, 2}, (const float[2]){-1, 2}, 2);
}

/* As writers do that leave out zeros. */
static Onnx__NodeProto *wipe(Onnx__NodeProto *node, const char *name)
{
  for (size_t i = 0; i < node->n_attribute; i++)
    if (!strcmp(node->attribute[i]->name, name))
      node->attribute[i]->has_f = node->attribute[i]->has_i = 0;
  return node;
}

static void an_attribute_without_a_value_is_zero(void **state)
{
  (void)state;
  static const float x[2] = {-1, 2};
  Onnx__ModelProto *m = model_of(13, "N,2");
  onnx_model_floats(m, "w", "2,2", (const float[4]){1, 0, 0, 1});
  onnx_model_floats(m, "c", "2", (const float[2]){100, 100});
  wipe(onnx_model_node(m, "Gemm", "x w c", "y", "beta=0.0"), "beta");
  expect(m, x, (const float[2]){-1, 2}, 2);
  m = model_of(13, "N,2");
  wipe(onnx_model_node(m, "LeakyRelu", "x", "y", "alpha=0.0"), "alpha");
  expect(m, x, (const float[2]){0, 2}, 2);
  m = model_of(10, "N,2");
  wipe(onnx_model_node(m, "Clip", "x", "y", "min=0.0 max=6.0"), "min");
  expect(m, x, (const float[2]){0, 2}, 2);
  m = model_of(13, "N,2");
  wipe(onnx_model_node(m, "HardSigmoid", "x", "y", "beta=0.0"), "beta");
  expect(m, x, (const float[2]){0, 0.4f}, 2);
  m = model_of(13, "1,2"); /* over the first dimension, which is no batch then */
  wipe(onnx_model_node(m, "Softmax", "x", "y", "axis=0"), "axis");
  expect(m, x, (const float[2]){1, 1}, 2);
  m = model_of(13, "N,2,2");
  wipe(onnx_model_node(m, "ReduceSum", "x", "y", "keepdims=0"), "keepdims");
  expect_refusal(m, "it mixes samples");
  m = model_of(13, "N,2,2");
  wipe(onnx_model_node(m, "ArgMax", "x", "y", "axis=1 keepdims=0"), "keepdims");
  expect(m, (const float[4]){1, 4, 3, 2}, (const float[2]){1, 0}, 2);
}

/* Files of IR version 1 have no types of attributes. */
static void an_attribute_without_a_type_has_that_of_its_value(void **state)
{
  (void)state;
  Onnx__ModelProto *m = model_of(13, "N,2");
  Onnx__NodeProto *node = onnx_model_node(m, "LeakyRelu", "x", "y", "alpha=0.5");
  node->attribute[0]->has_type = 0;
  node->attribute[0]->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED;
  expect(m, (const float[2]){-1, 2}, (const float[2]){-0.5f, 2}, 2);
}

static void every_operator_is_found_by_its_name(void **state)
{
  (void)state;
  for (size_t i = 0; i < qb__onnx_schema_count; i++) {
    const qb__onnx_schema *schema = &qb__onnx_schemas[i];
    assert_ptr_equal(qb__onnx_schema_of(schema->type), schema);
    if (!qb__onnx_operator_of(schema->type) && !qb__onnx_folds(schema->type))
      fail_msg("%s is neither mapped nor evaluated", schema->type);
    assert_null(qb__onnx_form_in(schema, 0));
    assert_ptr_equal(qb__onnx_form_in(schema, schema->forms->since), schema->forms);
  }
  assert_null(qb__onnx_schema_of(""));
  assert_null(qb__onnx_schema_of("relu"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(attributes_that_do_not_fit_are_refused),
      cmocka_unit_test(training_is_refused_in_every_form),
      cmocka_unit_test(a_dropout_of_nothing_is_none),
      cmocka_unit_test(an_attribute_without_a_value_is_zero),
      cmocka_unit_test(an_attribute_without_a_type_has_that_of_its_value),
      cmocka_unit_test(every_operator_is_found_by_its_name),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
