/* SPDX-License-Identifier: Apache-2.0 */
/* NaN, infinities and overflows stay visible, in the sample that has them and in no other. */
#include "support/failing_allocator.h"
#include "support/network_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 4 };

static const int64_t row_of_5[3] = {1, 1, 5};

static int64_t stopped_clock(void *user)
{
  (void)user;
  return 0;
}

/* Layers are not tried: no time passes. */
static qb_context *new_context(void)
{
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.now_ns = stopped_clock;
  qb_context *context;
  assert_ok(qb_context_new(&params, &context));
  return context;
}

static qb__graph new_graph(qb_context *context)
{
  qb__graph graph;
  qb__graph_init(&graph, context);
  return graph;
}

/* A round of a graph, which is taken over, and the reference's values for it. */
typedef struct checked_round {
  network_check check;
  float *outputs;
  uint32_t flags[BATCH];
} checked_round;

/* `inputs` are copied; NULL: those of network_check_make(). */
static checked_round run_checked(qb__graph *graph, const float *inputs, uint32_t threads)
{
  checked_round r = {.check = network_check_make(graph, BATCH, NULL)};
  network_check *c = &r.check;
  const qb__graph *g = &c->model->graph;
  r.outputs = calloc(BATCH * c->out, sizeof *r.outputs);
  assert_non_null(r.outputs);
  if (inputs) {
    memcpy(c->input, inputs, BATCH * c->in * sizeof *c->input);
    assert_ok(qb__reference_run(g, BATCH, (const float *const *)&c->input, &c->expected, NULL));
  }
  qb_session *session = network_check_session(c, 1, threads);
  const void *const in[1] = {c->input};
  void *const out[1] = {r.outputs};
  memset(r.flags, 0xff, sizeof r.flags);
  assert_ok(qb_session_run(session, BATCH, in, out, r.flags));
  qb_session_unref(session);
  return r;
}

static void free_checked(checked_round *r)
{
  free(r->outputs);
  network_check_free(&r->check);
}

/* A NaN for a NaN, an infinity for the same one, a number for a number. */
static bool same_kinds(const float *found, const float *expected, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (isnan(found[i]) != isnan(expected[i]) || isinf(found[i]) != isinf(expected[i]) ||
        (isinf(found[i]) && found[i] != expected[i]))
      return false;
  return true;
}

static bool all_nan(const float *values, size_t count)
{
  size_t i = 0;
  while (i < count && isnan(values[i]))
    i++;
  return i == count;
}

/* What the network was, for a message. */
static const char *describe(const checked_round *r)
{
  static char text[1024];
  const qb__graph *g = &r->check.model->graph;
  size_t used = 0;
  text[0] = 0;
  for (size_t i = 0; i < g->operator_count && used < sizeof text; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s ",
                             qb__operator_kind_name(&g->operators[i]));
  return text;
}

static void expect_clean(const checked_round *r, uint32_t row)
{
  const size_t out = r->check.out;
  const float *found = r->outputs + row * out;
  assert_int_equal(r->flags[row], 0);
  const double error = relative_error(found, r->check.expected + row * out, out);
  if (!(error <= 1e-4))
    fail_msg("sample %u of '%s': relative error %g", row, describe(r), error);
}

typedef int32_t (*add_one)(qb__graph *graph, int32_t x);

static int32_t add_relu(qb__graph *g, int32_t x)
{
  return qb__graph_activation(g, "relu", x, QB__ACTIVATION_RELU, 0, 0);
}

static int32_t add_leaky(qb__graph *g, int32_t x)
{
  return qb__graph_activation(g, "leaky", x, QB__ACTIVATION_RELU, 0.5f, 0);
}

static int32_t add_clip(qb__graph *g, int32_t x)
{
  return qb__graph_activation(g, "clip", x, QB__ACTIVATION_CLIP, -0.5f, 6);
}

static int32_t add_open_clip(qb__graph *g, int32_t x)
{
  return qb__graph_activation(g, "clip", x, QB__ACTIVATION_CLIP, -INFINITY, INFINITY);
}

static int32_t add_hard_sigmoid(qb__graph *g, int32_t x)
{
  x = qb__graph_activation(g, "linear", x, QB__ACTIVATION_LINEAR, 0.2f, 0.5f);
  return qb__graph_activation(g, "clip", x, QB__ACTIVATION_CLIP, 0, 1);
}

static int32_t add_hard_swish(qb__graph *g, int32_t x)
{
  return qb__graph_activation(g, "hard_swish", x, QB__ACTIVATION_HARD_SWISH, 0, 0);
}

static int32_t add_sigmoid(qb__graph *g, int32_t x)
{
  return qb__graph_activation(g, "sigmoid", x, QB__ACTIVATION_SIGMOID, 0, 0);
}

static int32_t add_tanh(qb__graph *g, int32_t x)
{
  return qb__graph_activation(g, "tanh", x, QB__ACTIVATION_TANH, 0, 0);
}

static int32_t add_square(qb__graph *g, int32_t x)
{
  return qb__graph_activation(g, "square", x, QB__ACTIVATION_POWER, 1, 2);
}

static int32_t add_root(qb__graph *g, int32_t x)
{
  return qb__graph_activation(g, "root", x, QB__ACTIVATION_POWER, 1, 0.5f);
}

static int32_t add_max_pool(qb__graph *g, int32_t x)
{
  const qb__window w = {.kernel = {1, 2}, .strides = {1, 1}, .dilations = {1, 1}};
  return qb__graph_pool(g, "pool", QB__OP_MAX_POOL, x, &w, false);
}

static int32_t add_global_max_pool(qb__graph *g, int32_t x)
{
  const qb__window w = {.kernel = {1, 5}, .strides = {1, 1}, .dilations = {1, 1}};
  return qb__graph_pool(g, "pool", QB__OP_MAX_POOL, x, &w, false);
}

static int32_t add_average_pool(qb__graph *g, int32_t x)
{
  const qb__window w = {.kernel = {1, 2}, .strides = {1, 1}, .dilations = {1, 1}};
  return qb__graph_pool(g, "pool", QB__OP_AVERAGE_POOL, x, &w, false);
}

static int32_t add_softmax(qb__graph *g, int32_t x)
{
  return qb__graph_softmax(g, "softmax", x, 2, false);
}

static int32_t add_lrn(qb__graph *g, int32_t x)
{
  return qb__graph_lrn(g, "lrn", x, 5, 0.1f, 0.75f, 2);
}

/* What numpy makes of one value, and the reference with it. */
static void single_operators_mark_poisoned_samples(void **state)
{
  (void)state;
  static const add_one operators[] = {
      add_relu,       add_leaky,           add_clip,    add_open_clip, add_hard_sigmoid,
      add_hard_swish, add_sigmoid,         add_tanh,    add_square,    add_root,
      add_max_pool,   add_global_max_pool, add_softmax, add_lrn,       add_average_pool};
  static const float poisons[] = {NAN, INFINITY, -INFINITY, -NAN};
  qb_context *context = new_context();
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
    for (size_t p = 0; p < sizeof poisons / sizeof *poisons; p++) {
      float inputs[BATCH][5] = {
          {1, 2, 3, 4, 5}, {0.5f, 0, 0, 1, 2}, {3, 2, 1, 1, 1}, {9, 8, 7, 6, 5}};
      inputs[1][p] = poisons[p];
      qb__graph graph = new_graph(context);
      qb__graph_output(&graph, operators[i](&graph, qb__graph_input(&graph, "x", 3, row_of_5)));
      checked_round r = run_checked(&graph, inputs[0], 1);
      const size_t out = r.check.out;
      assert_int_equal(r.flags[1], QB_SAMPLE_NOT_FINITE);
      if (!same_kinds(r.outputs + out, r.check.expected + out, out))
        fail_msg("operator %zu with %g: %g %g, expected %g %g", i, (double)poisons[p],
                 (double)r.outputs[out], (double)r.outputs[out + 1], (double)r.check.expected[out],
                 (double)r.check.expected[out + 1]);
      for (uint32_t row = 0; row < BATCH; row++)
        if (row != 1)
          expect_clean(&r, row);
      free_checked(&r);
    }
  qb_context_unref(context);
}

/* The values of docs: numpy's, written down. */
static void values_are_those_of_numpy(void **state)
{
  (void)state;
  static const struct {
    add_one add;
    size_t count;
    float expected[5];
  } cases[] = {{add_relu, 5, {NAN, 0, 0, 1, INFINITY}},
               {add_open_clip, 5, {NAN, -1, 0, 1, INFINITY}},
               {add_max_pool, 4, {NAN, 0, 1, INFINITY}},
               {add_global_max_pool, 1, {NAN}},
               {add_hard_sigmoid, 5, {NAN, 0.3f, 0.5f, 0.7f, 1}},
               {add_softmax, 5, {NAN, NAN, NAN, NAN, NAN}}};
  qb_context *context = new_context();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const float inputs[BATCH][5] = {{NAN, -1, 0, 1, INFINITY}};
    qb__graph graph = new_graph(context);
    qb__graph_output(&graph, cases[i].add(&graph, qb__graph_input(&graph, "x", 3, row_of_5)));
    checked_round r = run_checked(&graph, inputs[0], 1);
    assert_int_equal(r.check.out, cases[i].count);
    assert_true(same_kinds(r.outputs, cases[i].expected, cases[i].count));
    for (size_t k = 0; k < cases[i].count; k++)
      assert_true(!isfinite(cases[i].expected[k]) ||
                  fabsf(r.outputs[k] - cases[i].expected[k]) < 1e-6f);
    free_checked(&r);
  }
  qb_context_unref(context);
}

/* Some values, or all of them finite and so large that sums overflow. */
static void poison(uint64_t *random, float *values, size_t count)
{
  const bool as_a_whole = random_int(random, 0, 1);
  for (size_t i = 0; i < count && as_a_whole; i++)
    values[i] *= 5e37f;
  if (as_a_whole)
    return;
  static const float poisons[] = {NAN, INFINITY, -INFINITY, 1e38f, -1e38f, 1e30f};
  const uint64_t places = random_int(random, 1, 3);
  for (uint64_t i = 0; i < places; i++)
    values[random_int(random, 0, count - 1)] =
        poisons[random_int(random, 0, sizeof poisons / sizeof *poisons - 1)];
}

/* A poisoned sample is told, or has the kinds of values of the reference; others never are. */
static void random_networks_mark_poisoned_samples_alone(void **state)
{
  (void)state;
  uint64_t random = random_start();
  qb_context *context = new_context();
  int told = 0;
  for (int i = 0; i < random_cases(150); i++) {
    qb__graph graph = new_graph(context);
    random_network(&random, &graph, (int)random_int(&random, 1, 9), RANDOM_NORMS | RANDOM_OWN);
    const size_t in = graph.status ? 0 : graph.tensors[graph.inputs[0]].elements;
    float *inputs = malloc(BATCH * in * sizeof *inputs);
    assert_true(in && inputs);
    bool poisoned[BATCH];
    qb__fill_values(inputs, BATCH * in, random_bits(&random), 0, 1);
    for (uint32_t row = 0; row < BATCH; row++) {
      poisoned[row] = random_int(&random, 0, 1);
      if (poisoned[row])
        poison(&random, inputs + row * in, in);
    }
    checked_round r = run_checked(&graph, inputs, (uint32_t)random_int(&random, 1, 2));
    for (uint32_t row = 0; row < BATCH; row++) {
      const size_t at = row * r.check.out;
      told += r.flags[row] == QB_SAMPLE_NOT_FINITE;
      if (!poisoned[row])
        expect_clean(&r, row);
      else if (!r.flags[row] && !same_kinds(r.outputs + at, r.check.expected + at, r.check.out))
        fail_msg("network %d, sample %u: other values, and not told", i, row);
    }
    free_checked(&r);
    free(inputs);
  }
  assert_true(told > random_cases(150) * 2 / 3 || !random_kinds_come_up(150));
  qb_context_unref(context);
}

/* Values that alternate in sign come out as such, so many times as large. */
static int32_t add_dense(qb__graph *g, int32_t x, size_t outputs, float weight)
{
  const int64_t dims[2] = {(int64_t)outputs, (int64_t)g->tensors[x].elements};
  const int32_t weights = qb__graph_constant(g, "weights", 2, dims);
  for (size_t i = 0; i < g->tensors[weights].elements; i++)
    g->tensors[weights].constant[i] = (i / (size_t)dims[1] + i) % 2 ? -weight : weight;
  return qb__graph_dense(g, "dense", x, weights, QB__NONE);
}

static int32_t ones(qb__graph *g, int64_t size)
{
  const int64_t dims[2] = {size, size};
  const int32_t made = qb__graph_constant(g, "ones", 2, dims);
  for (size_t i = 0; i < g->tensors[made].elements; i++)
    g->tensors[made].constant[i] = 1;
  return made;
}

/*
 * Finite values overflow in the middle, infinities meet their opposites, and a fused clip makes numbers
 * of the NaN: nothing that goes in or comes out tells.
 */
static void overflow_inside_a_network_is_marked(void **state)
{
  (void)state;
  qb_context *context = new_context();
  for (int depth = 1; depth <= 12; depth++) {
    /* Samples 0 and 2 overflow in the last layer but one. */
    const int64_t dims[1] = {4};
    qb__graph graph = new_graph(context);
    int32_t x = qb__graph_input(&graph, "x", 1, dims);
    for (int i = 0; i < depth; i++)
      x = add_dense(&graph, x, 4, 1e3f);
    x = qb__graph_dense(&graph, "sum", x, ones(&graph, 4), QB__NONE);
    x = add_clip(&graph, x);
    qb__graph_output(&graph, x);
    const float large = (float)(1e38 / pow(4e3, depth - 1));
    const float inputs[BATCH][4] = {{large, -large, large, -large},
                                    {1e-10f, 0, 0, 0},
                                    {-large, large, -large, large},
                                    {0, 0, 0, 0}};
    checked_round r = run_checked(&graph, inputs[0], 1);
    assert_int_equal(r.flags[0], QB_SAMPLE_NOT_FINITE);
    assert_int_equal(r.flags[2], QB_SAMPLE_NOT_FINITE);
    assert_true(all_nan(r.outputs, 4) && all_nan(r.outputs + 8, 4));
    expect_clean(&r, 1);
    expect_clean(&r, 3);
    free_checked(&r);
  }
  qb_context_unref(context);
}

/* As above, and a host that does not ask for flags sees it too. */
static void a_convolution_that_overflows_is_marked(void **state)
{
  (void)state;
  uint64_t random = random_start();
  qb_context *context = new_context();
  const int64_t dims[3] = {16, 9, 9};
  const qb__window w = {.kernel = {3, 3},
                        .strides = {1, 1},
                        .dilations = {1, 1},
                        .pad_before = {1, 1},
                        .pad_after = {1, 1}};
  qb__graph graph = new_graph(context);
  int32_t x = qb__graph_input(&graph, "x", 3, dims);
  for (int i = 0; i < 3; i++)
    x = add_relu(&graph, random_convolution(&random, &graph, x, 16, &w));
  qb__graph_output(&graph, random_head(&random, &graph, x));
  network_check c = network_check_make(&graph, BATCH, NULL);
  qb_session *session = network_check_session(&c, 1, 2);
  for (size_t i = 0; i < c.in; i++)
    c.input[c.in + i] *= 1e38f;
  float *outputs = calloc(BATCH * c.out, sizeof *outputs);
  const void *const in[1] = {c.input};
  void *const out[1] = {outputs};
  assert_ok(qb_session_run(session, BATCH, in, out, NULL));
  assert_true(all_nan(outputs + c.out, c.out));
  network_check_expect(&c, session, 0, 1);
  network_check_expect(&c, session, 2, 2);
  free(outputs);
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

/* Large values that nothing overflows with, and infinite constants that are meant. */
static void finite_samples_are_not_marked(void **state)
{
  (void)state;
  qb_context *context = new_context();
  for (int padded = 0; padded < 2; padded++) {
    qb__graph graph = new_graph(context);
    const int64_t one[3] = {0, 0, 1};
    int32_t x = qb__graph_input(&graph, "x", 3, row_of_5);
    if (padded)
      x = qb__graph_pad(&graph, "pad", x, one, one, -INFINITY);
    x = add_softmax(&graph, add_leaky(&graph, add_clip(&graph, add_relu(&graph, x))));
    x = add_dense(&graph, qb__graph_flatten(&graph, "flatten", x), 3, 0.5f);
    qb__graph_output(&graph, x);
    const float inputs[BATCH][5] = {
        {1e30f, 3e38f, -3e38f, 1, 0}, {1, 2, 3, 4, 5}, {-3e38f, -3e38f, 1e20f, 1, 2}, {0}};
    checked_round r = run_checked(&graph, inputs[0], 1);
    for (uint32_t row = 0; row < BATCH; row++)
      expect_clean(&r, row);
    free_checked(&r);
  }
  qb_context_unref(context);
}

/* A weight that is NaN makes numbers behind a fused activation, of every sample. */
static void weights_that_are_not_finite_mark_every_sample(void **state)
{
  (void)state;
  qb_context *context = new_context();
  const float weights[] = {NAN, INFINITY};
  for (int i = 0; i < 2; i++) {
    const int64_t dims[1] = {4};
    qb__graph graph = new_graph(context);
    int32_t x = add_dense(&graph, qb__graph_input(&graph, "x", 1, dims), 4, weights[i]);
    x = add_clip(&graph, x);
    qb__graph_output(&graph, add_dense(&graph, x, 2, 1));
    checked_round r = run_checked(&graph, NULL, 1);
    for (uint32_t row = 0; row < BATCH; row++)
      assert_int_equal(r.flags[row], QB_SAMPLE_NOT_FINITE);
    assert_true(all_nan(r.outputs, BATCH * r.check.out));
    free_checked(&r);
  }
  qb_context_unref(context);
}

static int run_nothing(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
                       void *const *outputs)
{
  (void)user, (void)instance, (void)batch, (void)inputs, (void)outputs;
  return 0;
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  uint32_t flags[1] = {7};
  qb_context *context = new_context();
  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = "unseen";
  workload.run = run_nothing;
  qb_model *model;
  qb_session *session;
  assert_ok(qb_model_from_workload(context, &workload, &model));
  assert_ok(qb_session_new(model, NULL, NULL, &session));
  assert_status(qb_session_run(NULL, 1, NULL, NULL, flags), QB_ERROR_INVALID_ARGUMENT);
  assert_ok(qb_session_run(session, 1, NULL, NULL, NULL));
  assert_status(qb_session_run(session, 1, NULL, NULL, flags), QB_ERROR_UNSUPPORTED);
  assert_int_equal(flags[0], 7);
  qb_session_unref(session);
  qb_model_unref(model);
  qb_context_unref(context);
}

static qb_status run_poisoned(qb_context *context, void *user)
{
  (void)user;
  float input[5] = {NAN, 1, 2, 3, 4}, output[5];
  uint32_t flags[1] = {0};
  const void *const inputs[1] = {input};
  void *const outputs[1] = {output};
  qb__graph graph = new_graph(context);
  qb__graph_output(&graph, add_relu(&graph, qb__graph_input(&graph, "x", 3, row_of_5)));
  qb_model *model = NULL;
  qb_session *session = NULL;
  const qb_configuration configuration = {1, 1};
  qb_status status = qb__model_from_graph(&graph, "poisoned", &model);
  if (!status)
    status = qb_session_new(model, &configuration, NULL, &session);
  if (!status)
    status = qb_session_run(session, 1, inputs, outputs, flags);
  assert_true(status || flags[0] == QB_SAMPLE_NOT_FINITE);
  qb_session_unref(session);
  qb_model_unref(model);
  return status;
}

/* Some allocations of a plan are only for what would be faster. */
static void every_failed_allocation_is_survived(void **state)
{
  (void)state;
  (void)outlive_every_allocation_failure(run_poisoned, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(single_operators_mark_poisoned_samples),
      cmocka_unit_test(values_are_those_of_numpy),
      cmocka_unit_test(random_networks_mark_poisoned_samples_alone),
      cmocka_unit_test(overflow_inside_a_network_is_marked),
      cmocka_unit_test(a_convolution_that_overflows_is_marked),
      cmocka_unit_test(finite_samples_are_not_marked),
      cmocka_unit_test(weights_that_are_not_finite_mark_every_sample),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(every_failed_allocation_is_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
