/* SPDX-License-Identifier: Apache-2.0 */
/* What depends on the size of an open batch: arithmetic, moves, constants repeated along it. */
#include "model/onnx_fold.h"

#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/onnx_memory.h"
#include "support/onnx_model.h"
#include "support/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static qb_context *context;

typedef struct operation {
  const char *name;
  int64_t (*of)(int64_t a, int64_t b);
} operation;

static int64_t sum(int64_t a, int64_t b)
{
  return a + b;
}

static int64_t difference(int64_t a, int64_t b)
{
  return a - b;
}

static int64_t product(int64_t a, int64_t b)
{
  return a * b;
}

static int64_t quotient(int64_t a, int64_t b)
{
  return a / b;
}

static int64_t rest(int64_t a, int64_t b)
{
  return ((a % b) + b) % b;
}

static int64_t least(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

static int64_t equal(int64_t a, int64_t b)
{
  return a == b;
}

static int64_t less(int64_t a, int64_t b)
{
  return a < b;
}

static int64_t less_or_equal(int64_t a, int64_t b)
{
  return a <= b;
}

static int64_t greater(int64_t a, int64_t b)
{
  return a > b;
}

static int64_t greater_or_equal(int64_t a, int64_t b)
{
  return a >= b;
}

static const operation operations[] = {
    {"Add", sum},         {"Sub", difference},
    {"Mul", product},     {"Div", quotient},
    {"Mod", rest},        {"Min", least},
    {"Max", most},        {"Equal", equal},
    {"Less", less},       {"LessOrEqual", less_or_equal},
    {"Greater", greater}, {"GreaterOrEqual", greater_or_equal},
};

/* The value of k times the batch, or of a number, for one batch. */
static int64_t at_batch(qb__onnx_amount amount, int64_t batch)
{
  return amount.open ? amount.value / QB__ONNX_SYMBOLIC * batch : amount.value;
}

/* A number, or k times the batch; divisors are positive. */
static qb__onnx_amount draw(uint64_t *random, bool open, bool positive)
{
  const int64_t k = random_int(random, open || positive ? 1 : -8, 8);
  const qb__onnx_amount amount = {open ? k * QB__ONNX_SYMBOLIC : k, open};
  return amount;
}

/*
 * Whether what an operation gives for all batches is one number, or one positive multiple of them.
 */
static bool has_form(const operation *o, qb__onnx_amount a, qb__onnx_amount b)
{
  enum { BATCHES = 100 };
  const int64_t first = o->of(at_batch(a, 1), at_batch(b, 1));
  bool constant = true, multiple = first >= 1;
  for (int64_t n = 2; n <= BATCHES; n++) {
    const int64_t value = o->of(at_batch(a, n), at_batch(b, n));
    constant = constant && value == first;
    multiple = multiple && value == first * n;
  }
  return constant || multiple;
}

/* Accepted exactly where there is such a form, and then with the value that every batch has. */
static void arithmetic_holds_for_every_batch(void **state)
{
  (void)state;
  uint64_t random = random_start();
  int accepted = 0;
  for (int i = 0; i < 50000; i++) {
    const operation *o = &operations[random_int(&random, 0, 11)];
    const qb__onnx_binary *binary = qb__onnx_binary_of(o->name);
    const bool open = random_int(&random, 0, 1);
    const qb__onnx_amount a = draw(&random, open, false);
    const qb__onnx_amount b = draw(&random, !open || random_int(&random, 0, 1), binary->divides);
    qb__onnx_amount result;
    const bool good = binary->open(QB__ONNX_TYPE(INT64), a, b, &result);
    if (good != has_form(o, a, b))
      fail_msg("%s of %lld%s and %lld%s is %s", o->name, (long long)at_batch(a, 1),
               a.open ? " N" : "", (long long)at_batch(b, 1), b.open ? " N" : "",
               good ? "accepted" : "refused");
    for (int64_t n = 1; good && n < 50; n++)
      assert_int_equal(at_batch(result, n), o->of(at_batch(a, n), at_batch(b, n)));
    accepted += good;
  }
  assert_in_range(accepted, 10000, 45000);
}

static void types_that_batches_do_not_fit_are_refused(void **state)
{
  (void)state;
  const qb__onnx_amount batch = {QB__ONNX_SYMBOLIC, true}, two = {2, false};
  qb__onnx_amount result;
  assert_true(qb__onnx_open_multiply(QB__ONNX_TYPE(INT32), batch, two, &result));
  assert_false(qb__onnx_open_multiply(QB__ONNX_TYPE(INT16), batch, two, &result));
  assert_false(qb__onnx_open_fits(QB__ONNX_TYPE(FLOAT)));
}

/* A network with the shape "N, 3, 4, 4" of its input x in `s`, and numbers to compute with. */
static Onnx__ModelProto *with_shape(void)
{
  Onnx__ModelProto *m = onnx_model_new(17);
  onnx_model_input(m, "x", "N,3,4,4");
  onnx_model_ints(m, "zero", "0");
  onnx_model_ints(m, "one", "1");
  onnx_model_ints(m, "two", "2");
  onnx_model_ints(m, "four", "4");
  onnx_model_ints(m, "minus", "-1");
  onnx_model_ints(m, "three", "3");
  onnx_model_ints(m, "order", "0,1,3,2");
  onnx_model_ints(m, "pair", "2,2");
  onnx_model_ints(m, "ones", "1,1,1,1");
  onnx_model_ints(m, "points", "0,1,2,3");
  onnx_model_node(m, "Shape", "x", "s", "");
  return m;
}

/* Nodes of one operator each: "TYPE inputs > outputs attributes", and whether "to" is a shape. */
static void add_nodes(Onnx__ModelProto *m, const char *const *nodes)
{
  for (; *nodes; nodes++) {
    char type[32], inputs[64], outputs[64], attributes[64] = "";
    assert_true(
        sscanf(*nodes, "%31s %63[^>]> %63[^|]| %63[^\n]", type, inputs, outputs, attributes) >= 3);
    for (char *end = outputs + strlen(outputs); end > outputs && end[-1] == ' ';)
      *--end = 0;
    for (char *end = inputs + strlen(inputs); end > inputs && end[-1] == ' ';)
      *--end = 0;
    onnx_model_node(m, type, inputs, outputs, attributes);
  }
}

/* Moves and computations that end in `to`, a shape that x is given. */
static void the_batch_is_followed_through_rearrangements(void **state)
{
  (void)state;
  enum { MOST = 7 };
  static const char *const ways[][MOST] = {
      {"Identity s > to"},
      {"Slice s zero one > n", "Concat n minus > to | axis=0"},
      {"Slice s minus zero zero minus > back", "Concat zero minus > to | axis=0"},
      {"Gather s order > to | axis=0"},
      {"GatherElements s order > to"},
      {"Split s pair > head tail", "Concat head tail > to | axis=0"},
      {"Split s pair > head tail", "Split head > n c", "Concat n c tail > to | axis=0"},
      {"Mul s one > to"},
      {"Add s zero > a", "Div a one > b", "Max b one > c", "Sub c zero > to"},
      {"Mul s four > a", "Div a four > to"},
      {"Unsqueeze s one > column", "Transpose column > row", "Squeeze row zero > to"},
      {"Equal s minus > none", "Where none four s > to"},
      {"Greater s zero > all", "Where all s four > to"},
      {"Cast s > narrow | to=6", "Cast narrow > to | to=7"},
      {"Gather s zero > n | axis=0", "Reshape n minus > n1", "Concat n1 minus > to | axis=0"},
      {"Size x > all", "Div all four > q", "Div q four > q2", "Div q2 three > n",
       "Concat n minus > to | axis=0"},
      {"ReduceProd s > all | keepdims=1", "Gather s zero > n | axis=0", "Div all n > each",
       "Concat n each > to | axis=0"},
      {"Expand s four > wide", "Slice wide zero one zero > first",
       "Concat first minus > to | axis=0"},
      {"Reshape s pair > square", "Flatten square > flat | axis=0", "Squeeze flat zero > to"},
      {"ConstantOfShape s > c", "Shape c > to"},
      {"ConstantOfShape s > c", "Add c c > d", "Cast d > e | to=7", "Shape e > to"},
      {"ConstantOfShape s > c", "Unsqueeze c minus > u", "Squeeze u minus > q", "Shape q > to"},
      {"ConstantOfShape s > c", "Transpose c > t | perm=1,0,2,3", "Transpose t > u | perm=1,0,2,3",
       "Shape u > to"},
      {"ConstantOfShape s > c", "Split c pair > a b | axis=-1", "Concat b a > d | axis=-1",
       "Shape d > to"},
      {"ConstantOfShape s > c", "Slice c zero two three > a", "Concat a a > d | axis=3",
       "Flatten d > flat", "Shape flat > to"},
      {"Reshape one ones > t", "Tile t s > c", "Shape c > to"},
      {"Reshape one ones > t", "Expand t s > c", "Equal c t > e", "Where e c t > w",
       "Shape w > to"},
      {"ConstantOfShape s > c", "Size c > all", "Div all four > q", "Div q four > q2",
       "Div q2 three > n", "Concat n minus > to | axis=0"},
  };
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    Onnx__ModelProto *m = with_shape();
    qb_model *model = NULL;
    add_nodes(m, ways[i]);
    onnx_model_node(m, "Reshape", "x to", "y", "");
    onnx_model_output(m, "y");
    if (onnx_memory_import(context, m, &model))
      fail_msg("way %zu, to %s: %s", i, ways[i][0], qb_error_message());
    assert_int_equal(model->graph.tensors[model->graph.outputs[0]].elements, 48);
    qb_model_unref(model);
  }
}

/* What needs the batch as a number is refused, and the node is named. */
static void nodes_that_need_the_batch_as_a_number_are_refused(void **state)
{
  (void)state;
  enum { MOST = 4 };
  static const char *const ways[][MOST] = {
      {"Gather s zero > n | axis=0", "Cast n > bad | to=1"},
      {"Gather s zero > n | axis=0", "Add n one > bad"},
      {"Gather s zero > n | axis=0", "Mul n n > bad"},
      {"Gather s zero > n | axis=0", "Div n two > bad"},
      {"Gather s zero > n | axis=0", "Sub n one > bad"},
      {"Gather s zero > n | axis=0", "Equal n two > bad"},
      {"Gather s zero > n | axis=0", "Neg n > bad"},
      {"Gather s zero > n | axis=0", "Mod n two > bad"},
      {"Gather s zero > n | axis=0", "Mod n zero > bad"},
      {"Gather s zero > n | axis=0", "Div n zero > bad"},
      {"Gather s zero > n | axis=0", "Pow n two > bad"},
      {"Cast s > bad | to=5"},
      {"ReduceSum s > bad"},
      {"ReduceMean s > bad"},
      {"ArgMax s > bad"},
      {"CumSum s zero > bad"},
      {"Gather s zero > n | axis=0", "Squeeze n > n0", "Range one n one > bad"},
      {"Gather four s > bad | axis=0"},
      {"Slice four zero s > bad"},
      {"Tile pair s > bad"},
      {"ConstantOfShape s > c", "ReduceSum c > bad"},
      {"ConstantOfShape s > c", "Reshape c minus > bad"},
      {"ConstantOfShape s > c", "Gather c zero > bad"},
      {"ConstantOfShape s > c", "Concat c c > bad | axis=0"},
      {"ConstantOfShape s > c", "Slice c one two > bad"},
      {"ConstantOfShape s > c", "MatMul x c > bad"},
      {"ConstantOfShape s > c", "Cast c > i | to=7", "Gather x i > bad | axis=1"},
      {"ConstantOfShape s > c", "Cast c > i | to=7", "Reshape x i > bad"},
      {"OneHot zero s pair > bad"},
      {"Trilu pair s > bad"},
  };
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    Onnx__ModelProto *m = with_shape();
    qb_model *model = NULL;
    add_nodes(m, ways[i]);
    onnx_model_node(m, "Shape", "bad", "shape", "");
    onnx_model_node(m, "ConstantOfShape", "shape", "z", "");
    onnx_model_node(m, "Add", "x z", "y", "");
    onnx_model_output(m, "y");
    const qb_status status = onnx_memory_import(context, m, &model);
    if (status != QB_ERROR_UNSUPPORTED || !strstr(qb_error_message(), "'bad'"))
      fail_msg("way %zu, %s: %s: %s", i, ways[i][0], qb_status_name(status), qb_error_message());
    assert_null(model);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arithmetic_holds_for_every_batch),
      cmocka_unit_test(types_that_batches_do_not_fit_are_refused),
      cmocka_unit_test(the_batch_is_followed_through_rearrangements),
      cmocka_unit_test(nodes_that_need_the_batch_as_a_number_are_refused),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
