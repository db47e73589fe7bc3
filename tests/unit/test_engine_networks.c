/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of networks against the reference. */
#include "support/failing_allocator.h"
#include "support/network_check.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

static const qb__builtin_size small_alexnet = {67, 8, 16}, small_resnet50 = {64, 8, 16};

static qb_context *new_context(void)
{
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  return context;
}

static qb_context *new_context_with_clock(int64_t (*now_ns)(void *), void *user)
{
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.now_ns = now_ns;
  params.clock_user = user;
  qb_context *context;
  assert_ok(qb_context_new(&params, &context));
  return context;
}

/* Trials of layers all take the same time: every session chooses the same. */
static int64_t stopped_clock(void *user)
{
  (void)user;
  return 0;
}

/* Any way of a layer may seem the fastest. */
static int64_t random_clock(void *user)
{
  static _Atomic int64_t now_ns;
  return now_ns += (int64_t)random_int(user, 1, 1000000);
}

static network_check make_builtin(qb_context *context,
                                  void (*build)(qb__graph *, const qb__builtin_size *),
                                  const qb__builtin_size *size, uint32_t most_batch)
{
  qb__graph graph;
  qb__graph_init(&graph, context);
  build(&graph, size);
  return network_check_make(&graph, most_batch, NULL);
}

static void a_small_alexnet_computes_what_the_reference_does(void **state)
{
  (void)state;
  qb_context *context = new_context_with_clock(stopped_clock, NULL);
  network_check c = make_builtin(context, qb__build_alexnet, &small_alexnet, 3);
  network_check_configurations(&c);
  network_check_free(&c);
  qb_context_unref(context);
}

static void a_small_resnet50_computes_what_the_reference_does(void **state)
{
  (void)state;
  qb_context *context = new_context_with_clock(stopped_clock, NULL);
  network_check c = make_builtin(context, qb__build_resnet50, &small_resnet50, 3);
  network_check_configurations(&c);
  network_check_free(&c);
  qb_context_unref(context);
}

/* Weights are held once whatever is chosen, and whatever is chosen computes the same. */
static void every_algorithm_computes_the_same(void **state)
{
  (void)state;
  uint64_t random = random_start();
  qb_context *context = new_context_with_clock(random_clock, &random);
  static const qb__builtin_size size = {64, 4, 16};
  network_check c = make_builtin(context, qb__build_resnet50, &size, 5);
  for (int i = 0; i < 6; i++) {
    qb_session *session = network_check_session(&c, 1, (uint32_t)i % 2 + 1);
    uint64_t weight_bytes = 0;
    static const uint32_t batches[] = {3, 1, 5};
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
      network_check_expect(&c, session, 0, batches[b]);
      qb_session_info info = QB_SESSION_INFO_INIT;
      assert_ok(qb_session_get_info(session, &info));
      weight_bytes = weight_bytes ? weight_bytes : info.weight_bytes;
      assert_int_equal(info.weight_bytes, weight_bytes);
    }
    qb_session_unref(session);
  }
  network_check_free(&c);
  qb_context_unref(context);
}

static void random_networks_compute_what_the_reference_does(void **state)
{
  (void)state;
  uint64_t random = random_start(), noise = random;
  qb_context *context = new_context_with_clock(random_clock, &noise);
  for (int i = random_cases(150); i > 0; i--) {
    qb__graph graph;
    qb__graph_init(&graph, context);
    random_network(&random, &graph, (int)random_int(&random, 1, 8), RANDOM_OWN);
    if (graph.status) { /* a window may not fit what earlier ones left */
      qb__graph_clear(&graph);
      continue;
    }
    network_check c = network_check_make(&graph, 3, NULL);
    qb_session *session = network_check_session(&c, 1, (uint32_t)random_int(&random, 1, 2));
    const uint32_t first = (uint32_t)random_int(&random, 1, 3);
    network_check_expect(&c, session, 0, first);
    network_check_expect(&c, session, 0, 4 - first);
    network_check_expect(&c, session, 0, first);
    qb_session_unref(session);
    network_check_free(&c);
  }
  qb_context_unref(context);
}

/* A round of two on one thread; takes the graph over. */
static void expect_two_samples(qb__graph *graph)
{
  network_check c = network_check_make(graph, 2, NULL);
  qb_session *session = network_check_session(&c, 1, 1);
  network_check_expect(&c, session, 0, 2);
  qb_session_unref(session);
  network_check_free(&c);
}

/* Strides, uneven pads, dilations and groups of one convolution, which networks draw seldom. */
static void every_form_of_convolution_computes_the_same(void **state)
{
  (void)state;
  uint64_t random = random_start(), noise = random;
  qb_context *context = new_context_with_clock(random_clock, &noise);
  for (int i = 0; i < random_cases(80); i++) {
    qb__graph graph;
    qb__graph_init(&graph, context);
    const int64_t groups = (int64_t)random_int(&random, 1, 4);
    const uint32_t most = i % 2 ? 8 : 40; /* vectors hold up to 16 channels: below, and beyond */
    const int64_t in = groups * (int64_t)random_int(&random, 1, most);
    const int64_t out = groups * (int64_t)random_int(&random, 1, most);
    const int64_t dims[3] = {in, (int64_t)random_int(&random, 7, 15),
                             (int64_t)random_int(&random, 7, 15)};
    qb__window w;
    for (int a = 0; a < 2; a++) {
      w.kernel[a] = (int64_t)random_int(&random, 1, 4);
      w.strides[a] = (int64_t)random_int(&random, 1, 3);
      w.dilations[a] = (int64_t)random_int(&random, 1, 2);
      w.pad_before[a] = (int64_t)random_int(&random, 0, 2);
      w.pad_after[a] = (int64_t)random_int(&random, 0, 2);
    }
    int32_t x = qb__graph_input(&graph, "image", 3, dims);
    const int32_t weights =
        random_constant(&random, &graph, out, in / groups, w.kernel[0], w.kernel[1], 0, 0.3f);
    const int32_t bias = random_constant(&random, &graph, out, 0, 0, 0, 0, 0.3f);
    x = qb__graph_convolution(&graph, "conv", x, weights,
                              random_int(&random, 0, 1) ? bias : QB__NONE, &w, groups);
    qb__graph_output(&graph, x);
    expect_two_samples(&graph);
  }
  qb_context_unref(context);
}

/*
 * Rows of one element, which oneDNN 3.7.2 computes wrongly of one channel, and windows of one column with
 * a dilation all the same, on which it may crash.
 */
static void narrow_rows_compute_the_same(void **state)
{
  (void)state;
  uint64_t random = random_start();
  qb_context *context = new_context_with_clock(stopped_clock, NULL);
  for (int i = 0; i < random_cases(40); i++) {
    const bool one_column = i % 2;
    const int64_t in = one_column ? (int64_t)random_int(&random, 1, 20) : 1;
    const int64_t out = (int64_t)random_int(&random, 1, 20);
    const int64_t dims[3] = {in, (int64_t)random_int(&random, 4, 9), one_column ? 1 : 3};
    const int64_t stride = (int64_t)random_int(&random, 2, 3);
    const int64_t beside = one_column ? stride - 1 : 0;
    const qb__window w = {.kernel = {(int64_t)random_int(&random, 1, 3), one_column ? 1 : 2},
                          .strides = {1, stride},
                          .dilations = {1, one_column ? 2 : 1},
                          .pad_before = {0, beside},
                          .pad_after = {1, beside}};
    qb__graph g;
    qb__graph_init(&g, context);
    const int32_t x = qb__graph_input(&g, "image", 3, dims);
    const int32_t weights =
        random_constant(&random, &g, out, in, w.kernel[0], w.kernel[1], 0, 0.3f);
    qb__graph_output(&g, qb__graph_convolution(&g, "conv", x, weights, QB__NONE, &w, 1));
    expect_two_samples(&g);
  }
  qb_context_unref(context);
}

/*
 * 1x1 windows on the channels of large networks, of which oneDNN 3.7.2 cannot compute some in the
 * layout it likes best; nor deconvolutions, which are the same backwards.
 */
static void many_channels_compute_the_same(void **state)
{
  (void)state;
  uint64_t random = random_start();
  qb_context *context = new_context_with_clock(stopped_clock, NULL);
  static const int64_t channels[][2] = {
      {256, 1024}, {512, 1024}, {512, 2048}, {1024, 512}, {1024, 2048}};
  for (int i = 0; i < 10; i++) {
    const bool backwards = i % 2;
    const int64_t groups = i < 2 ? 2 : 1,
                  stride = backwards ? 2 : (int64_t)random_int(&random, 1, 2);
    const int64_t in = channels[i / 2][backwards], out = channels[i / 2][!backwards];
    const int64_t dims[3] = {groups * in, (int64_t)random_int(&random, 1, 2),
                             (int64_t)random_int(&random, 1, 2)};
    const qb__window w = {.kernel = {1, 1}, .strides = {stride, stride}, .dilations = {1, 1}};
    qb__graph g;
    qb__graph_init(&g, context);
    int32_t x = qb__graph_input(&g, "image", 3, dims);
    const int32_t weights = random_constant(&random, &g, groups * out, in, 1, 1, 0, 0.05f);
    const int32_t bias = random_constant(&random, &g, groups * out, 0, 0, 0, 0, 0.3f);
    x = backwards ? qb__graph_deconvolution(&g, "deconv", x, weights, bias, &w, groups)
                  : qb__graph_convolution(&g, "conv", x, weights, bias, &w, groups);
    qb__graph_output(&g, qb__graph_activation(&g, "relu", x, QB__ACTIVATION_RELU, 0, 0));
    network_check c = network_check_make(&g, 2, NULL);
    qb_session *session = network_check_session(&c, 1, (uint32_t)random_int(&random, 1, 2));
    network_check_expect(&c, session, 0, 2);
    qb_session_unref(session);
    network_check_free(&c);
  }
  qb_context_unref(context);
}

/* Minimal filtering may be the fastest for the first one, but does not apply to the second one. */
static void a_layer_of_integers_has_an_algorithm_beside_a_like_one_of_reals(void **state)
{
  (void)state;
  uint64_t random = random_start(), clock = random;
  qb_context *context = new_context_with_clock(random_clock, &clock);
  static const int64_t dims[3] = {16, 16, 16};
  static const qb__window w = {.kernel = {3, 3},
                               .strides = {1, 1},
                               .dilations = {1, 1},
                               .pad_before = {1, 1},
                               .pad_after = {1, 1}};
  for (int i = random_cases(24); i > 0; i--) {
    qb__graph g;
    qb__graph_init(&g, context);
    const int32_t image = qb__graph_input(&g, "image", 3, dims);
    const int32_t x = random_convolution(&random, &g, image, 16, &w);
    const size_t before = g.operator_count;
    const int32_t y = random_convolution(&random, &g, image, 16, &w);
    qb__graph_mark_integers(&g, before, 1, 1);
    qb__graph_output(&g, qb__graph_add(&g, "add", x, y));
    expect_two_samples(&g);
  }
  qb_context_unref(context);
}

/* What a convolution adds may still be needed: by itself, or by a later operator. */
static void addends_that_are_read_again_are_kept(void **state)
{
  (void)state;
  qb_context *context = new_context_with_clock(stopped_clock, NULL);
  uint64_t random = random_start();
  static const int64_t dims[3] = {8, 9, 9};
  const qb__window w = {.strides = {1, 1},
                        .dilations = {1, 1},
                        .pad_before = {1, 1},
                        .pad_after = {1, 1},
                        .kernel = {3, 3}};
  for (int later = 0; later < 2; later++) {
    qb__graph g;
    qb__graph_init(&g, context);
    const int32_t image = qb__graph_input(&g, "image", 3, dims);
    const int32_t x = random_convolution(&random, &g, image, 8, &w);
    int32_t y = later ? random_convolution(&random, &g, x, 8, &w) : x;
    y = qb__graph_add(&g, "add", random_convolution(&random, &g, y, 8, &w), x);
    if (later)
      y = qb__graph_add(&g, "again", qb__graph_lrn(&g, "lrn", y, 5, 0.1f, 0.75f, 2), x);
    qb__graph_output(&g, y);
    network_check c = network_check_make(&g, 3, NULL);
    network_check_configurations(&c);
    network_check_free(&c);
  }
  qb_context_unref(context);
}

/* One channel of a layer's result is taken from all of them, which nothing else reads. */
static void a_channel_may_be_repeated_over_what_is_overwritten(void **state)
{
  (void)state;
  uint64_t random = random_start(), clock = random;
  qb_context *context = new_context_with_clock(random_clock, &clock);
  static const qb__window w = {.kernel = {3, 3},
                               .strides = {1, 1},
                               .dilations = {1, 1},
                               .pad_before = {1, 1},
                               .pad_after = {1, 1}};
  for (int i = 0; i < random_cases(24); i++) {
    const int64_t channels = 3 + i % 8 * 2;
    const int64_t dims[3] = {channels, 6, 9}, before[3] = {0}, after[3] = {1 - channels, 0, 0};
    qb__graph g;
    qb__graph_init(&g, context);
    const int32_t image = qb__graph_input(&g, "image", 3, dims);
    const int32_t x = random_convolution(&random, &g, image, channels, &w);
    const int32_t first = qb__graph_pad(&g, "first", x, before, after, 0);
    qb__graph_output(&g, qb__graph_binary(&g, "subtract", QB__OP_SUBTRACT, x, first));
    expect_two_samples(&g);
  }
  qb_context_unref(context);
}

/* Sums read a row-major copy of a tensor, and of what it is overwritten with a new one. */
static void copies_of_what_is_overwritten_are_not_read(void **state)
{
  (void)state;
  uint64_t random = random_start(), clock = random;
  qb_context *context = new_context_with_clock(random_clock, &clock);
  static const qb__op_kind kinds[] = {QB__OP_ADD, QB__OP_MULTIPLY, QB__OP_MAXIMUM};
  static const int64_t dims[3] = {16, 6, 9};
  static const qb__window one = {{1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}};
  const uint32_t pixels = 6;
  for (int i = 0; i < random_cases(24); i++) {
    qb__graph g;
    qb__graph_init(&g, context);
    const int32_t image = qb__graph_input(&g, "image", 3, dims);
    const int32_t x = random_convolution(&random, &g, image, 16, &one);
    const int32_t before = qb__graph_reduce(&g, "before", QB__REDUCTION_SUM, x, pixels);
    const int32_t other = random_convolution(&random, &g, image, 16, &one);
    const int32_t y = qb__graph_binary(&g, "overwrites", kinds[i % 3], x, other);
    const int32_t after = qb__graph_reduce(&g, "after", QB__REDUCTION_SUM, y, pixels);
    qb__graph_output(&g, qb__graph_binary(&g, "both", QB__OP_SUBTRACT, after, before));
    expect_two_samples(&g);
  }
  qb_context_unref(context);
}

/* Gates as in squeeze and excitation, on whichever layout the layer before them has. */
static void numbers_of_channels_are_combined_with_any_layout(void **state)
{
  (void)state;
  uint64_t random = random_start(), clock = random;
  qb_context *context = new_context_with_clock(random_clock, &clock);
  static const qb__op_kind kinds[] = {QB__OP_ADD, QB__OP_SUBTRACT, QB__OP_MULTIPLY, QB__OP_DIVIDE,
                                      QB__OP_MAXIMUM};
  static const int64_t counts[] = {8, 12, 16, 24, 32, 40, 208};
  for (int i = 0; i < 35; i++) {
    const int64_t channels = counts[i % 7], dims[3] = {channels, 5 + i % 4, 7};
    const qb__window one = {{1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}};
    const qb__window all = {{dims[1], dims[2]}, {1, 1}, {1, 1}, {0, 0}, {0, 0}};
    qb__graph g;
    qb__graph_init(&g, context);
    const int32_t image = qb__graph_input(&g, "image", 3, dims);
    const int32_t x = random_convolution(&random, &g, image, channels, &one);
    int32_t gate = qb__graph_pool(&g, "squeeze", QB__OP_AVERAGE_POOL, x, &all, false);
    gate = random_convolution(&random, &g, gate, channels, &one);
    gate = qb__graph_activation(&g, "gate", gate, QB__ACTIVATION_SIGMOID, 0, 0);
    const qb__op_kind kind = kinds[i % 5];
    const bool turned = random_int(&random, 0, 1) && kind != QB__OP_DIVIDE;
    const int32_t y = qb__graph_binary(&g, "gated", kind, turned ? gate : x, turned ? x : gate);
    qb__graph_output(&g, random_convolution(&random, &g, y, 16, &one));
    network_check c = network_check_make(&g, 5, NULL);
    qb_session *session = network_check_session(&c, 1, 2);
    network_check_expect(&c, session, 0, 1);
    network_check_expect(&c, session, 0, 5);
    qb_session_unref(session);
    network_check_free(&c);
  }
  qb_context_unref(context);
}

typedef struct caller {
  pthread_t thread;
  const network_check *check;
  qb_session *session;
  uint32_t batch;
  double worst;
} caller;

static void *call(void *argument)
{
  caller *c = argument;
  for (uint32_t i = 0; i < 40; i++) {
    const uint32_t first = i % (c->check->most_batch - c->batch + 1);
    const double error = network_check_round(c->check, c->session, first, c->batch);
    c->worst = error >= 0 && error <= c->worst ? c->worst : error < 0 ? INFINITY : error;
  }
  return NULL;
}

static void different_batches_may_run_at_the_same_time(void **state)
{
  (void)state;
  qb_context *context = new_context();
  network_check check = make_builtin(context, qb__build_alexnet, &small_alexnet, 4);
  qb_session *session = network_check_session(&check, 2, 1);
  caller callers[3];
  for (uint32_t i = 0; i < 3; i++) {
    callers[i] = (caller){.check = &check, .session = session, .batch = i + 1};
    assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
  }
  for (int i = 0; i < 3; i++) {
    pthread_join(callers[i].thread, NULL);
    assert_true(callers[i].worst <= 1e-4);
  }
  qb_session_unref(session);
  network_check_free(&check);
  qb_context_unref(context);
}

static void later_batches_disturb_no_earlier_ones(void **state)
{
  (void)state;
  qb_context *context = new_context();
  network_check c = make_builtin(context, qb__build_resnet50, &small_resnet50, 6);
  qb_session *session = network_check_session(&c, 1, 1);
  uint64_t weight_bytes = 0;
  static const uint32_t batches[] = {2, 6, 1, 4}; /* larger ones move the arena */
  for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
    assert_ok(qb_session_prepare(session, batches[i], NULL));
    for (size_t j = 0; j <= i; j++)
      network_check_expect(&c, session, 0, batches[j]);
    qb_session_info info = QB_SESSION_INFO_INIT;
    assert_ok(qb_session_get_info(session, &info));
    weight_bytes = weight_bytes ? weight_bytes : info.weight_bytes;
    assert_int_equal(info.weight_bytes, weight_bytes);
    assert_int_equal(info.ready_batches, i + 1);
  }
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

static void missing_tensors_are_refused(void **state)
{
  (void)state;
  qb_context *context = new_context();
  network_check c = make_builtin(context, qb__build_alexnet, &small_alexnet, 1);
  qb_session *session = network_check_session(&c, 1, 1);
  const void *const inputs[1] = {NULL};
  void *const outputs[1] = {c.expected};
  assert_status(qb_session_run(session, 1, NULL, outputs, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_session_run(session, 1, inputs, outputs, NULL), QB_ERROR_INVALID_ARGUMENT);
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

static qb_status run_once(qb_context *context, void *user)
{
  (void)user;
  uint64_t random = 3;
  static const int64_t dims[3] = {3, 8, 8};
  const qb__window w = {.kernel = {3, 3}, .strides = {2, 2}, .dilations = {1, 1}};
  static float input[2 * 3 * 8 * 8], output[2 * 64];
  const void *const inputs[1] = {input};
  void *const outputs[1] = {output};
  qb__graph g;
  qb__graph_init(&g, context);
  int32_t x = qb__graph_input(&g, "image", 3, dims);
  const int32_t weights = random_constant(&random, &g, 8, 3, 3, 3, 0, 1);
  x = qb__graph_convolution(&g, "conv", x, weights, QB__NONE, &w, 1);
  qb__graph_output(&g,
                   qb__graph_softmax(&g, "softmax", qb__graph_flatten(&g, "flatten", x), 0, false));
  qb_model *model = NULL;
  qb_session *session = NULL;
  const qb_configuration configuration = {2, 1};
  qb_status status = qb__model_from_graph(&g, "small", &model);
  if (!status)
    status = qb_session_new(model, &configuration, NULL, &session);
  if (!status)
    status = qb_session_run(session, 1, inputs, outputs, NULL);
  qb_session_unref(session);
  qb_model_unref(model);
  return status;
}

/* A layout that cannot be tried for want of memory is not a failure: another one does. */
static void every_failed_allocation_is_survived(void **state)
{
  (void)state;
  (void)outlive_every_allocation_failure(run_once, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_small_alexnet_computes_what_the_reference_does),
      cmocka_unit_test(a_small_resnet50_computes_what_the_reference_does),
      cmocka_unit_test(every_algorithm_computes_the_same),
      cmocka_unit_test(random_networks_compute_what_the_reference_does),
      cmocka_unit_test(every_form_of_convolution_computes_the_same),
      cmocka_unit_test(narrow_rows_compute_the_same),
      cmocka_unit_test(many_channels_compute_the_same),
      cmocka_unit_test(a_layer_of_integers_has_an_algorithm_beside_a_like_one_of_reals),
      cmocka_unit_test(addends_that_are_read_again_are_kept),
      cmocka_unit_test(a_channel_may_be_repeated_over_what_is_overwritten),
      cmocka_unit_test(copies_of_what_is_overwritten_are_not_read),
      cmocka_unit_test(numbers_of_channels_are_combined_with_any_layout),
      cmocka_unit_test(different_batches_may_run_at_the_same_time),
      cmocka_unit_test(later_batches_disturb_no_earlier_ones),
      cmocka_unit_test(missing_tensors_are_refused),
      cmocka_unit_test(every_failed_allocation_is_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
