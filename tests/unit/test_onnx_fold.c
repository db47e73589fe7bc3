/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluating constants: what is refused, what it may take, what happens without memory. */
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/onnx_memory.h"
#include "support/onnx_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* y = x + c, for a constant c of four floats that nodes make. */
static uint8_t *add_constant(Onnx__ModelProto *m, size_t *bytes)
{
  onnx_model_input(m, "x", "N,4");
  onnx_model_node(m, "Add", "x c", "y", "");
  onnx_model_output(m, "y");
  return onnx_model_pack(m, bytes);
}

static qb_status load(const uint8_t *data, size_t bytes, uint64_t limit_bytes)
{
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  qb_context *context;
  qb_model *model = NULL;
  params.memory_limit_bytes = limit_bytes;
  assert_ok(qb_context_new(&params, &context));
  const qb_status status = onnx_memory_load(context, data, bytes, NULL, &model);
  qb_model_unref(model);
  qb_context_unref(context);
  return status;
}

/* Frees the model. */
static qb_status load_constant(Onnx__ModelProto *m, uint64_t limit_bytes)
{
  size_t bytes;
  uint8_t *data = add_constant(m, &bytes);
  const qb_status status = load(data, bytes, limit_bytes);
  free(data);
  return status;
}

/* A number of elements out of nothing, of which four are used. */
static Onnx__ModelProto *made_of(const char *shape)
{
  Onnx__ModelProto *m = onnx_model_new(13);
  onnx_model_ints(m, "shape", shape);
  onnx_model_ints(m, "zero", "0");
  onnx_model_ints(m, "four", "4");
  onnx_model_node(m, "ConstantOfShape", "shape", "all", "");
  onnx_model_node(m, "Slice", "all zero four", "c", "");
  return m;
}

static void the_memory_limit_is_the_only_limit(void **state)
{
  (void)state;
  assert_ok(load_constant(made_of("20000000"), 0)); /* 80 MB */
  assert_status(load_constant(made_of("20000000"), 70000000), QB_ERROR_NO_MEMORY);
  assert_message("loading this model takes more memory than the 70000000 bytes");
  assert_message("needs 80000000 more");
  assert_ok(load_constant(made_of("20000000"), 90000000));
  assert_status(load_constant(made_of("1000000000000000"), 0), QB_ERROR_NO_MEMORY);
  assert_message("qb_context_params.memory_limit_bytes");
  assert_status(load_constant(made_of("9000000000000000000"), 0), QB_ERROR_NO_MEMORY);
  assert_status(load_constant(made_of("20000000"), 100), QB_ERROR_NO_MEMORY); /* the file itself */
}

/* What is no longer read does not count: 50 constants of 1 MB, one after another. */
static void memory_is_counted_while_it_is_held(void **state)
{
  (void)state;
  Onnx__ModelProto *m = onnx_model_new(13);
  char from[16] = "all", to[32];
  onnx_model_ints(m, "shape", "262144");
  onnx_model_ints(m, "zero", "0");
  onnx_model_ints(m, "four", "4");
  onnx_model_node(m, "ConstantOfShape", "shape", "all", "");
  for (int i = 0; i < 50; i++) {
    snprintf(to, sizeof to, "n%d", i);
    onnx_model_node(m, "Neg", from, to, "");
    strcpy(from, to);
  }
  snprintf(to, sizeof to, "%s zero four", from);
  onnx_model_node(m, "Slice", to, "c", "");
  assert_ok(load_constant(m, 3 << 20));
}

typedef struct refusal {
  const char *type, *inputs, *outputs, *attributes, *message;
} refusal;

/* Constants to go wrong with. */
static Onnx__ModelProto *with_constants(void)
{
  static const float numbers[4] = {1, 2, 3, 4};
  Onnx__ModelProto *m = onnx_model_new(17);
  onnx_model_floats(m, "f", "2,2", numbers);
  onnx_model_floats(m, "half", "", numbers);
  onnx_model_ints(m, "i", "1,2,3,4");
  onnx_model_ints(m, "zero", "0");
  onnx_model_ints(m, "three", "1,2,3");
  onnx_model_ints(m, "nine", "9");
  onnx_model_ints(m, "minus", "-9");
  return m;
}

static void constants_that_cannot_be_computed_are_named(void **state)
{
  (void)state;
  static const refusal refusals[] = {
      {"Div", "i zero", "bad", "", "an integer is divided by 0"},
      {"Mod", "i zero", "bad", "", "an integer is divided by 0"},
      {"Mod", "f f", "bad", "", "the operator does not take elements of type float"},
      {"Add", "i f", "bad", "", "type int64 are combined with those of type float"},
      {"Add", "i three", "bad", "", "incompatible"},
      {"And", "i i", "bad", "", "does not take elements of type int64"},
      {"Not", "i", "bad", "", "does not take elements of type int64"},
      {"Sqrt", "i", "bad", "", "does not take elements of type int64"},
      {"Where", "i f f", "bad", "", "by a condition of type int64"},
      {"Clip", "f zero", "bad", "", "its 'min' is not one float"},
      {"Cast", "f", "bad", "to=8", "ONNX type 8"},
      {"Gather", "i nine", "bad", "", "index 9 is out of range for a dimension of 4"},
      {"Gather", "i minus", "bad", "", "index -9 is out of range for a dimension of 4"},
      {"Gather", "i f", "bad", "", "its indices are not integers"},
      {"GatherElements", "f i", "bad", "", "its indices do not match"},
      {"GatherND", "i three", "bad", "", "its indices do not match"},
      {"ScatterND", "i zero f", "bad", "", "do not match"},
      {"Slice", "i zero three", "bad", "", "differ in number"},
      {"Slice", "i zero nine zero zero", "bad", "", "its step is 0"},
      {"Split", "i three", "bad b", "", "cannot be split into 2 parts"},
      {"Split", "three", "bad b", "", "cannot be split into 2 parts"},
      {"Concat", "f i", "bad", "axis=0", "incompatible"},
      {"Expand", "i three", "bad", "", "does not match the requested shape"},
      {"Expand", "i minus", "bad", "", "does not match the requested shape"},
      {"Tile", "i minus", "bad", "", "one repeat for each of 1 dimensions"},
      {"ConstantOfShape", "minus", "bad", "", "its shape is negative"},
      {"Range", "half half zero", "bad", "", "three numbers of one type"},
      {"EyeLike", "i", "bad", "", "not a matrix"},
      {"OneHot", "i minus three", "bad", "", "not two"},
      {"Trilu", "i", "bad", "", "not a matrix"},
      {"ReduceMax", "i", "bad", "axes=7,", "axis 7"},
      {"MatMul", "f three", "bad", "", "not compatible matrices"},
      {"Gemm", "f f three", "bad", "", "not compatible matrices"},
      {"Dropout", "f", "bad mask", "", "its output 'mask' is used"},
  };
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    const refusal *r = &refusals[i];
    Onnx__ModelProto *m = with_constants();
    onnx_model_node(m, r->type, r->inputs, r->outputs, r->attributes);
    onnx_model_node(m, "Shape", strstr(r->outputs, "mask") ? "mask" : "bad", "s", "");
    onnx_model_node(m, "ConstantOfShape", "s", "c", "");
    const qb_status status = load_constant(m, 0);
    if (status != QB_ERROR_UNSUPPORTED || !strstr(qb_error_message(), r->message) ||
        !strstr(qb_error_message(), "'bad'"))
      fail_msg("%s of %s: %s: %s", r->type, r->inputs, qb_status_name(status), qb_error_message());
  }
}

/* A node of every way to evaluate; what they make is joined by their shapes. */
static uint8_t *every_evaluation(size_t *bytes)
{
  static const char *const nodes[][4] = {
      {"Shape", "x", "s", ""},
      {"Gather", "s zero", "n", ""},
      {"Identity", "s", "s1", ""},
      {"Add", "s1 zero", "s2", ""},
      {"Max", "s2 s1 zero", "s3", ""},
      {"Cast", "s3", "s4", "to=6"},
      {"Cast", "s4", "s5", "to=7"},
      {"Equal", "s5 minus", "e", ""},
      {"Where", "e i s5", "w", ""},
      {"Split", "w", "h t", "axis=0"},
      {"Concat", "h t", "to", "axis=0"},
      {"Expand", "one to", "wide", ""},
      {"Transpose", "wide", "turned", "perm=1,0"},
      {"Reshape", "n minus", "n1", ""},
      {"Size", "wide", "size", ""},
      {"Clip", "f half half", "f1", ""},
      {"Mean", "f1 f half", "f2", ""},
      {"Pow", "f2 two", "f3", ""},
      {"Tile", "f3 pair", "f4", ""},
      {"Slice", "f4 zero two", "f5", ""},
      {"ReduceMean", "f5", "f6", "axes=1, keepdims=0"},
      {"ReduceSum", "i zero", "r", ""},
      {"ArgMax", "f4", "arg", "keepdims=0"},
      {"CumSum", "f4 zero", "cum", ""},
      {"MatMul", "f f", "f7", ""},
      {"Gemm", "f7 f half", "f8", ""},
      {"Trilu", "f8", "f9", ""},
      {"EyeLike", "f9", "eye", ""},
      {"OneHot", "arg three2 pairf", "hot", ""},
      {"GatherElements", "i one4", "g", ""},
      {"GatherND", "i column", "g2", ""},
      {"ScatterND", "i column four", "g3", ""},
      {"Range", "zero0 nine0 two0", "range", ""},
      {"ConstantOfShape", "pair", "zeros", ""},
      {"Constant", "", "k", "value_ints=1,2"},
      {"Neg", "f4", "f10", ""},
  };
  static const float numbers[4] = {1, 2, 3, 4};
  Onnx__ModelProto *m = onnx_model_new(17);
  onnx_model_floats(m, "f", "2,2", numbers);
  onnx_model_floats(m, "half", "", numbers);
  onnx_model_floats(m, "pairf", "2", numbers);
  onnx_model_ints(m, "i", "1,2");
  onnx_model_ints(m, "one4", "1,0");
  onnx_model_ints(m, "column1", "1,0");
  onnx_model_ints(m, "two_by_one", "2,1");
  onnx_model_ints(m, "four", "5,6");
  onnx_model_ints(m, "zero", "0");
  onnx_model_ints(m, "one", "1");
  onnx_model_ints(m, "two", "2");
  onnx_model_ints(m, "pair", "2,2");
  onnx_model_ints(m, "minus", "-1");
  onnx_model_ints(m, "three2", "3");
  onnx_model_ints(m, "nine", "9");
  onnx_model_node(m, "Reshape", "column1 two_by_one", "column", "");
  onnx_model_node(m, "Squeeze", "zero", "zero0", "");
  onnx_model_node(m, "Squeeze", "nine", "nine0", "");
  onnx_model_node(m, "Squeeze", "two", "two0", "");
  static const char *const ends[] = {"turned", "n1",  "size", "f6",  "r",  "cum",
                                     "eye",    "hot", "g",    "g2",  "g3", "range",
                                     "zeros",  "k",   "f10",  "arg", NULL};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
    onnx_model_node(m, nodes[i][0], nodes[i][1], nodes[i][2], nodes[i][3]);
  char sum[16] = "none";
  onnx_model_ints(m, "none", "4");
  for (int i = 0; ends[i]; i++) { /* all of them depend on every one of these */
    char name[16], inputs[40], shape[16];
    snprintf(shape, sizeof shape, "size%d", i);
    snprintf(name, sizeof name, "sum%d", i);
    onnx_model_node(m, "Shape", ends[i], shape, "end=0");
    snprintf(inputs, sizeof inputs, "%s %s", sum, shape);
    onnx_model_node(m, "Concat", inputs, name, "axis=0");
    strcpy(sum, name);
  }
  onnx_model_node(m, "ConstantOfShape", sum, "c", "");
  return add_constant(m, bytes);
}

static qb_status load_all(qb_context *context, void *user)
{
  const onnx_memory *file = user;
  qb_model *model = NULL;
  const qb_status status = onnx_memory_load(context, file->data, file->bytes, NULL, &model);
  qb_model_unref(model);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  onnx_memory file;
  uint8_t *data = every_evaluation(&file.bytes);
  file.data = data;
  assert_true(check_every_allocation_failure(load_all, &file) > 300);
  free(data);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_memory_limit_is_the_only_limit),
      cmocka_unit_test(memory_is_counted_while_it_is_held),
      cmocka_unit_test(constants_that_cannot_be_computed_are_named),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
