/* SPDX-License-Identifier: Apache-2.0 */
/* Networks quantized by samples: how near they stay, what their files give, and what is refused. */
#include "core/alloc.h"
#include "engine/reference.h"
#include "model/model_impl.h"
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random_graph.h"
#include "support/scratch_folder.h"

#include <qosbatch/lab.h>

#include <math.h>
#include <stdlib.h>

enum { SAMPLES = 40, IMAGE = 3 * 8 * 8, CLASSES = 5 };

static qb_context *context;

static int32_t add_convolution(qb__graph *g, uint64_t *random, int32_t x, int64_t outputs,
                               int64_t groups, int64_t kernel)
{
  if (g->status)
    return QB__NONE;
  const int64_t inputs = g->tensors[x].dims[0] / groups, pad = kernel / 2;
  const qb__window window = {{kernel, kernel}, {1, 1}, {1, 1}, {pad, pad}, {pad, pad}};
  const int32_t weights = random_constant(random, g, outputs, inputs, kernel, kernel, 0,
                                          sqrtf(2.0f / (float)(inputs * kernel * kernel)));
  const int32_t bias = random_constant(random, g, outputs, 0, 0, 0, 0, 0.1f);
  return qb__graph_convolution(g, "conv", x, weights, bias, &window, groups);
}

static int32_t relu(qb__graph *g, int32_t x)
{
  return qb__graph_activation(g, "relu", x, QB__ACTIVATION_RELU, 0, 0);
}

/* A residual unit, a depthwise one, a concatenation, and a classifier. */
static void add_network(qb__graph *g, uint64_t *random)
{
  static const int64_t image[3] = {3, 8, 8};
  const qb__window half = {{2, 2}, {2, 2}, {1, 1}, {0, 0}, {0, 0}};
  const int32_t x = qb__graph_input(g, "image", 3, image);
  const int32_t a = relu(g, add_convolution(g, random, x, 8, 1, 3));
  const int32_t b = relu(g, add_convolution(g, random, a, 8, 1, 3));
  const int32_t c = add_convolution(g, random, b, 8, 1, 3);
  int32_t y = relu(g, qb__graph_add(g, "add", c, a));
  y = qb__graph_pool(g, "pool", QB__OP_MAX_POOL, y, &half, false);
  const int32_t d = relu(g, add_convolution(g, random, y, 8, 8, 3));
  const int32_t both[2] = {y, add_convolution(g, random, d, 4, 1, 1)};
  y = qb__graph_concat(g, "concat", both, 2, 0);
  y = qb__graph_reduce(g, "mean", QB__REDUCTION_MEAN, y, 6);
  y = qb__graph_flatten(g, "flatten", y);
  const int32_t weights = random_constant(random, g, CLASSES, 12, 0, 0, 0, 0.5f);
  y = qb__graph_dense(g, "classes", y, weights, QB__NONE);
  y = qb__graph_softmax(g, "softmax", y, 0, false);
  if (!g->status)
    qb__graph_output(g, y);
}

static qb_status make_network(qb_context *with, qb_model **model)
{
  uint64_t random = 7;
  qb__graph g;
  qb__graph_init(&g, with);
  add_network(&g, &random);
  return qb__model_from_graph(&g, "network", model);
}

static float *draw_samples(void)
{
  float *samples = malloc(SAMPLES * IMAGE * sizeof *samples);
  assert_non_null(samples);
  qb__fill_values(samples, SAMPLES * IMAGE, 3, 0, 1);
  return samples;
}

typedef struct seen {
  size_t layers, integer, saturating, steps, cancel_at;
  double least_db;
} seen;

static void on_layer(void *user, const qb_quantized_layer *layer)
{
  seen *s = user;
  s->layers++;
  s->integer += layer->precision == QB_PRECISION_INT8;
  s->saturating += layer->can_saturate;
  s->least_db = fmin(s->least_db, layer->output_sqnr_db);
  assert_true(layer->precision == QB_PRECISION_F32 || layer->input_high > 0);
  assert_true(layer->precision == QB_PRECISION_F32 || layer->input_sqnr_db > 25);
}

static bool on_step(void *user, const char *step)
{
  seen *s = user;
  assert_true(*step);
  return ++s->steps != s->cancel_at;
}

static qb_quantize_params params_of(const void *const *inputs, seen *s)
{
  qb_quantize_params params = QB_QUANTIZE_PARAMS_INIT;
  params.inputs = inputs;
  params.samples = SAMPLES;
  params.calibration_samples = 16;
  params.on_layer = on_layer;
  params.on_step = on_step;
  params.user = s;
  return params;
}

static void all_layers_are_on_integers_and_near_those_in_floats(void **state)
{
  (void)state;
  float *samples = draw_samples();
  const void *const inputs[1] = {samples};
  seen s = {.least_db = INFINITY};
  const qb_quantize_params params = params_of(inputs, &s);
  qb_model *model, *quantized;
  qb_quantization q = QB_QUANTIZATION_INIT;
  assert_ok(make_network(context, &model));
  assert_ok(qb_model_quantize(model, &params, &q, &quantized));
  assert_int_equal(q.layers, 6);
  assert_int_equal(q.integer_layers, 6);
  assert_int_equal(s.layers, 6);
  assert_int_equal(s.integer, 6);
  assert_true(s.least_db > 25 && q.sqnr_db > 25);
  assert_int_equal(q.calibration_samples, 16);
  assert_int_equal(q.samples, SAMPLES - 16);
  assert_true(q.holds && q.agreement > 0.8 && q.agreement_low < q.agreement);
  qb_model_unref(quantized);
  qb_model_unref(model);
  free(samples);
}

/* Engines compute a sum and its activation together, if nothing is rounded between. */
static void sums_are_rounded_behind_their_activation(void **state)
{
  (void)state;
  float *samples = draw_samples();
  const void *const inputs[1] = {samples};
  seen s = {.least_db = INFINITY};
  const qb_quantize_params params = params_of(inputs, &s);
  qb_model *model, *quantized;
  assert_ok(make_network(context, &model));
  assert_ok(qb_model_quantize(model, &params, NULL, &quantized));
  const qb__graph *g = &quantized->graph;
  size_t sums = 0;
  for (size_t i = 0; i < g->operator_count; i++)
    for (size_t k = 0; g->operators[i].kind == QB__OP_ADD && k < g->operator_count; k++)
      if (g->operators[k].input == g->operators[i].output) {
        assert_int_equal(g->operators[k].kind, QB__OP_ACTIVATION);
        sums++;
      }
  assert_int_equal(sums, 1);
  qb_model_unref(quantized);
  qb_model_unref(model);
  free(samples);
}

/* A layer with an activation of 0 to `high`, and one that reads it. */
static qb_status make_clipped(float high, qb_model **model)
{
  static const int64_t image[3] = {3, 8, 8};
  uint64_t random = 5;
  qb__graph g;
  qb__graph_init(&g, context);
  const int32_t x = qb__graph_input(&g, "image", 3, image);
  int32_t y = add_convolution(&g, &random, x, 8, 1, 3);
  y = qb__graph_activation(&g, "clip", y, QB__ACTIVATION_CLIP, 0, high);
  qb__graph_output(&g, add_convolution(&g, &random, y, 4, 1, 1));
  return qb__model_from_graph(&g, "clipped", model);
}

/* Rounding clips: other runtimes refuse files in which an activation stands between needlessly. */
static void activations_are_left_to_rounding(void **state)
{
  (void)state;
  static const float highs[] = {0.25f, 6, 1e6f};
  float *samples = draw_samples();
  const void *const inputs[1] = {samples};
  for (size_t h = 0; h < sizeof highs / sizeof *highs; h++) {
    seen s = {.least_db = INFINITY};
    const qb_quantize_params params = params_of(inputs, &s);
    qb_model *model, *quantized;
    assert_ok(make_clipped(highs[h], &model));
    assert_ok(qb_model_quantize(model, &params, NULL, &quantized));
    for (size_t i = 0; i < quantized->graph.operator_count; i++)
      assert_int_equal(quantized->graph.operators[i].activation, QB__ACTIVATION_NONE);
    assert_true(s.least_db > 25);
    qb_model_unref(quantized);
    qb_model_unref(model);
  }
  free(samples);
}

/* Weights of 7 bits where 8 could saturate cost little accuracy. */
static void portable_networks_saturate_nowhere(void **state)
{
  (void)state;
  float *samples = draw_samples();
  const void *const inputs[1] = {samples};
  double db[2];
  for (int portable = 0; portable < 2; portable++) {
    seen s = {.least_db = INFINITY};
    qb_quantize_params params = params_of(inputs, &s);
    params.portable = portable;
    qb_model *model, *quantized;
    qb_quantization q = QB_QUANTIZATION_INIT;
    assert_ok(make_network(context, &model));
    assert_ok(qb_model_quantize(model, &params, &q, &quantized));
    assert_int_equal(q.integer_layers, 6);
    assert_true(portable ? !s.saturating : s.saturating > 0);
    assert_true(s.least_db > 20);
    db[portable] = q.sqnr_db;
    qb_model_unref(quantized);
    qb_model_unref(model);
  }
  assert_true(db[1] > db[0] - 6.1); /* a bit */
  free(samples);
}

#ifdef QB_HAVE_ONNX
static void the_file_computes_what_the_model_does(void **state)
{
  (void)state;
  const scratch_folder folder = scratch_folder_make();
  const scratch_path path = scratch_folder_path(&folder, "quantized.onnx");
  float *samples = draw_samples(), outputs[2][SAMPLES * CLASSES];
  const void *const inputs[1] = {samples};
  seen s = {.least_db = INFINITY};
  const qb_quantize_params params = params_of(inputs, &s);
  qb_model *model, *quantized, *read;
  assert_ok(make_network(context, &model));
  assert_ok(qb_model_quantize(model, &params, NULL, &quantized));
  assert_ok(qb_model_save_onnx(quantized, path.text));
  assert_ok(qb_model_load_onnx(context, path.text, &read));
  float *const found[2] = {outputs[0], outputs[1]};
  const float *const in[1] = {samples};
  assert_ok(qb__reference_run(&quantized->graph, SAMPLES, in, &found[0], NULL));
  assert_ok(qb__reference_run(&read->graph, SAMPLES, in, &found[1], NULL));
  assert_true(relative_error(outputs[0], outputs[1], SAMPLES * CLASSES) < 1e-5);

  qb_model *again;
  assert_status(qb_model_quantize(read, &params, NULL, &again), QB_ERROR_UNSUPPORTED);
  assert_message("is quantized already");
  qb_model_unref(read);
  qb_model_unref(quantized);
  qb_model_unref(model);
  free(samples);
  scratch_folder_remove(&folder);
}
#endif

static void run_in(qb_model *model, qb_precision precision, const float *samples, float *output)
{
  const qb_configuration configuration = {.instances = 1, .threads = 1, .precision = precision};
  const void *const inputs[1] = {samples};
  void *const outputs[1] = {output};
  qb_session *session;
  assert_ok(qb_session_new(model, &configuration, NULL, &session));
  assert_ok(qb_session_run(session, SAMPLES, inputs, outputs, NULL));
  qb_session_unref(session);
}

static void sessions_in_int8_compute_what_was_measured(void **state)
{
  (void)state;
  float *samples = draw_samples(), outputs[2][SAMPLES * CLASSES];
  const void *const inputs[1] = {samples};
  seen s = {.least_db = INFINITY};
  const qb_quantize_params params = params_of(inputs, &s);
  qb_model *model, *quantized;
  assert_ok(make_network(context, &model));
  assert_ok(qb_model_quantize(model, &params, NULL, &quantized));
  run_in(quantized, QB_PRECISION_F32, samples, outputs[0]);
  run_in(quantized, QB_PRECISION_INT8, samples, outputs[1]);
  assert_true(relative_error(outputs[1], outputs[0], SAMPLES * CLASSES) < 0.05);
  qb_model_unref(quantized);
  qb_model_unref(model);
  free(samples);
}

static void layers_stay_in_floats_until_the_accuracy_holds(void **state)
{
  (void)state;
  float *samples = draw_samples();
  const void *const inputs[1] = {samples};
  seen s = {.least_db = INFINITY};
  qb_quantize_params params = params_of(inputs, &s);
  qb_model *model, *quantized;
  qb_quantization q = QB_QUANTIZATION_INIT;
  assert_ok(make_network(context, &model));
  params.accuracy = 1;
  assert_ok(qb_model_quantize(model, &params, &q, &quantized));
  assert_true(q.holds && q.agreement == 1);
  assert_int_equal(q.integer_layers, s.integer);
  qb_model_unref(quantized);

  /* Wrong labels, but for those that floats agree with, are kept as they are. */
  uint32_t labels[SAMPLES];
  for (size_t i = 0; i < SAMPLES; i++)
    labels[i] = i % CLASSES;
  params.labels = labels;
  assert_ok(qb_model_quantize(model, &params, &q, &quantized));
  assert_true(q.holds && q.accuracy >= q.float_accuracy);
  qb_model_unref(quantized);
  qb_model_unref(model);
  free(samples);
}

static void what_cannot_be_quantized_is_refused(void **state)
{
  (void)state;
  float *samples = draw_samples();
  const void *const inputs[1] = {samples};
  seen s = {.least_db = INFINITY, .cancel_at = 2};
  qb_quantize_params params = params_of(inputs, &s);
  qb_model *model, *quantized;
  assert_ok(make_network(context, &model));
  assert_status(qb_model_quantize(model, &params, NULL, &quantized), QB_ERROR_CANCELLED);
  s.cancel_at = 0;
  params.samples = 1;
  assert_status(qb_model_quantize(model, &params, NULL, &quantized), QB_ERROR_INVALID_ARGUMENT);
  params.samples = SAMPLES;
  params.accuracy = 99;
  assert_status(qb_model_quantize(model, &params, NULL, &quantized), QB_ERROR_INVALID_ARGUMENT);
  assert_message("a share from 0 to 1");
  params.accuracy = 0;
  samples[0] = NAN;
  assert_status(qb_model_quantize(model, &params, NULL, &quantized), QB_ERROR_INVALID_ARGUMENT);
  assert_message("not finite");
  qb_model_unref(model);
  free(samples);
}

static qb_status quantize_with(qb_context *with, float *samples)
{
  const void *const inputs[1] = {samples};
  seen s = {.least_db = INFINITY};
  qb_quantize_params params = params_of(inputs, &s);
  params.samples = 4;
  qb_model *model = NULL, *quantized = NULL;
  qb_status status = make_network(with, &model);
  if (!status)
    status = qb_model_quantize(model, &params, NULL, &quantized);
  qb_model_unref(quantized);
  qb_model_unref(model);
  return status;
}

/* A few of thousands, wherever they are: each takes sessions of its own. */
static void allocations_may_fail(void **state)
{
  (void)state;
  float *samples = draw_samples();
  uint64_t random = random_start();
  long all = 0;
  for (int i = 0; i <= random_cases(4); i++) {
    failing_allocator allocator = {0};
    qb_context *with = failing_allocator_context(&allocator);
    allocator.fail_at = all ? (long)random_int(&random, 1, (uint64_t)all) : 0;
    const qb_status status = quantize_with(with, samples);
    all = all ? all : atomic_load(&allocator.requests);
    qb_context_unref(with);
    assert_int_equal(atomic_load(&allocator.live), 0);
    assert_true(status == QB_OK || status == QB_ERROR_NO_MEMORY);
  }
  free(samples);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_layers_are_on_integers_and_near_those_in_floats),
      cmocka_unit_test(sums_are_rounded_behind_their_activation),
      cmocka_unit_test(activations_are_left_to_rounding),
      cmocka_unit_test(portable_networks_saturate_nowhere),
#ifdef QB_HAVE_ONNX
      cmocka_unit_test(the_file_computes_what_the_model_does),
#endif
      cmocka_unit_test(sessions_in_int8_compute_what_was_measured),
      cmocka_unit_test(layers_stay_in_floats_until_the_accuracy_holds),
      cmocka_unit_test(what_cannot_be_quantized_is_refused),
      cmocka_unit_test(allocations_may_fail),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
