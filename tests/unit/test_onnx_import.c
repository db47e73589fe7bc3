/* SPDX-License-Identifier: Apache-2.0 */
/* Models as the importer sees them: the batch, constants, nodes it cannot take, several outputs. */
#include "engine/reference.h"
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/onnx_memory.h"
#include "support/onnx_model.h"
#include "support/random_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static qb_context *context;

static qb_model *imported(Onnx__ModelProto *proto)
{
  qb_model *model = NULL;
  assert_ok(onnx_memory_import(context, proto, &model));
  return model;
}

static void check_dims(const qb_model *model, bool input, uint32_t index, const char *name,
                       const char *dims)
{
  qb_tensor_info info = QB_TENSOR_INFO_INIT;
  assert_ok(input ? qb_model_get_input(model, index, &info)
                  : qb_model_get_output(model, index, &info));
  char found[128] = "";
  for (uint32_t i = 0; i < info.rank; i++)
    snprintf(found + strlen(found), sizeof found - strlen(found), "%s%lld", i ? "," : "",
             (long long)info.dims[i]);
  assert_string_equal(found, dims);
  assert_string_equal(info.name, name);
}

/* Runs one input by plain loops, two samples. */
static void run_loops(const qb_model *model, const float *input, float *output)
{
  assert_ok(qb__reference_run(&model->graph, 2, &input, &output, NULL));
}

/* A convolution and features of it, for whatever batch the input has. */
static Onnx__ModelProto *classifier(const char *image, const char *shape)
{
  Onnx__ModelProto *m = onnx_model_new(13);
  onnx_model_input(m, "x", image);
  onnx_model_random(m, "w", "4,3,3,3");
  onnx_model_random(m, "v", "16,5");
  onnx_model_ints(m, "shape", shape);
  onnx_model_node(m, "Conv", "x w", "a", "strides=2,2");
  onnx_model_node(m, "Reshape", "a shape", "b", "");
  onnx_model_node(m, "Gemm", "b v", "y", "");
  onnx_model_output(m, "y");
  return m;
}

static void the_batch_may_be_open_or_fixed(void **state)
{
  (void)state;
  static const char *const images[] = {"N,3,5,5", "1,3,5,5", "6,3,5,5"};
  static const char *const shapes[] = {"-1,16", "0,16", "0,-1"};
  float input[2 * 75], first[10], output[10];
  qb__fill_values(input, 150, 1, 0, 1);
  for (int i = 0; i < 3; i++)
    for (int s = 0; s < 3; s++) {
      qb_model *model = imported(classifier(images[i], shapes[s]));
      check_dims(model, true, 0, "x", "3,5,5");
      check_dims(model, false, 0, "y", "5");
      run_loops(model, input, output);
      if (i == 0 && s == 0)
        memcpy(first, output, sizeof first);
      assert_memory_equal(first, output, sizeof first);
      qb_model_unref(model);
    }
  qb_model_unref(imported(classifier("6,3,5,5", "6,16"))); /* the size that the file knows */
}

static void a_model_without_a_batch_is_one_sample(void **state)
{
  (void)state;
  Onnx__ModelProto *m = onnx_model_new(13);
  onnx_model_input(m, "x", "3,4");
  onnx_model_node(m, "Softmax", "x", "y", "axis=0");
  onnx_model_output(m, "y");
  qb_model *model = imported(m);
  check_dims(model, true, 0, "x", "3,4"); /* all of it is a sample */
  float input[24], output[24];
  qb__fill_values(input, 24, 1, 0, 1);
  run_loops(model, input, output);
  for (int c = 0; c < 4; c++)
    assert_float_equal(output[c] + output[4 + c] + output[8 + c], 1, 1e-6);
  qb_model_unref(model);

  m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,4");
  onnx_model_node(m, "Softmax", "x", "y", "axis=0");
  onnx_model_output(m, "y");
  assert_status(onnx_memory_import(context, m, &model), QB_ERROR_UNSUPPORTED);
  assert_message("'y' (Softmax, opset 13): it mixes samples");

  m = onnx_model_new(13); /* inputs that do not share it */
  onnx_model_input(m, "x", "3,4");
  onnx_model_input(m, "z", "4");
  onnx_model_node(m, "Add", "x z", "y", "");
  onnx_model_output(m, "y");
  model = imported(m);
  check_dims(model, true, 1, "z", "4");
  check_dims(model, false, 0, "y", "3,4");
  qb_model_unref(model);
}

static void all_problems_are_listed_at_once(void **state)
{
  (void)state;
  qb_model *model = NULL;
  Onnx__ModelProto *m = onnx_model_new(12);
  onnx_model_input(m, "x", "N,3,8,8");
  onnx_model_random(m, "w", "4,2,3,3");
  onnx_model_node(m, "Conv", "x w", "thin", "");
  onnx_model_node(m, "Relu", "thin", "behind", ""); /* not named: the first one is to blame */
  onnx_model_node(m, "Det", "x", "sum", "");
  onnx_model_node(m, "MaxPool", "x", "pool indices", "kernel_shape=2,2");
  onnx_model_output(m, "behind");
  onnx_model_output(m, "sum");
  onnx_model_output(m, "indices");
  assert_status(onnx_memory_import(context, m, &model), QB_ERROR_UNSUPPORTED);
  assert_message("3 nodes cannot be imported");
  assert_message("'thin' (Conv, opset 12): operator 'thin': weights 'w' is 4x2x3x3");
  assert_message("'sum' (Det, opset 12): this operator is not supported");
  assert_message("'pool' (MaxPool, opset 12): only its first output");
  assert_null(strstr(qb_error_message(), "behind"));
}

static void nodes_may_come_in_any_order(void **state)
{
  (void)state;
  Onnx__ModelProto *m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  onnx_model_node(m, "Relu", "c", "y", "");
  onnx_model_node(m, "Mul", "b x", "c", "");
  onnx_model_node(m, "Neg", "x", "b", "");
  onnx_model_output(m, "y");
  qb_model *model = imported(m);
  const float input[6] = {-1, 2, 3, 1, 1, 1};
  float output[6];
  run_loops(model, input, output);
  for (int i = 0; i < 6; i++)
    assert_float_equal(output[i], 0, 0); /* -x * x */
  qb_model_unref(model);
}

static void cycles_are_called_cycles(void **state)
{
  (void)state;
  qb_model *model = NULL;
  Onnx__ModelProto *m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  onnx_model_node(m, "Add", "x b", "a", "");
  onnx_model_node(m, "Relu", "a", "b", "");
  onnx_model_node(m, "Identity", "a", "y", "");
  onnx_model_output(m, "y");
  assert_status(onnx_memory_import(context, m, &model), QB_ERROR_FORMAT);
  assert_message("'a', 'b' read one another's outputs: the nodes form a cycle");
  m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  onnx_model_node(m, "Add", "x y", "y", "");
  onnx_model_output(m, "y");
  assert_status(onnx_memory_import(context, m, &model), QB_ERROR_FORMAT);
  assert_message("'y' reads its own output");
}

/* Unknown operators, missing inputs, cycles: none of that matters where no output depends on it. */
static void nodes_that_nothing_depends_on_are_ignored(void **state)
{
  (void)state;
  Onnx__ModelProto *m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  onnx_model_node(m, "Det", "x", "unknown", "");
  onnx_model_node(m, "Relu", "nowhere", "missing", "");
  onnx_model_node(m, "Relu", "ring", "ring", "");
  onnx_model_node(m, "Clip", "x", "old", "min=0.0");
  onnx_model_node(m, "Relu", "x", "y", "");
  onnx_model_output(m, "y");
  qb_model *model = imported(m);
  assert_int_equal(model->graph.operator_count, 1);
  qb_model_unref(model);
}

/* The batch second, joined with heads, and taken apart again, as attention does. */
static void the_batch_is_followed_through_attention(void **state)
{
  (void)state;
  for (int open = 0; open < 2; open++) {
    Onnx__ModelProto *m = onnx_model_new(13);
    onnx_model_input(m, "x", open ? "N,3,4" : "1,3,4");
    onnx_model_node(m, "Transpose", "x", "length_first", "perm=1,0,2");
    onnx_model_node(m, "Shape", "length_first", "shape", "");
    onnx_model_ints(m, "one", "1");
    onnx_model_ints(m, "two", "2");
    onnx_model_ints(m, "three", "3");
    onnx_model_ints(m, "four", "4");
    onnx_model_node(m, "Gather", "shape one", "batch", "axis=0");
    onnx_model_node(m, "Mul", "batch two", "pairs", "");
    onnx_model_node(m, "Concat", "three pairs two", "split", "axis=0");
    onnx_model_node(m, "Reshape", "length_first split", "heads", "");
    onnx_model_node(m, "Transpose", "heads", "head_first", "perm=1,0,2");
    onnx_model_node(m, "Transpose", "heads", "keys", "perm=1,2,0");
    onnx_model_node(m, "MatMul", "head_first keys", "scores", "");
    onnx_model_node(m, "Softmax", "scores", "weights", "axis=-1");
    onnx_model_node(m, "MatMul", "weights head_first", "mixed", "");
    onnx_model_node(m, "Transpose", "mixed", "back", "perm=1,0,2");
    onnx_model_node(m, "Mul", "batch three", "positions", ""); /* which the batch lies behind */
    onnx_model_node(m, "Concat", "positions four", "rows", "axis=0");
    onnx_model_node(m, "Reshape", "back rows", "flat", "");
    onnx_model_random(m, "w", "4,4");
    onnx_model_node(m, "MatMul", "flat w", "projected", "");
    onnx_model_node(m, "Concat", "three batch four", "joined", "axis=0");
    onnx_model_node(m, "Reshape", "projected joined", "whole", "");
    onnx_model_node(m, "Transpose", "whole", "y", "perm=1,0,2");
    onnx_model_output(m, "y");
    qb_model *model = imported(m);
    check_dims(model, false, 0, "y", "3,4");
    float input[24], both[24], alone[24];
    qb__fill_values(input, 24, 1, 0, 1);
    run_loops(model, input, both);
    for (int i = 0; i < 12; i++)
      input[i] = input[12 + i]; /* the second sample, twice */
    run_loops(model, input, alone);
    assert_memory_equal(alone, both + 12, 12 * sizeof(float));
    assert_memory_equal(alone + 12, both + 12, 12 * sizeof(float));
    qb_model_unref(model);
  }
}

static void what_joins_samples_is_refused_with_an_open_batch(void **state)
{
  (void)state;
  static const struct {
    const char *type, *inputs, *attributes;
  } cases[] = {
      {"Softmax", "x", "axis=0"},     {"ReduceMean", "x", "axes=0,1"},
      {"Concat", "x x", "axis=0"},    {"Reshape", "x flat", ""},
      {"MatMul", "x turned", ""},     {"Slice", "x one two zero", ""},
      {"Gather", "x zero", "axis=0"}, {"ArgMax", "x", "axis=0"},
      {"Split", "x", "axis=0"},       {"Tile", "x two_by_two", ""},
      {"Add", "x turned", ""},        {"Pad", "x pads", ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    qb_model *model = NULL;
    Onnx__ModelProto *m = onnx_model_new(13);
    onnx_model_input(m, "x", "N,4");
    onnx_model_ints(m, "flat", "-1");
    onnx_model_ints(m, "zero", "0");
    onnx_model_ints(m, "one", "1");
    onnx_model_ints(m, "two", "2");
    onnx_model_ints(m, "two_by_two", "2,2");
    onnx_model_ints(m, "pads", "1,0,0,0");
    onnx_model_node(m, "Transpose", "x", "turned", "perm=1,0");
    onnx_model_node(m, cases[i].type, cases[i].inputs, "y", cases[i].attributes);
    onnx_model_output(m, "y");
    const qb_status status = onnx_memory_import(context, m, &model);
    if (!strcmp(cases[i].type, "Reshape") && !status) { /* all of a sample is its part of it */
      check_dims(model, false, 0, "y", "4");
      qb_model_unref(model);
      continue;
    }
    assert_status(status, QB_ERROR_UNSUPPORTED);
    assert_message("it mixes samples, as the first dimension is the batch");
  }
}

static void a_long_list_of_problems_is_cut(void **state)
{
  (void)state;
  qb_model *model = NULL;
  Onnx__ModelProto *m = onnx_model_new(12);
  onnx_model_input(m, "x", "N,3");
  for (int i = 0; i < 100; i++) {
    char name[16];
    snprintf(name, sizeof name, "node%d", i);
    onnx_model_node(m, "Einsum", "x", name, "equation=ij");
    onnx_model_output(m, name);
  }
  assert_status(onnx_memory_import(context, m, &model), QB_ERROR_UNSUPPORTED);
  assert_message("100 nodes cannot be imported: 'node0'");
  assert_message("; ...");
}

/* What is computed of the shape of an activation. */
static void shapes_may_be_computed(void **state)
{
  (void)state;
  Onnx__ModelProto *m = onnx_model_new(13);
  onnx_model_input(m, "x", "batch,3,4,4");
  onnx_model_ints(m, "zero", "0");
  onnx_model_ints(m, "two", "2");
  onnx_model_ints(m, "channels", "3");
  onnx_model_node(m, "Shape", "x", "shape", "");
  onnx_model_node(m, "Gather", "shape zero", "n", "axis=0");
  onnx_model_node(m, "Gather", "shape two", "h", "axis=0");
  onnx_model_node(m, "Mul", "h h", "area", "");
  onnx_model_node(m, "Concat", "n channels area", "to", "axis=0");
  onnx_model_node(m, "Reshape", "x to", "r", "");
  onnx_model_node(m, "Transpose", "r", "y", "perm=0,2,1");
  onnx_model_output(m, "y");
  qb_model *model = imported(m);
  check_dims(model, false, 0, "y", "16,3");
  qb_model_unref(model);
}

static void constants_may_have_half_precision(void **state)
{
  (void)state;
  enum { HALF = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16 };
  static const uint16_t halves[4] = {0x3c00, 0xc000, 0x0001, 0x3555}; /* 1, -2, 2^-24, 1/3 */
  static const float ones[4] = {0, 0, 0, 0};
  float input[8] = {0}, output[8];
  for (int typed = 0; typed < 2; typed++) {
    Onnx__ModelProto *m = onnx_model_new(13);
    onnx_model_input(m, "x", "N,1,4");
    Onnx__TensorProto *t = onnx_model_floats(m, "c", "1,1,4", ones);
    t->data_type = HALF;
    if (typed) {
      t->has_raw_data = 0;
      t->raw_data.len = 0;
      t->int32_data = calloc(4, sizeof *t->int32_data);
      t->n_int32_data = 4;
      for (int i = 0; i < 4; i++)
        t->int32_data[i] = halves[i];
    } else {
      t->raw_data.len = sizeof halves;
      memcpy(t->raw_data.data, halves, sizeof halves);
    }
    onnx_model_node(m, "Add", "x c", "y", "");
    onnx_model_output(m, "y");
    qb_model *model = imported(m);
    run_loops(model, input, output);
    assert_float_equal(output[0], 1, 0);
    assert_float_equal(output[1], -2, 0);
    assert_float_equal(output[2], 5.9604645e-8f, 0);
    assert_float_equal(output[3], 0.33325195f, 0);
    qb_model_unref(model);
  }
}

/* An input that is an output, one value twice, an initializer listed as an input. */
static void outputs_may_be_inputs_and_repeat(void **state)
{
  (void)state;
  Onnx__ModelProto *m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  onnx_model_input(m, "z", "N,3");
  onnx_model_input(m, "c", "3");
  onnx_model_random(m, "c", "3");
  onnx_model_node(m, "Add", "x c", "s", "");
  onnx_model_node(m, "Identity", "s", "again", "");
  onnx_model_node(m, "Sum", "s z", "t", "");
  onnx_model_output(m, "x");
  onnx_model_output(m, "s");
  onnx_model_output(m, "again");
  onnx_model_output(m, "t");
  qb_model *model = imported(m);
  qb_model_info info = QB_MODEL_INFO_INIT;
  assert_ok(qb_model_get_info(model, &info));
  assert_int_equal(info.inputs, 2);
  assert_int_equal(info.outputs, 4);
  check_dims(model, false, 2, "again", "3");
  const float x[3] = {1, 2, 3}, z[3] = {10, 20, 30};
  float y[4][3];
  const float *const inputs[2] = {x, z};
  float *const outputs[4] = {y[0], y[1], y[2], y[3]};
  assert_ok(qb__reference_run(&model->graph, 1, inputs, outputs, NULL));
  assert_memory_equal(y[0], x, sizeof x);
  assert_memory_equal(y[1], y[2], sizeof y[1]);
  for (int i = 0; i < 3; i++)
    assert_float_equal(y[3][i] - y[1][i], z[i], 1e-5);
  qb_model_unref(model);
}

static void expect_failure(Onnx__ModelProto *m, qb_status status, const char *message)
{
  qb_model *model = NULL;
  assert_status(onnx_memory_import(context, m, &model), status);
  assert_message(message);
  assert_null(model);
}

static void wrong_models_are_refused(void **state)
{
  (void)state;
  Onnx__ModelProto *m = onnx_model_new(6);
  onnx_model_input(m, "x", "N,3");
  onnx_model_node(m, "Relu", "x", "y", "");
  onnx_model_output(m, "y");
  expect_failure(m, QB_ERROR_UNSUPPORTED, "opset 6");

  m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,C");
  expect_failure(m, QB_ERROR_UNSUPPORTED, "dimension 1 is not fixed");

  m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  onnx_model_node(m, "Relu", "q", "y", "");
  onnx_model_output(m, "y");
  expect_failure(m, QB_ERROR_FORMAT, "reads 'q', which nothing writes");

  m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  onnx_model_node(m, "Relu", "x", "x", "");
  expect_failure(m, QB_ERROR_FORMAT, "'x' is written twice");

  m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  expect_failure(m, QB_ERROR_FORMAT, "no outputs");

  m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  onnx_model_random(m, "c", "2,3")->dims[0] = 3;
  expect_failure(m, QB_ERROR_FORMAT, "'c' has 24 bytes of data and its dimensions need 36");

  m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  onnx_model_random(m, "c", "2,3")->dims[0] = INT64_MAX;
  expect_failure(m, QB_ERROR_FORMAT, "too large");

  m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  onnx_model_ints(m, "s", "100000,100000");
  onnx_model_node(m, "ConstantOfShape", "s", "c", "");
  onnx_model_node(m, "Add", "x c", "y", "");
  onnx_model_output(m, "y");
  expect_failure(m, QB_ERROR_NO_MEMORY, "qb_context_params.memory_limit_bytes allows");
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  Onnx__ModelProto *m = classifier("6,3,5,5", "-1,16");
  onnx_model_node(m, "Softmax", "y", "z", "axis=0"); /* imported twice: there is no batch */
  m->graph->output[0]->name[0] = 'z';
  size_t bytes;
  uint8_t *data = onnx_model_pack(m, &bytes);
  qb_context *whole = context;
  for (long n = 1;; n++) {
    failing_allocator allocator = {0};
    context = failing_allocator_context(&allocator);
    allocator.fail_at = atomic_load(&allocator.requests) + n;
    qb_model *model = NULL;
    const qb_status status = onnx_memory_load(context, data, bytes, NULL, &model);
    const bool failed = atomic_load(&allocator.requests) >= allocator.fail_at;
    assert_int_equal(status, failed ? QB_ERROR_NO_MEMORY : QB_ERROR_UNSUPPORTED);
    qb_model_unref(model);
    qb_context_unref(context);
    assert_int_equal(atomic_load(&allocator.live), 0);
    if (!failed)
      break;
  }
  context = whole;
  free(data);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_batch_may_be_open_or_fixed),
      cmocka_unit_test(a_model_without_a_batch_is_one_sample),
      cmocka_unit_test(all_problems_are_listed_at_once),
      cmocka_unit_test(a_long_list_of_problems_is_cut),
      cmocka_unit_test(nodes_may_come_in_any_order),
      cmocka_unit_test(cycles_are_called_cycles),
      cmocka_unit_test(nodes_that_nothing_depends_on_are_ignored),
      cmocka_unit_test(the_batch_is_followed_through_attention),
      cmocka_unit_test(what_joins_samples_is_refused_with_an_open_batch),
      cmocka_unit_test(shapes_may_be_computed),
      cmocka_unit_test(constants_may_have_half_precision),
      cmocka_unit_test(outputs_may_be_inputs_and_repeat),
      cmocka_unit_test(wrong_models_are_refused),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
