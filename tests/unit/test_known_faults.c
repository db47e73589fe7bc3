/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wrong results of docs/onednn.md put back, each on a layer of its shape: the check of the plan
 * finds them, and others wherever in a result they are. What crashes or damages memory cannot be
 * put back.
 */
#include "engine/session_profiling.h"

#include "support/faulty_kernels.h"
#include "support/network_check.h"

#include <stdio.h>

enum { BATCH = 3, MOST_OPERATORS = 16 };

static const qb__window same = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};

static char said[8192]; /* messages to the host */

static void hear(void *user, qb_severity severity, const char *text)
{
  (void)user, (void)severity;
  const size_t used = strlen(said);
  snprintf(said + used, sizeof said - used, "%s\n", text);
}

static int32_t constant(qb__graph *graph, uint32_t rank, const int64_t *dims)
{
  const int32_t made = qb__graph_constant(graph, "constant", rank, dims);
  if (!graph->status)
    qb__fill(graph, made, 7, 0, 0.3f);
  return made;
}

static int32_t convolution(qb__graph *graph, int32_t x, int64_t channels, const qb__window *window,
                           int64_t groups)
{
  const int64_t dims[4] = {channels, graph->tensors[x].dims[0] / groups, window->kernel[0],
                           window->kernel[1]};
  return qb__graph_convolution(graph, "layer", x, constant(graph, 4, dims), QB__NONE, window,
                               groups);
}

static int32_t image(qb__graph *graph, int64_t channels, int64_t height, int64_t width)
{
  const int64_t dims[3] = {channels, height, width};
  return qb__graph_input(graph, "image", 3, dims);
}

/* Weights of 24 input channels, which blocks of 16 hold with 8 of padding. */
static void build_padded_weights(qb__graph *graph)
{
  qb__graph_output(graph, convolution(graph, image(graph, 24, 6, 7), 16, &same, 1));
}

/* Of 16 channels, inputs where they are of weights. */
static bool is_second_block(const qb__dims *dims, const int64_t *at)
{
  (void)dims;
  return at[1] >= 16;
}

/* An image moved by one column: from one part of it to another one of the same gaps. */
static void build_shift(qb__graph *graph)
{
  static const int64_t before[3] = {0, 0, 1}, after[3] = {0, 0, -1};
  const int32_t x = qb__graph_pad(graph, "shift", image(graph, 4, 5, 7), before, after, 0);
  qb__graph_output(graph, qb__graph_activation(graph, "tanh", x, QB__ACTIVATION_TANH, 0, 0));
}

/* Copied as if there were no gaps: rows lack one column each, so the end is not reached. */
static bool is_behind_gaps(const qb__dims *dims, const int64_t *at)
{
  const int64_t rows = dims->at[0] * dims->at[1] * dims->at[2], columns = dims->at[3];
  const int64_t row = (at[0] * dims->at[1] + at[1]) * dims->at[2] + at[2];
  return row * (columns + 1) + at[3] >= rows * columns;
}

/* The product of each sample's matrices with the same one or two. */
static void build_products(qb__graph *graph, int64_t count)
{
  const int64_t first[3] = {count, 24, 20}, second[3] = {count, 20, 12};
  const int32_t x = qb__graph_input(graph, "matrices", 3, first);
  qb__graph_output(graph, qb__graph_matmul(graph, "product", x, constant(graph, 3, second)));
}

static void build_stacked_product(qb__graph *graph)
{
  build_products(graph, 1);
}

static void build_shared_product(qb__graph *graph)
{
  build_products(graph, 2);
}

static int64_t share(const qb__dims *dims, const int64_t *at, int64_t parts)
{
  int64_t index = 0, all = 1;
  for (int d = 0; d < dims->count; d++) {
    index = index * dims->at[d] + at[d];
    all *= dims->at[d];
  }
  return index * parts / all;
}

/* The end of what the second of two threads computes. */
static bool is_unfinished(const qb__dims *dims, const int64_t *at)
{
  return share(dims, at, 8) == 7;
}

/* One channel into rows of one element, by a window that moves by two columns. */
static void build_narrow_rows(qb__graph *graph)
{
  static const qb__window w = {.kernel = {2, 2}, .strides = {1, 2}, .dilations = {1, 1}};
  qb__graph_output(graph, convolution(graph, image(graph, 1, 6, 3), 5, &w, 1));
}

static bool is_any(const qb__dims *dims, const int64_t *at)
{
  (void)dims, (void)at;
  return true;
}

/* A sum of channels in blocks of four; the ReLU is not fused, with which oneDNN damages memory. */
static void build_sum(qb__graph *graph)
{
  const int32_t x = convolution(graph, image(graph, 8, 6, 9), 8, &same, 2);
  const int32_t y = qb__graph_activation(graph, "tanh", x, QB__ACTIVATION_TANH, 0, 0);
  qb__graph_output(graph, qb__graph_activation(graph, "relu", qb__graph_add(graph, "sum", x, y),
                                               QB__ACTIVATION_RELU, 0, 0));
}

/* Of four blocks two are computed. */
static bool is_left_out(const qb__dims *dims, const int64_t *at)
{
  const int64_t block = (at[0] * dims->at[1] + at[1]) / 4;
  return ((block * dims->at[2] + at[2]) * dims->at[3] + at[3]) % 4 >= 2;
}

/* The first channel subtracted in place from all of one and a half blocks. */
static void build_repeated_channel(qb__graph *graph)
{
  static const int64_t dims[4] = {24, 24, 3, 3}, before[3] = {0, 0, 0}, after[3] = {-23, 0, 0};
  const int32_t x = qb__graph_deconvolution(graph, "layer", image(graph, 24, 6, 9),
                                            constant(graph, 4, dims), QB__NONE, &same, 1);
  const int32_t first = qb__graph_pad(graph, "first", x, before, after, 0);
  qb__graph_output(graph, qb__graph_binary(graph, "difference", QB__OP_SUBTRACT, x, first));
}

/* A layer large enough for wrong elements to be few of all. */
static void build_layer(qb__graph *graph)
{
  qb__graph_output(graph, convolution(graph, image(graph, 24, 13, 17), 40, &same, 1));
}

/* Trials of layers all take the same time, so that oneDNN's first choice stays. */
static int64_t stopped_clock(void *user)
{
  (void)user;
  return 0;
}

static qb_context *new_context(void)
{
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.message = hear;
  params.now_ns = stopped_clock;
  qb_context *context;
  assert_ok(qb_context_new(&params, &context));
  *said = '\0';
  return context;
}

/* By one algorithm wherever it applies; QB__ALGORITHM_UNKNOWN: the fastest. */
static qb_session *session_of(const network_check *c, qb__layer_algorithm algorithm)
{
  const qb_configuration configuration = {1, 2};
  const qb__graph *g = &c->model->graph;
  qb__layer_algorithm layers[MOST_OPERATORS];
  const qb__algorithms algorithms = {.layers = layers};
  qb_session *session;
  assert_in_range(g->operator_count, 1, MOST_OPERATORS);
  for (size_t i = 0; i < g->operator_count; i++)
    layers[i] = g->operators[i].weights == QB__NONE ? QB__ALGORITHM_UNKNOWN : algorithm;
  assert_ok(
      qb__session_new(c->model, &configuration, algorithm ? &algorithms : NULL, NULL, &session));
  return session;
}

/* Whether a session's findings have the faulty implementation, by operator `op`. */
static bool is_kept(const network_check *c, const qb_session *session, const fault *made)
{
  qb__layer_algorithm layers[MOST_OPERATORS];
  qb__algorithms algorithms = {.layers = layers};
  const char *name =
      made->target == FAULTY_CHANGES ? QB__CHANGE_OF_LAYOUT : faulty_seen.implementation;
  assert_true(qb__session_get_algorithms(session, &algorithms));
  bool kept = false;
  for (uint32_t i = 0; i < c->model->graph.operator_count; i++)
    if (made->op && !strcmp(c->model->graph.operators[i].name, made->op))
      kept = kept || qb__is_passed_over(&algorithms.findings, i, name);
  return kept;
}

/* A fault is found, told and kept, and rounds are right because its kernel is in none of them. */
static void expect_found(void (*build)(qb__graph *graph), qb__layer_algorithm algorithm,
                         const fault *made)
{
  qb_context *context = new_context();
  qb__graph graph;
  qb__graph_init(&graph, context);
  build(&graph);
  network_check c = network_check_make(&graph, BATCH, NULL);
  faulty_kernels_are(made);
  qb_session *session = session_of(&c, algorithm);
  assert_ok(qb_session_prepare(session, BATCH, NULL));
  assert_true(faulty_seen.runs > 0);
  assert_non_null(strstr(said, made->op ? "passed over" : "plain loops pack it"));
  if (made->op && !is_kept(&c, session, made))
    fail_msg("%s is not passed over: %s", faulty_seen.implementation, said);
  faulty_seen.runs = 0;
  network_check_expect(&c, session, 0, BATCH);
  assert_int_equal(faulty_seen.runs, 0);
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

static const struct {
  const char *name; /* as docs/onednn.md has it */
  void (*build)(qb__graph *graph);
  qb__layer_algorithm algorithm;
  fault put_back;
} known[] = {
    {"reorders into two blocked dimensions, the inner one padded",
     build_padded_weights,
     QB__ALGORITHM_BLOCKED_8,
     {.target = FAULTY_CHANGES, .is_wrong = is_second_block}},
    {"copies between parts with the same gaps",
     build_shift,
     QB__ALGORITHM_UNKNOWN,
     {FAULTY_CHANGES, "shift", is_behind_gaps, .unwritten = true}},
    {"products of all samples and one matrix, stacked",
     build_stacked_product,
     QB__ALGORITHM_UNKNOWN,
     {FAULTY_IMPLEMENTATION, "product", is_unfinished, .unwritten = true}},
    {"products of all samples and one matrix, not stacked",
     build_shared_product,
     QB__ALGORITHM_UNKNOWN,
     {FAULTY_IMPLEMENTATION, "product", is_unfinished, .unwritten = true}},
    {"one channel into rows of one element",
     build_narrow_rows,
     QB__ALGORITHM_UNKNOWN,
     {FAULTY_IMPLEMENTATION, "layer", is_any}},
    {"sums on channels in blocks of 4",
     build_sum,
     QB__ALGORITHM_PREFERRED,
     {FAULTY_IMPLEMENTATION, "sum", is_left_out, .unwritten = true}},
    {"in-place arithmetic with one channel repeated over blocks",
     build_repeated_channel,
     QB__ALGORITHM_PREFERRED,
     {FAULTY_IMPLEMENTATION, "difference", is_second_block, .unwritten = true}},
};

static void known_faults_are_found(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    print_message("# %s\n", known[i].name);
    expect_found(known[i].build, known[i].algorithm, &known[i].put_back);
  }
}

/* What this oneDNN has itself of them; rounds are right all the same. */
static void layers_of_known_faults_are_right(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    const fault none = {FAULTY_NOTHING};
    qb_context *context = new_context();
    qb__graph graph;
    qb__graph_init(&graph, context);
    known[i].build(&graph);
    network_check c = network_check_make(&graph, BATCH, NULL);
    faulty_kernels_are(&none);
    qb_session *session = session_of(&c, known[i].algorithm);
    network_check_expect(&c, session, 0, BATCH);
    if (*said)
      print_message("# %s: %s", known[i].name, said);
    qb_session_unref(session);
    network_check_free(&c);
    qb_context_unref(context);
  }
}

static bool is_first_row(const qb__dims *dims, const int64_t *at)
{
  (void)dims;
  return at[2] == 0;
}

static bool is_last_column(const qb__dims *dims, const int64_t *at)
{
  return at[3] == dims->at[3] - 1;
}

static bool is_corner(const qb__dims *dims, const int64_t *at)
{
  return at[2] == dims->at[2] - 1 && is_last_column(dims, at);
}

static bool is_last_channel(const qb__dims *dims, const int64_t *at)
{
  return at[1] == dims->at[1] - 1;
}

/* 40 channels leave 8 behind blocks of 16. */
static bool is_tail_of_blocks(const qb__dims *dims, const int64_t *at)
{
  return at[1] >= dims->at[1] / 16 * 16;
}

static bool is_one_channel(const qb__dims *dims, const int64_t *at)
{
  (void)dims;
  return at[1] == 21;
}

static bool is_one_row(const qb__dims *dims, const int64_t *at)
{
  (void)dims;
  return at[2] == 6;
}

static bool is_second_sample(const qb__dims *dims, const int64_t *at)
{
  (void)dims;
  return at[0] == 1;
}

static bool is_second_share(const qb__dims *dims, const int64_t *at)
{
  return share(dims, at, 2) == 1;
}

/* Whether a coordinate is at neither a border nor an end of a block of 4. */
static bool is_within(int64_t at, int64_t size)
{
  return at > 1 && at < size - 2 && at % 4 != 0 && at % 4 != 3;
}

static bool is_inside(const qb__dims *dims, const int64_t *at)
{
  return is_within(at[1], dims->at[1]) && is_within(at[2], dims->at[2]) &&
         is_within(at[3], dims->at[3]);
}

/* 2 % that nothing has in common. */
static bool is_scattered(const qb__dims *dims, const int64_t *at)
{
  int64_t index = 0;
  for (int d = 0; d < dims->count; d++)
    index = index * dims->at[d] + at[d];
  return index % 50 == 17;
}

static bool is_one_element(const qb__dims *dims, const int64_t *at)
{
  (void)dims;
  return at[0] == 1 && at[1] == 3 && at[2] == 2;
}

static void faults_are_found_wherever_they_are(void **state)
{
  (void)state;
  static const struct {
    const char *where;
    bool (*is_wrong)(const qb__dims *dims, const int64_t *at);
    void (*build)(qb__graph *graph);
  } places[] = {
      {"first row", is_first_row, build_layer},
      {"last column", is_last_column, build_layer},
      {"corner of the image", is_corner, build_layer},
      {"last channel", is_last_channel, build_layer},
      {"tail of the blocks", is_tail_of_blocks, build_layer},
      {"one channel", is_one_channel, build_layer},
      {"one row", is_one_row, build_layer},
      {"second sample", is_second_sample, build_layer},
      {"second thread's share", is_second_share, build_layer},
      {"inside of the image and of blocks", is_inside, build_layer},
      {"scattered", is_scattered, build_layer},
      {"one element of a small result", is_one_element, build_narrow_rows},
  };
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    for (int unwritten = 0; unwritten < 2; unwritten++) {
      print_message("# %s%s\n", places[i].where, unwritten ? ", unwritten" : "");
      const fault made = {FAULTY_IMPLEMENTATION, "layer", places[i].is_wrong, unwritten, 0};
      expect_found(places[i].build, QB__ALGORITHM_PREFERRED, &made);
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_faults_are_found),
      cmocka_unit_test(layers_of_known_faults_are_right),
      cmocka_unit_test(faults_are_found_wherever_they_are),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
