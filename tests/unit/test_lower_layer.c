/* SPDX-License-Identifier: Apache-2.0 */
/* Dense and linear layers in int8 and bf16 against plain loops. */
#include "engine/lowering.h"
#include "model/builtin.h"
#include "model/model_data.h"
#include "support/expect.h"
#include "support/random.h"

#include <qosbatch/session.h>

#include <math.h>
#include <stdlib.h>

static qb_context *context;

/* Of integers, or of reals without anything behind the layer. */
typedef struct layer {
  uint32_t batch;
  bool is_linear; /* the same for each row of a sample, else one row is a sample */
  uint32_t rank;
  int64_t dims[3];
  int64_t rows, inputs, outputs; /* of a sample; of a row the last two */
  float *x, *weights, *bias;
  int zero_point; /* of integers, with what follows */
  bool is_signed, requantizes;
  qb__activation activation;
  float *factors;
  int result_zero_point;
} layer;

static int64_t pick(uint64_t *seed, int64_t least, int64_t most)
{
  return least + (int64_t)random_int(seed, 0, (uint64_t)(most - least));
}

static layer random_shape(uint64_t *seed)
{
  layer l = {.batch = (uint32_t)pick(seed, 1, 3), .is_linear = random_int(seed, 0, 1), .rows = 1};
  l.inputs = random_int(seed, 0, 3) ? pick(seed, 1, 70) : 16 * pick(seed, 1, 20);
  l.outputs = random_int(seed, 0, 3) ? pick(seed, 1, 70) : pick(seed, 193, 260);
  l.rank = l.is_linear ? (uint32_t)pick(seed, 2, 3) : 1;
  for (uint32_t i = 0; i + 1 < l.rank; i++) {
    l.dims[i] = pick(seed, 1, 9);
    l.rows *= l.dims[i];
  }
  l.dims[l.rank - 1] = l.inputs;
  l.x = calloc((size_t)(l.batch * l.rows * l.inputs), sizeof *l.x);
  l.weights = calloc((size_t)(l.inputs * l.outputs), sizeof *l.weights);
  l.bias = calloc((size_t)l.outputs, sizeof *l.bias);
  l.factors = calloc((size_t)l.outputs, sizeof *l.factors);
  assert_true(l.x && l.weights && l.bias && l.factors);
  return l;
}

static void free_layer(layer *l)
{
  free(l->x);
  free(l->weights);
  free(l->bias);
  free(l->factors);
}

/* Where weights are at most 64, no two products exceed 16 bits. */
static layer random_integers(uint64_t *seed)
{
  layer l = random_shape(seed);
  const int64_t most = random_int(seed, 0, 1) ? 64 : 127;
  l.is_signed = random_int(seed, 0, 1);
  l.requantizes = random_int(seed, 0, 3);
  static const qb__activation kinds[] = {QB__ACTIVATION_NONE, QB__ACTIVATION_RELU,
                                         QB__ACTIVATION_GELU_ERF};
  l.activation = kinds[random_int(seed, 0, 2)];
  const int64_t low = l.is_signed ? -128 : 0;
  l.zero_point = (int)(random_int(seed, 0, 1) ? pick(seed, low, low + 255) : 0);
  l.result_zero_point = (int)(random_int(seed, 0, 1) ? pick(seed, 0, 255) : 0);
  for (int64_t i = 0; i < l.batch * l.rows * l.inputs; i++)
    l.x[i] = (float)pick(seed, low, low + 255);
  for (int64_t i = 0; i < l.inputs * l.outputs; i++)
    l.weights[i] = (float)pick(seed, -most, most);
  for (int64_t o = 0; o < l.outputs; o++) {
    l.bias[o] = (float)pick(seed, -5000, 5000);
    l.factors[o] = (float)random_unit(seed) * 0.005f + 1e-4f;
  }
  return l;
}

static layer random_reals(uint64_t *seed)
{
  layer l = random_shape(seed);
  for (int64_t i = 0; i < l.batch * l.rows * l.inputs; i++)
    l.x[i] = (float)random_normal(seed);
  for (int64_t i = 0; i < l.inputs * l.outputs; i++)
    l.weights[i] = (float)random_normal(seed);
  for (int64_t o = 0; o < l.outputs; o++)
    l.bias[o] = (float)random_normal(seed);
  return l;
}

static int32_t constant_of(qb__graph *g, uint32_t rank, const int64_t *dims, const float *values)
{
  const int32_t constant = qb__graph_constant(g, "constant", rank, dims);
  memcpy(g->tensors[constant].constant, values, g->tensors[constant].elements * sizeof *values);
  return constant;
}

static int32_t zero_point_of(qb__graph *g, int value)
{
  const int64_t one = 1;
  const float zero = (float)value;
  return value ? constant_of(g, 1, &one, &zero) : QB__NONE;
}

static int32_t add_layer(qb__graph *g, const layer *l, int32_t x)
{
  const int64_t dims[2] = {l->outputs, l->inputs};
  const int32_t weights = constant_of(g, 2, dims, l->weights);
  const int32_t bias = constant_of(g, 1, dims, l->bias);
  return l->is_linear ? qb__graph_linear(g, "layer", x, weights, bias)
                      : qb__graph_dense(g, "layer", x, weights, bias);
}

static qb_model *finish(qb__graph *g, int32_t y)
{
  qb_model *model;
  qb__graph_output(g, y);
  assert_ok(g->status);
  assert_ok(qb__model_from_graph(g, "layer", &model));
  return model;
}

static qb_model *model_of_reals(const layer *l)
{
  qb__graph g;
  qb__graph_init(&g, context);
  const int32_t x = qb__graph_input(&g, "x", l->rank, l->dims);
  return finish(&g, add_layer(&g, l, x));
}

static qb_model *model_of_integers(const layer *l)
{
  const float low = l->is_signed ? -128 : 0;
  qb__graph g;
  qb__graph_init(&g, context);
  int32_t x = qb__graph_input(&g, "x", l->rank, l->dims);
  x = qb__graph_quantize(&g, "x", x, QB__NONE, QB__NONE, 0, low, low + 255);
  x = qb__graph_dequantize(&g, "x", x, QB__NONE, zero_point_of(&g, l->zero_point), 0, low,
                           low + 255);
  const size_t before = g.operator_count;
  x = add_layer(&g, l, x);
  qb__graph_mark_integers(&g, before, 255, 1);
  if (!l->requantizes)
    return finish(&g, x);
  const int32_t factors = constant_of(&g, 1, &l->outputs, l->factors);
  x = qb__graph_dequantize(&g, "y", x, factors, QB__NONE, l->rank - 1, -INFINITY, INFINITY);
  if (l->activation)
    x = qb__graph_activation(&g, "activation", x, l->activation, 0, 0);
  x = qb__graph_quantize(&g, "y", x, QB__NONE, zero_point_of(&g, l->result_zero_point), 0, 0, 255);
  return finish(&g, x);
}

/* Whether the layer is one of a type of numbers in a precision. */
static bool has_weights_of(const qb_model *model, qb_precision precision, qb__type type)
{
  struct dnnl_engine *engine = NULL;
  qb__graph lowered;
  bool found = false;
  assert_ok(qb__onednn_start(&engine));
  assert_ok(qb__lower(qb__model_graph(model), precision, engine, &lowered));
  for (size_t i = 0; i < lowered.operator_count; i++) {
    const qb__operator *op = &lowered.operators[i];
    found = found || ((op->kind == QB__OP_DENSE || op->kind == QB__OP_LINEAR) &&
                      lowered.tensors[op->weights].type == type);
  }
  qb__graph_clear(&lowered);
  qb__onednn_stop(engine);
  return found;
}

static float *run(qb_model *model, qb_precision precision, const layer *l)
{
  const qb_configuration configuration = {1, 2, precision};
  float *y = calloc((size_t)(l->batch * l->rows * l->outputs), sizeof *y);
  const void *const inputs[1] = {l->x};
  void *const outputs[1] = {y};
  qb_session *session = NULL;
  assert_ok(qb_session_new(model, &configuration, NULL, &session));
  assert_ok(qb_session_run(session, l->batch, inputs, outputs, NULL));
  qb_session_unref(session);
  return y;
}

/* A sum, and that of the absolute terms. */
static double sum_at(const layer *l, int64_t row, int64_t output, double *magnitude)
{
  double sum = (double)l->bias[output];
  *magnitude = fabs(sum);
  for (int64_t i = 0; i < l->inputs; i++) {
    const double term = ((double)l->x[row * l->inputs + i] - l->zero_point) *
                        (double)l->weights[output * l->inputs + i];
    sum += term;
    *magnitude += fabs(term);
  }
  return sum;
}

static float integer_at(const layer *l, int64_t output, double sum)
{
  if (!l->requantizes)
    return (float)sum;
  float y = (float)sum * l->factors[output];
  if (l->activation == QB__ACTIVATION_RELU)
    y = fmaxf(y, 0);
  else if (l->activation)
    y *= 0.5f * (1 + erff(y * (float)M_SQRT1_2));
  return fminf(fmaxf(nearbyintf(y) + (float)l->result_zero_point, 0), 255);
}

static void fail_at(const layer *l, int64_t row, int64_t output, float found, double expected)
{
  fail_msg("%s, %u x %lld rows of %lld, %lld outputs: %g at %lld, %lld instead of %g",
           l->is_linear ? "linear" : "dense", l->batch, (long long)l->rows, (long long)l->inputs,
           (long long)l->outputs, (double)found, (long long)row, (long long)output, expected);
}

/* Sums are exact; bytes that a rounding of the product before them may move are one step off. */
static void random_layers_of_integers_give_the_sums_of_plain_loops(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  size_t elements = 0, moved = 0, lowered = 0, layers = 0;
  for (int n = random_cases(60); n > 0; n--) {
    layer l = random_integers(&seed);
    qb_model *model = model_of_integers(&l);
    float *y = run(model, QB_PRECISION_INT8, &l), *found = y;
    for (int64_t row = 0; row < l.batch * l.rows; row++)
      for (int64_t o = 0; o < l.outputs; o++, found++) {
        double magnitude;
        const float expected = integer_at(&l, o, sum_at(&l, row, o, &magnitude));
        if (*found != expected && !(l.requantizes && fabsf(*found - expected) == 1))
          fail_at(&l, row, o, *found, (double)expected);
        moved += *found != expected;
        elements++;
      }
    lowered += has_weights_of(model, QB_PRECISION_INT8, QB__TYPE_S8);
    layers++;
    free(y);
    qb_model_unref(model);
    free_layer(&l);
  }
  print_message("# %zu elements, %zu one step off; %zu of %zu layers on bytes\n", elements, moved,
                lowered, layers);
  assert_true(moved * 1000 <= elements);
  if (qb__has_vnni())
    assert_int_equal(lowered, layers);
}

/* Each of the two factors of a term is off by 1/256 at most. */
static void random_layers_of_bfloat16_are_near_plain_loops(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  if (!qb__has_bf16()) {
    print_message("# skipped: the processor does not multiply bfloat16 numbers\n");
    skip();
  }
  for (int n = random_cases(30); n > 0; n--) {
    layer l = random_reals(&seed);
    qb_model *model = model_of_reals(&l);
    assert_true(has_weights_of(model, QB_PRECISION_BF16, QB__TYPE_BF16));
    float *y = run(model, QB_PRECISION_BF16, &l), *found = y;
    for (int64_t row = 0; row < l.batch * l.rows; row++)
      for (int64_t o = 0; o < l.outputs; o++, found++) {
        double magnitude;
        const double expected = sum_at(&l, row, o, &magnitude);
        if (!(fabs((double)*found - expected) <= magnitude / 127))
          fail_at(&l, row, o, *found, expected);
      }
    free(y);
    qb_model_unref(model);
    free_layer(&l);
  }
}

static int32_t random_linear(qb__graph *g, const char *name, int32_t x, int64_t outputs)
{
  const int64_t inputs = g->tensors[x].dims[g->tensors[x].rank - 1];
  const int64_t dims[2] = {outputs, inputs};
  const int32_t weights = qb__graph_constant(g, name, 2, dims);
  qb__fill(g, weights, (uint64_t)x + 1, 0, 1 / sqrtf((float)inputs));
  return qb__graph_linear(g, name, x, weights, QB__NONE);
}

/*
 * Linear layers as transformers have them: two of one input, sums that are written over one of their
 * inputs, a GELU. What reads floats keeps the sums floats.
 */
static int32_t block(qb__graph *g, int32_t x, int64_t columns)
{
  const int32_t gate = qb__graph_activation(g, "gate", x, QB__ACTIVATION_SIGMOID, 0, 0);
  int32_t y = qb__graph_binary(g, "product", QB__OP_MULTIPLY, random_linear(g, "a", x, columns),
                               random_linear(g, "b", x, columns));
  y = qb__graph_binary(g, "gated", QB__OP_MULTIPLY, y, gate);
  y = qb__graph_add(g, "sum", random_linear(g, "out", y, columns), x);
  const int32_t norm = qb__graph_layer_norm(g, "norm", y, 1, QB__NONE, QB__NONE, 1e-5f);
  int32_t z = random_linear(g, "wide", norm, 4 * columns);
  z = qb__graph_activation(g, "gelu", z, QB__ACTIVATION_GELU_ERF, 0, 0);
  return qb__graph_add(g, "last", random_linear(g, "narrow", z, columns), y);
}

static qb_model *blocks_of(int64_t rows, int64_t columns)
{
  const int64_t dims[2] = {rows, columns};
  qb__graph g;
  qb__graph_init(&g, context);
  int32_t x = qb__graph_input(&g, "x", 2, dims);
  for (int i = 0; i < 3; i++)
    x = block(&g, x, columns);
  return finish(&g, x);
}

static void blocks_of_linear_layers_are_near_in_bfloat16(void **state)
{
  (void)state;
  enum { BATCH = 2, ROWS = 7, COLUMNS = 48, ELEMENTS = BATCH * ROWS * COLUMNS };
  static float x[ELEMENTS];
  if (!qb__has_bf16()) {
    print_message("# skipped: the processor does not multiply bfloat16 numbers\n");
    skip();
  }
  qb_model *model = blocks_of(ROWS, COLUMNS);
  layer l = {.batch = BATCH, .rows = ROWS, .outputs = COLUMNS, .x = x};
  qb__fill_values(x, ELEMENTS, 3, 0, 1);
  float *real = run(model, QB_PRECISION_F32, &l), *half = run(model, QB_PRECISION_BF16, &l);
  double noise = 0, signal = 0;
  for (size_t i = 0; i < ELEMENTS; i++) {
    noise += pow((double)half[i] - (double)real[i], 2);
    signal += pow((double)real[i], 2);
  }
  print_message("# noise %.2g of the signal\n", noise / signal);
  assert_true(noise > 0 && noise < 3e-4 * signal);
  free(real);
  free(half);
  qb_model_unref(model);
}

static int set_up(void **state)
{
  (void)state;
  return qb_context_new(NULL, &context) ? -1 : 0;
}

static int tear_down(void **state)
{
  (void)state;
  qb_context_unref(context);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_layers_of_integers_give_the_sums_of_plain_loops),
      cmocka_unit_test(random_layers_of_bfloat16_are_near_plain_loops),
      cmocka_unit_test(blocks_of_linear_layers_are_near_in_bfloat16),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
