/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions in int8 against the exact form of the same graph. */
#include "engine/lowering.h"
#include "model/builtin.h"
#include "model/graph_edit.h"
#include "model/model_impl.h"
#include "support/expect.h"
#include "support/quantized_builtin.h"
#include "support/random.h"

#include <qosbatch/session.h>

#include <math.h>
#include <stdlib.h>

enum { FEW_LAYERS = 60 };

static qb_context *context;

static qb_session *session_of(qb_model *model, qb_precision precision)
{
  const qb_configuration configuration = {1, 2, precision};
  qb_session *session = NULL;
  assert_ok(qb_session_new(model, &configuration, NULL, &session));
  return session;
}

static float *run(qb_model *model, qb_precision precision, uint32_t batch, const float *x)
{
  const qb__graph *g = &model->graph;
  float *y = calloc(batch * g->tensors[g->outputs[0]].elements, sizeof *y);
  qb_session *session = session_of(model, precision);
  const void *const inputs[1] = {x};
  void *const outputs[1] = {y};
  assert_ok(qb_session_run(session, batch, inputs, outputs, NULL));
  qb_session_unref(session);
  return y;
}

static double cosine(const float *a, const float *b, size_t count)
{
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < count; i++) {
    ab += (double)a[i] * (double)b[i];
    aa += (double)a[i] * (double)a[i];
    bb += (double)b[i] * (double)b[i];
  }
  return ab / sqrt(aa * bb);
}

static void quantize_builtin(qb__graph *from, qb__graph *to)
{
  assert_ok(qb__graph_optimize(from));
  qb__range *ranges = calloc(from->tensor_count, sizeof *ranges);
  float *x = calloc(from->tensors[from->inputs[0]].elements, sizeof *x);
  float *y = calloc(from->tensors[from->outputs[0]].elements, sizeof *y);
  assert_true(ranges && x && y);
  qb__fill_values(x, from->tensors[from->inputs[0]].elements, 5, 0, 1);
  assert_ok(qb__reference_run(from, 1, (const float *const *)&x, &y, ranges));
  qb__graph_init(to, context);
  quantize_graph(from, ranges, to);
  assert_ok(to->status);
  free(ranges);
  free(x);
  free(y);
}

static void expect_same_network(void (*build)(qb__graph *, const qb__builtin_size *),
                                const qb__builtin_size *size)
{
  enum { BATCH = 3 };
  qb__graph real, quantized;
  qb__graph_init(&real, context);
  build(&real, size);
  quantize_builtin(&real, &quantized);
  qb_model *model;
  assert_ok(qb__model_from_graph(&quantized, "quantized", &model));
  const size_t in = real.tensors[real.inputs[0]].elements;
  const size_t out = real.tensors[real.outputs[0]].elements;
  float *x = calloc(BATCH * in, sizeof *x);
  qb__fill_values(x, BATCH * in, 7, 0, 1);
  float *exact = run(model, QB_PRECISION_F32, BATCH, x);
  float *bytes = run(model, QB_PRECISION_INT8, BATCH, x);
  const double like = cosine(exact, bytes, BATCH * out);
  if (!(like >= 0.9999))
    fail_msg("cosine %.6f", like);
  free(x);
  free(exact);
  free(bytes);
  qb_model_unref(model);
  qb__graph_clear(&real);
}

static void quantized_networks_compute_what_their_exact_form_does(void **state)
{
  (void)state;
  static const qb__builtin_size alexnet = {67, 8, 16}, resnet50 = {64, 8, 16};
  expect_same_network(qb__build_alexnet, &alexnet);
  expect_same_network(qb__build_resnet50, &resnet50);
}

static void networks_without_quantized_layers_are_refused(void **state)
{
  (void)state;
  const qb_configuration configuration = {1, 1, QB_PRECISION_INT8};
  qb_session *session = NULL;
  qb_model *model;
  assert_ok(qb_model_builtin(context, "alexnet", &model));
  assert_status(qb_session_new(model, &configuration, NULL, &session), QB_ERROR_UNSUPPORTED);
  assert_message("no quantized layers");
  assert_null(session);
  qb_model_unref(model);
}

/* Of full size where all random cases are tried. */
static qb_model *builtin(const char *name, void (*build)(qb__graph *, const qb__builtin_size *))
{
  static const qb__builtin_size small = {67, 8, 16};
  qb_model *model;
  if (random_cases(FEW_LAYERS) >= FEW_LAYERS) {
    assert_ok(qb_model_builtin(context, name, &model));
    return model;
  }
  qb__graph graph;
  qb__graph_init(&graph, context);
  build(&graph, &small);
  assert_ok(qb__model_from_graph(&graph, name, &model));
  return model;
}

static void expect_near_f32(const char *name, void (*build)(qb__graph *, const qb__builtin_size *))
{
  enum { BATCH = 2 };
  qb_model *model = builtin(name, build);
  const qb__graph *g = &model->graph;
  const size_t in = g->tensors[g->inputs[0]].elements, out = g->tensors[g->outputs[0]].elements;
  float *x = calloc(BATCH * in, sizeof *x);
  qb__fill_values(x, BATCH * in, 7, 0, 1);
  float *real = run(model, QB_PRECISION_F32, BATCH, x);
  float *half = run(model, QB_PRECISION_BF16, BATCH, x);
  const double like = cosine(real, half, BATCH * out);
  if (!(like >= 0.999 && like < 1))
    fail_msg("%s: cosine %.9f", name, like);
  free(x);
  free(real);
  free(half);
  qb_model_unref(model);
}

static void bf16_computes_what_f32_does_or_is_refused(void **state)
{
  (void)state;
  const qb_configuration configuration = {1, 1, QB_PRECISION_BF16};
  qb_model *model;
  qb_session *session = NULL;
  if (qb__has_bf16()) {
    expect_near_f32("alexnet", qb__build_alexnet);
    expect_near_f32("resnet50", qb__build_resnet50);
    return;
  }
  assert_ok(qb_model_builtin(context, "alexnet", &model));
  assert_status(qb_session_new(model, &configuration, NULL, &session), QB_ERROR_UNSUPPORTED);
  assert_message("avx512_bf16");
  qb_model_unref(model);
}

/* Reals before a sum and an output behind it, or bfloat16 numbers before it and behind it. */
static void sums_in_bf16_have_the_type_of_their_result(void **state)
{
  (void)state;
  enum { CHANNELS = 6, SIDE = 10, ELEMENTS = CHANNELS * SIDE * SIDE };
  const int64_t image[3] = {CHANNELS, SIDE, SIDE}, dims[4] = {CHANNELS, CHANNELS, 3, 3};
  const qb__window window = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
  uint64_t random = random_start();
  if (!qb__has_bf16())
    skip();
  for (int kinds = 0; kinds < 4; kinds++) {
    const bool of_reals = kinds & 1, is_output = kinds & 2;
    qb__graph g;
    qb_model *model;
    float x[ELEMENTS];
    qb__graph_init(&g, context);
    int32_t y = qb__graph_input(&g, "x", 3, image);
    for (int i = 0; i < 2; i++) {
      const int32_t weights = qb__graph_constant(&g, "weights", 4, dims);
      qb__fill(&g, weights, random_bits(&random), 0, 0.2f);
      const int32_t before =
          of_reals ? qb__graph_activation(&g, "tanh", y, QB__ACTIVATION_TANH, 0, 0) : y;
      y = qb__graph_convolution(&g, "layer", before, weights, QB__NONE, &window, 1);
      y = i ? qb__graph_add(&g, "sum", y, before) : y;
    }
    if (!is_output) {
      const int64_t matrix[2] = {16, ELEMENTS};
      const int32_t weights = qb__graph_constant(&g, "weights", 2, matrix);
      qb__fill(&g, weights, random_bits(&random), 0, 0.05f);
      y = qb__graph_dense(&g, "dense", qb__graph_flatten(&g, "flatten", y), weights, QB__NONE);
    }
    qb__graph_output(&g, y);
    assert_ok(g.status);
    assert_ok(qb__model_from_graph(&g, "sum", &model));
    qb__fill_values(x, ELEMENTS, 3, 0, 1);
    const size_t out = model->graph.tensors[model->graph.outputs[0]].elements;
    float *exact = run(model, QB_PRECISION_F32, 1, x), *half = run(model, QB_PRECISION_BF16, 1, x);
    const double like = cosine(exact, half, out);
    if (!(like >= 0.999 && like < 1))
      fail_msg("kind %d: cosine %.9f", kinds, like);
    free(exact);
    free(half);
    qb_model_unref(model);
  }
}

/* A convolution of integers, and what is made of its sums. */
typedef struct layer {
  uint32_t batch;
  int64_t groups, inputs, outputs; /* channels of a group */
  int64_t height, width;
  qb__window window;
  bool is_signed;
  int zero_point;
  int *x, *weights, *bias;
  bool requantizes; /* by factors, to bytes of a zero point */
  float *factors;
  int result_zero_point;
} layer;

static int pick(uint64_t *seed, int least, int most)
{
  return least + (int)random_int(seed, 0, (uint64_t)(most - least));
}

/* Where weights are at most 64, no two products exceed 16 bits. */
static layer random_layer(uint64_t *seed)
{
  layer l = {.batch = (uint32_t)pick(seed, 1, 3), .is_signed = random_int(seed, 0, 1)};
  const bool depthwise = !random_int(seed, 0, 3);
  l.groups = depthwise ? pick(seed, 2, 40) : random_int(seed, 0, 3) ? 1 : pick(seed, 2, 4);
  l.inputs = depthwise ? 1 : pick(seed, 1, 40);
  l.outputs = depthwise ? 1 : pick(seed, 1, 40);
  if (l.groups == 1 && !random_int(seed, 0, 7))
    l.outputs = pick(seed, 193, 260); /* weights are packed in parts */
  for (int i = 0; i < 2; i++) {
    l.window.kernel[i] = random_int(seed, 0, 1) ? pick(seed, 1, 5) : 1 + 2 * pick(seed, 0, 1);
    l.window.strides[i] = pick(seed, 1, 3);
    l.window.dilations[i] = random_int(seed, 0, 3) ? 1 : 2;
    const int reach = (int)((l.window.kernel[i] - 1) * l.window.dilations[i]);
    l.window.pad_before[i] = pick(seed, 0, reach);
    l.window.pad_after[i] = pick(seed, 0, reach);
    *(i ? &l.width : &l.height) = pick(seed, reach + 1, reach + 12);
  }
  const int low = l.is_signed ? -128 : 0;
  l.zero_point = random_int(seed, 0, 1) ? pick(seed, low, low + 255) : 0;
  const int most = random_int(seed, 0, 1) ? 64 : 127;
  const size_t elements = l.batch * (size_t)(l.groups * l.inputs * l.height * l.width);
  const size_t outputs = (size_t)(l.groups * l.outputs);
  const size_t weights = outputs * (size_t)(l.inputs * l.window.kernel[0] * l.window.kernel[1]);
  l.x = calloc(elements, sizeof *l.x);
  l.weights = calloc(weights, sizeof *l.weights);
  l.bias = calloc(outputs, sizeof *l.bias);
  l.factors = calloc(outputs, sizeof *l.factors);
  for (size_t i = 0; i < elements; i++)
    l.x[i] = pick(seed, low, low + 255);
  for (size_t i = 0; i < weights; i++)
    l.weights[i] = pick(seed, -most, most);
  for (size_t i = 0; i < outputs; i++) {
    l.bias[i] = pick(seed, -5000, 5000);
    l.factors[i] = (float)random_unit(seed) * 0.005f + 1e-4f;
  }
  l.requantizes = random_int(seed, 0, 1);
  l.result_zero_point = random_int(seed, 0, 1) ? pick(seed, 0, 255) : 0;
  return l;
}

static void free_layer(layer *l)
{
  free(l->x);
  free(l->weights);
  free(l->bias);
  free(l->factors);
}

static int32_t constant_of(qb__graph *g, uint32_t rank, const int64_t *dims, const int *values)
{
  const int32_t constant = qb__graph_constant(g, "constant", rank, dims);
  for (size_t i = 0; i < g->tensors[constant].elements; i++)
    g->tensors[constant].constant[i] = (float)values[i];
  return constant;
}

static int32_t zero_point_of(qb__graph *g, int value)
{
  const int64_t one = 1;
  return value ? constant_of(g, 1, &one, &value) : QB__NONE;
}

static qb_model *model_of(const layer *l)
{
  const int64_t image[3] = {l->groups * l->inputs, l->height, l->width};
  const int64_t dims[4] = {l->groups * l->outputs, l->inputs, l->window.kernel[0],
                           l->window.kernel[1]};
  const float low = l->is_signed ? -128 : 0;
  qb__graph g;
  qb_model *model;
  qb__graph_init(&g, context);
  int32_t x = qb__graph_input(&g, "x", 3, image);
  x = qb__graph_quantize(&g, "x", x, QB__NONE, QB__NONE, 0, low, low + 255);
  x = qb__graph_dequantize(&g, "x", x, QB__NONE, zero_point_of(&g, l->zero_point), 0, low,
                           low + 255);
  const int32_t weights = constant_of(&g, 4, dims, l->weights);
  const int32_t bias = constant_of(&g, 1, dims, l->bias);
  const size_t before = g.operator_count;
  x = qb__graph_convolution(&g, "layer", x, weights, bias, &l->window, l->groups);
  qb__graph_mark_integers(&g, before, 255, 1);
  if (l->requantizes) {
    const int32_t factors = qb__graph_constant(&g, "factors", 1, dims);
    for (int64_t i = 0; i < dims[0]; i++)
      g.tensors[factors].constant[i] = l->factors[i];
    x = qb__graph_dequantize(&g, "y", x, factors, QB__NONE, 0, -INFINITY, INFINITY);
    x = qb__graph_quantize(&g, "y", x, QB__NONE, zero_point_of(&g, l->result_zero_point), 0, 0,
                           255);
  }
  qb__graph_output(&g, x);
  assert_ok(g.status);
  assert_ok(qb__model_from_graph(&g, "layer", &model));
  return model;
}

/* A sum in plain integers. */
static int64_t sum_at(const layer *l, uint32_t row, int64_t output, int64_t top, int64_t left)
{
  const int64_t *k = l->window.kernel, group = output / l->outputs;
  int64_t sum = l->bias[output];
  for (int64_t c = 0; c < l->inputs; c++)
    for (int64_t i = 0; i < k[0]; i++)
      for (int64_t j = 0; j < k[1]; j++) {
        const int64_t h = top + i * l->window.dilations[0], w = left + j * l->window.dilations[1];
        if (h < 0 || h >= l->height || w < 0 || w >= l->width)
          continue;
        const int64_t channel = (int64_t)row * l->groups * l->inputs + group * l->inputs + c;
        sum += (l->x[(channel * l->height + h) * l->width + w] - l->zero_point) *
               l->weights[((output * l->inputs + c) * k[0] + i) * k[1] + j];
      }
  return sum;
}

static float expected_at(const layer *l, int64_t output, int64_t sum)
{
  if (!l->requantizes)
    return (float)sum;
  const float y = nearbyintf((float)sum * l->factors[output]) + (float)l->result_zero_point;
  return y < 0 ? 0 : y > 255 ? 255 : y;
}

/* Sums exactly; bytes that a rounding of the product before them may move by one step. */
static bool fits(const layer *l, float found, float expected)
{
  return found == expected || (l->requantizes && fabsf(found - expected) == 1);
}

typedef struct counts {
  size_t elements, moved, refused;
} counts;

static void expect_plain_sums(const layer *l, qb_model *model, qb_session *session, counts *count)
{
  const qb__tensor *to = &model->graph.tensors[model->graph.outputs[0]];
  const size_t in = l->batch * (size_t)(l->groups * l->inputs * l->height * l->width);
  float *x = calloc(in, sizeof *x), *y = calloc(l->batch * to->elements, sizeof *y);
  for (size_t i = 0; i < in; i++)
    x[i] = (float)l->x[i];
  const void *const inputs[1] = {x};
  void *const outputs[1] = {y};
  assert_ok(qb_session_run(session, l->batch, inputs, outputs, NULL));
  const float *found = y;
  for (uint32_t row = 0; row < l->batch; row++)
    for (int64_t o = 0; o < to->dims[0]; o++)
      for (int64_t h = 0; h < to->dims[1]; h++)
        for (int64_t w = 0; w < to->dims[2]; w++) {
          const int64_t sum = sum_at(l, row, o, h * l->window.strides[0] - l->window.pad_before[0],
                                     w * l->window.strides[1] - l->window.pad_before[1]);
          const float expected = expected_at(l, o, sum);
          if (!fits(l, *found, expected))
            fail_msg("%lldx%lldx%lld channels of %lldx%lld, window %lldx%lld, strides %lldx%lld, "
                     "zero point %d: %g at %lld, %lld, %lld instead of %g",
                     (long long)l->groups, (long long)l->inputs, (long long)l->outputs,
                     (long long)l->height, (long long)l->width, (long long)l->window.kernel[0],
                     (long long)l->window.kernel[1], (long long)l->window.strides[0],
                     (long long)l->window.strides[1], l->zero_point, (double)*found, (long long)o,
                     (long long)h, (long long)w, (double)expected);
          count->moved += *found++ != expected;
          count->elements++;
        }
  free(x);
  free(y);
}

static void random_convolutions_give_the_sums_of_plain_loops(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  counts c = {0, 0, 0};
  for (int i = random_cases(FEW_LAYERS); i > 0; i--) {
    const qb_configuration configuration = {1, 2, QB_PRECISION_INT8};
    layer l = random_layer(&seed);
    qb_model *model = model_of(&l);
    qb_session *session = NULL;
    const qb_status status = qb_session_new(model, &configuration, NULL, &session);
    if (status == QB_ERROR_UNSUPPORTED)
      c.refused++;
    else
      assert_ok(status);
    if (session)
      expect_plain_sums(&l, model, session, &c);
    qb_session_unref(session);
    qb_model_unref(model);
    free_layer(&l);
  }
  print_message("# %zu elements, %zu one step off, %zu layers without a kernel\n", c.elements,
                c.moved, c.refused);
  assert_true(c.moved * 1000 <= c.elements);
}

/* Sums above 2^24, which floats do not hold: of inputs of 255 and weights of 63 and 64. */
static layer large_layer(void)
{
  enum { INPUTS = 128, SIDE = 4, WEIGHTS = INPUTS * 3 * 3 };
  layer l = {
      .batch = 1, .groups = 1, .inputs = INPUTS, .outputs = 1, .height = SIDE, .width = SIDE};
  l.window = (qb__window){.kernel = {3, 3}, .strides = {1, 1}, .dilations = {1, 1}};
  l.x = calloc(INPUTS * SIDE * SIDE, sizeof *l.x);
  l.weights = calloc(WEIGHTS, sizeof *l.weights);
  l.bias = calloc(1, sizeof *l.bias);
  l.factors = NULL;
  for (size_t i = 0; i < INPUTS * SIDE * SIDE; i++)
    l.x[i] = 255;
  for (size_t i = 0; i < WEIGHTS; i++)
    l.weights[i] = 64 - (int)(i % 3 == 1);
  return l;
}

static size_t convolutions_of(const qb_model *model, qb_precision precision)
{
  struct dnnl_engine *engine;
  qb__graph lowered;
  size_t count = 0;
  assert_ok(qb__onednn_start(&engine));
  assert_ok(qb__lower(&model->graph, precision, engine, &lowered));
  for (size_t i = 0; i < lowered.operator_count; i++)
    count += lowered.operators[i].kind == QB__OP_CONVOLUTION;
  qb__graph_clear(&lowered);
  qb__onednn_stop(engine);
  return count;
}

static void only_floats_need_two_layers_for_large_sums(void **state)
{
  (void)state;
  layer l = large_layer();
  qb_model *model = model_of(&l);
  counts c = {0, 0, 0};
  assert_int_equal(convolutions_of(model, QB_PRECISION_F32), 2);
  assert_int_equal(convolutions_of(model, QB_PRECISION_INT8), 1);
  const qb_precision both[] = {QB_PRECISION_F32, QB_PRECISION_INT8};
  for (size_t i = 0; i < 2; i++) {
    qb_session *session = session_of(model, both[i]);
    expect_plain_sums(&l, model, session, &c);
    qb_session_unref(session);
  }
  assert_int_equal(c.moved, 0);
  qb_model_unref(model);
  free_layer(&l);
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

/* Reals rounded to bytes, and read as reals: steps of 1/16 from -8 on. */
static int32_t rounded(qb__graph *g, int32_t x)
{
  const int64_t one = 1;
  const int32_t scale = qb__graph_constant(g, "scale", 1, &one);
  g->tensors[scale].constant[0] = 1.0f / 16;
  x = qb__graph_quantize(g, "q", x, scale, zero_point_of(g, 128), 0, 0, 255);
  return qb__graph_dequantize(g, "dq", x, scale, zero_point_of(g, 128), 0, 0, 255);
}

/* What is added to a layer's result may be no bytes, though the sum becomes bytes. */
static void reals_are_added_before_a_sum_becomes_bytes(void **state)
{
  (void)state;
  enum { CHANNELS = 16, SIDE = 5, ELEMENTS = CHANNELS * SIDE * SIDE };
  const int64_t image[3] = {CHANNELS, SIDE, SIDE}, dims[4] = {CHANNELS, CHANNELS, 1, 1};
  const qb__window window = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0}, {0}};
  qb__graph g;
  qb_model *model;
  float x[ELEMENTS];
  qb__graph_init(&g, context);
  const int32_t input = qb__graph_input(&g, "x", 3, image);
  const int32_t weights = qb__graph_constant(&g, "weights", 4, dims);
  for (size_t i = 0; i < CHANNELS * CHANNELS; i++)
    g.tensors[weights].constant[i] = (float)((int)(i * 37 % 101) - 50) / 256;
  const int32_t addend = qb__graph_activation(&g, "addend", input, QB__ACTIVATION_TANH, 0, 0);
  int32_t y = qb__graph_convolution(&g, "layer", rounded(&g, input), weights, QB__NONE, &window, 1);
  y = qb__graph_add(&g, "sum", y, addend);
  qb__graph_output(&g, rounded(&g, y));
  assert_ok(g.status);
  assert_ok(qb__model_from_graph(&g, "sum", &model));
  qb__fill_values(x, ELEMENTS, 3, 0, 1);
  float *exact = run(model, QB_PRECISION_F32, 1, x);
  float *bytes = run(model, QB_PRECISION_INT8, 1, x);
  for (size_t i = 0; i < ELEMENTS; i++)
    if (fabsf(exact[i] - bytes[i]) > 1.0f / 16)
      fail_msg("%g instead of %g at %zu", (double)bytes[i], (double)exact[i], i);
  free(exact);
  free(bytes);
  qb_model_unref(model);
}

static qb__type type_read_by(const qb__graph *g, int32_t reals)
{
  const qb__operator *op = qb__maker(g, reals);
  assert_int_equal(op->kind, QB__OP_DEQUANTIZE);
  return g->tensors[op->input].type;
}

/* Layers add bytes of the type that their results have. */
static void sums_add_bytes_of_their_own_type(void **state)
{
  (void)state;
  const int64_t image[3] = {16, 5, 5};
  for (int is_unsigned = 0; is_unsigned < 2; is_unsigned++) {
    qb__graph g;
    qb__graph_init(&g, context);
    const int32_t a = rounded(&g, qb__graph_input(&g, "a", 3, image));
    const int32_t b = rounded(&g, qb__graph_input(&g, "b", 3, image));
    int32_t y = qb__graph_add(&g, "sum", a, b);
    if (is_unsigned)
      y = through_bytes(&g, "relu", qb__graph_activation(&g, "relu", y, QB__ACTIVATION_RELU, 0, 0),
                        1.0f / 16, 0);
    else
      y = rounded(&g, y);
    qb__graph_output(&g, y);
    assert_ok(g.status);
    qb__lower_bytes(&g);
    assert_ok(g.status);
    const qb__type expected = is_unsigned || !qb__has_vnni() ? QB__TYPE_U8 : QB__TYPE_S8;
    size_t sums = 0;
    for (size_t i = 0; i < g.operator_count; i++)
      if (g.operators[i].kind == QB__OP_ADD) {
        assert_int_equal(type_read_by(&g, g.operators[i].input), expected);
        assert_int_equal(type_read_by(&g, g.operators[i].addend), expected);
        sums++;
      }
    assert_int_equal(sums, 1);
    qb__graph_clear(&g);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reals_are_added_before_a_sum_becomes_bytes),
      cmocka_unit_test(sums_add_bytes_of_their_own_type),
      cmocka_unit_test(sums_in_bf16_have_the_type_of_their_result),
      cmocka_unit_test(quantized_networks_compute_what_their_exact_form_does),
      cmocka_unit_test(networks_without_quantized_layers_are_refused),
      cmocka_unit_test(bf16_computes_what_f32_does_or_is_refused),
      cmocka_unit_test(random_convolutions_give_the_sums_of_plain_loops),
      cmocka_unit_test(only_floats_need_two_layers_for_large_sums),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
