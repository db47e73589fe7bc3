/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds whose samples pass through the network a few at a time. */
#include "engine/microbatch.h"
#include "engine/plan_trial.h"
#include "engine/session_profiling.h"

#include "support/failing_allocator.h"
#include "support/network_check.h"

#include <qosbatch/inspect.h>

#include <math.h>

/* Two samples with sides of 110 would leave a core's cache. */
enum { MOST_BATCH = 7, MOST_OPERATORS = 64, BIG_SIDE = 112 };

/* Ticks when it is read, or lets the trial of the sizes 1, 2, 4 and 8 take the times it is told. */
typedef struct scripted_clock {
  int64_t now_ns;
  const int64_t *sample_ns; /* by size; NULL: ticks */
  uint32_t reads;
} scripted_clock;

static int64_t read_clock(void *user)
{
  scripted_clock *c = user;
  const uint32_t read = c->reads++, size = read / 2 % 4;
  if (!c->sample_ns)
    return ++c->now_ns;
  if (read % 2)
    c->now_ns += c->sample_ns[size] << size;
  return c->now_ns;
}

static scripted_clock clock_of_all;

static qb_context *new_context(void)
{
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.now_ns = read_clock;
  params.clock_user = &clock_of_all;
  qb_context *context;
  assert_ok(qb_context_new(&params, &context));
  return context;
}

/* A session on `layers`, or on what oneDNN prefers. */
static qb_session *session_of(const network_check *c, uint32_t instances, uint32_t microbatch)
{
  qb__layer_algorithm layers[MOST_OPERATORS];
  const qb__graph *g = &c->model->graph;
  assert_true(g->operator_count <= MOST_OPERATORS);
  for (size_t i = 0; i < g->operator_count; i++)
    layers[i] =
        g->operators[i].weights == QB__NONE ? QB__ALGORITHM_UNKNOWN : QB__ALGORITHM_PREFERRED;
  const qb__algorithms algorithms = {layers, microbatch, UINT32_MAX};
  const qb_configuration configuration = {instances, 1};
  qb_session *session;
  assert_ok(qb__session_new(c->model, &configuration, &algorithms, NULL, &session));
  return session;
}

static network_check random_check(uint64_t *random, qb_context *context)
{
  for (;;) {
    qb__graph graph;
    qb__graph_init(&graph, context);
    random_network(random, &graph, (int)random_int(random, 1, 8), RANDOM_OWN);
    if (!graph.status)
      return network_check_make(&graph, MOST_BATCH, NULL);
    qb__graph_clear(&graph); /* a window may not fit what earlier ones left */
  }
}

/* Runs a round from sample `first` on. */
static void run(const network_check *c, qb_session *session, uint32_t first, uint32_t batch,
                float *output, uint32_t *flags)
{
  const void *const inputs[1] = {c->input + first * c->in};
  void *const outputs[1] = {output + first * c->out};
  assert_ok(qb_session_run(session, batch, inputs, outputs, flags + first));
}

/* Some samples are poisoned: parts find them as rounds of their own do, and all bits are the same. */
static void parts_are_rounds_of_their_own(void **state)
{
  (void)state;
  uint64_t random = random_start();
  qb_context *context = new_context();
  for (int i = random_cases(60); i > 0; i--) {
    network_check c = random_check(&random, context);
    const uint32_t part = (uint32_t)random_int(&random, 1, 4);
    const uint32_t batch = (uint32_t)random_int(&random, 1, MOST_BATCH);
    qb_session *in_parts = session_of(&c, 1, part), *alone = session_of(&c, 1, 0);
    network_check_expect(&c, in_parts, 0, batch);
    for (uint32_t poisoned = (uint32_t)random_int(&random, 0, 2); poisoned > 0; poisoned--)
      c.input[random_int(&random, 0, MOST_BATCH * c.in - 1)] = poisoned == 1 ? NAN : INFINITY;
    float *found = calloc(batch * c.out, sizeof *found),
          *expected = calloc(batch * c.out, sizeof *expected);
    assert_true(found && expected);
    uint32_t flags[2][MOST_BATCH] = {{0}};
    run(&c, in_parts, 0, batch, found, flags[0]);
    for (uint32_t first = 0; first < batch; first += part)
      run(&c, alone, first, batch - first < part ? batch - first : part, expected, flags[1]);
    assert_memory_equal(found, expected, batch * c.out * sizeof *found);
    assert_memory_equal(flags[0], flags[1], batch * sizeof *flags[0]);
    free(found);
    free(expected);
    qb_session_unref(in_parts);
    qb_session_unref(alone);
    network_check_free(&c);
  }
  qb_context_unref(context);
}

/* A NaN that a fused activation makes a number of hides in the outputs of its sample alone. */
static void a_hidden_nan_is_told_of_its_sample_alone(void **state)
{
  (void)state;
  static const int64_t dims[3] = {8, 5, 5};
  const qb__window w = {.kernel = {3, 3}, .strides = {1, 1}, .dilations = {1, 1}};
  uint64_t random = random_start();
  qb_context *context = new_context();
  qb__graph g;
  qb__graph_init(&g, context);
  int32_t x = qb__graph_input(&g, "image", 3, dims);
  x = random_convolution(&random, &g, x, 16, &w);
  qb__graph_output(&g, qb__graph_activation(&g, "relu", x, QB__ACTIVATION_RELU, 0, 0));
  network_check c = network_check_make(&g, MOST_BATCH, NULL);
  qb_session *session = session_of(&c, 1, 2);
  float *output = calloc(MOST_BATCH * c.out, sizeof *output);
  assert_non_null(output);
  for (uint32_t poisoned = 0; poisoned < MOST_BATCH; poisoned++) {
    uint32_t flags[MOST_BATCH];
    float *value = &c.input[poisoned * c.in + random_int(&random, 0, c.in - 1)], kept = *value;
    *value = NAN;
    run(&c, session, 0, MOST_BATCH, output, flags);
    *value = kept;
    for (uint32_t row = 0; row < MOST_BATCH; row++) {
      assert_int_equal(flags[row], row == poisoned ? QB_SAMPLE_NOT_FINITE : 0);
      for (size_t i = 0; i < c.out; i++)
        assert_int_equal(isnan(output[row * c.out + i]), row == poisoned);
    }
  }
  free(output);
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

static network_check small_alexnet(qb_context *context)
{
  static const qb__builtin_size size = {67, 8, 16};
  qb__graph graph;
  qb__graph_init(&graph, context);
  qb__build_alexnet(&graph, &size);
  return network_check_make(&graph, MOST_BATCH, NULL);
}

static void times_of_all_parts_are_added(void **state)
{
  (void)state;
  qb_context *context = new_context();
  network_check c = small_alexnet(context);
  qb_session *session = session_of(&c, 1, 2);
  qb_operator_time times[2][MOST_OPERATORS];
  const size_t count = c.model->graph.operator_count;
  const void *const inputs[1] = {c.input};
  void *const outputs[1] = {c.expected};
  for (size_t i = 0; i < 2 * count; i++)
    times[i % 2][i / 2] = (qb_operator_time)QB_OPERATOR_TIME_INIT;
  for (uint32_t i = 0; i < 2; i++)
    assert_ok(qb_session_run_timed(session, i ? 6 : 2, inputs, outputs, times[i], count));
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(times[1][i].time_ns, 3 * times[0][i].time_ns);
    assert_ptr_equal(times[1][i].implementation, times[0][i].implementation);
  }
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

/* As a host with a newer header has them. */
static void times_are_filled_by_the_size_of_their_elements(void **state)
{
  (void)state;
  qb_context *context = new_context();
  network_check c = small_alexnet(context);
  qb_session *session = session_of(&c, 1, 0);
  struct {
    qb_operator_time time;
    uint64_t newer;
  } times[MOST_OPERATORS];
  const size_t count = c.model->graph.operator_count;
  const void *const inputs[1] = {c.input};
  void *const outputs[1] = {c.expected};
  for (size_t i = 0; i < count; i++) {
    times[i].time = (qb_operator_time)QB_OPERATOR_TIME_INIT;
    times[i].time.size = sizeof times[i];
    times[i].time.time_ns = -1;
    times[i].newer = 77;
  }
  assert_ok(qb_session_run_timed(session, 1, inputs, outputs, &times[0].time, count));
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(times[i].time.size, sizeof times[i]);
    assert_true(times[i].time.time_ns >= 0);
    assert_int_equal(times[i].newer, 0);
  }
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

static qb__engine_memory memory_of(qb_session *session, uint32_t batch)
{
  qb__engine_memory memory;
  assert_ok(qb__session_memory(session, batch, &memory));
  return memory;
}

/* Rounds in parts of 3 take what those of 3 take, and those of what is left. */
static void memory_is_that_of_the_parts(void **state)
{
  (void)state;
  qb_context *context = new_context();
  network_check c = small_alexnet(context);
  qb_session *whole = session_of(&c, 2, 0), *in_parts = session_of(&c, 2, 3);
  for (uint32_t batch = 1; batch <= MOST_BATCH; batch++)
    assert_ok(qb_session_prepare(whole, batch, NULL));
  assert_ok(qb_session_prepare(in_parts, 7, NULL));
  const qb__engine_memory one = memory_of(whole, 1), three = memory_of(whole, 3),
                          seven = memory_of(in_parts, 7), all = memory_of(in_parts, 0);
  assert_int_equal(seven.instance_bytes, three.instance_bytes);
  assert_int_equal(seven.code_bytes, three.code_bytes + one.code_bytes);
  assert_int_equal(all.instance_bytes, seven.instance_bytes);
  assert_int_equal(all.code_bytes, seven.code_bytes);
  assert_ok(qb_session_prepare(in_parts, 6, NULL));
  assert_int_equal(memory_of(in_parts, 6).code_bytes, three.code_bytes);
  assert_int_equal(memory_of(in_parts, 0).code_bytes, all.code_bytes);
  qb_session_unref(whole);
  qb_session_unref(in_parts);
  network_check_free(&c);
  qb_context_unref(context);
}

static double random_bytes(uint64_t *random)
{
  return (double)random_int(random, 1, UINT64_C(1) << random_int(random, 1, 40));
}

static void candidates_lie_between_the_caches(void **state)
{
  (void)state;
  uint64_t random = random_start();
  uint32_t sizes[QB__MOST_MICROBATCHES];
  for (int i = 0; i < 10000; i++) {
    const uint32_t batch = (uint32_t)random_int(&random, 1, random_int(&random, 1, QB_MAX_BATCH));
    const qb__network_bytes bytes = {random_bytes(&random), random_bytes(&random),
                                     random_bytes(&random)};
    const size_t count = qb__microbatch_candidates(batch, &bytes, sizes);
    if (batch == 1 || batch * bytes.activations < 1 << 20)
      assert_int_equal(count, 0);
    assert_true(count != 1 && count <= QB__MOST_MICROBATCHES);
    for (size_t k = 0; k < count; k++) {
      assert_true(sizes[k] <= batch);
      assert_int_equal(sizes[k], sizes[0] << k);
      assert_true(sizes[k] * bytes.traffic > bytes.weights);
      assert_true(k == 0 || sizes[k - 1] * bytes.activations <= 1 << 25);
    }
  }
  static const qb__network_bytes mobilenet = {6e6, 50e6, 14e6}, resnet50 = {5e6, 88e6, 100e6},
                                 alexnet = {2e6, 6e6, 244e6};
  assert_int_equal(qb__microbatch_candidates(32, &mobilenet, sizes), 4);
  assert_int_equal(sizes[0], 1);
  assert_int_equal(sizes[3], 8);
  assert_int_equal(qb__microbatch_candidates(4, &resnet50, sizes), 2);
  assert_int_equal(sizes[0], 2);
  assert_int_equal(qb__microbatch_candidates(32, &alexnet, sizes), 0);
}

/* Plans of a network for 1, 2, 4 and 8 samples. */
typedef struct trial {
  qb__graph graph;
  qb__finite_guards guards;
  qb__packed packed;
  struct dnnl_engine *engine;
  struct dnnl_stream *stream;
  qb__network_plan *plans[4];
} trial;

static void make_trial(trial *t, qb_context *context)
{
  static const int64_t dims[1] = {5};
  memset(t, 0, sizeof *t);
  qb__graph_init(&t->graph, context);
  const int32_t x = qb__graph_input(&t->graph, "x", 1, dims);
  qb__graph_output(&t->graph,
                   qb__graph_activation(&t->graph, "relu", x, QB__ACTIVATION_RELU, 0, 0));
  assert_ok(t->graph.status);
  assert_ok(qb__onednn_start(&t->engine));
  assert_ok(qb__stream_new(t->engine, &t->stream));
  assert_ok(qb__finite_guards_new(&t->graph, &t->guards));
  qb__packed_init(&t->packed, context, t->engine);
  qb__choice choices[1] = {{QB__ALGORITHM_UNKNOWN, 0, 0, false}};
  for (uint32_t i = 0; i < 4; i++)
    assert_ok(qb__network_plan_new(&t->graph, 1u << i, true, NULL, choices, &t->packed, t->engine,
                                   t->stream, &t->plans[i]));
}

static void clear_trial(trial *t)
{
  for (uint32_t i = 0; i < 4; i++)
    qb__network_plan_free(t->graph.context, t->plans[i]);
  qb__packed_clear(&t->packed);
  qb__finite_guards_clear(t->graph.context, &t->guards);
  qb__stream_free(t->stream);
  qb__onednn_stop(t->engine);
  qb__graph_clear(&t->graph);
}

static void the_fastest_wins_by_more_than_chance(void **state)
{
  (void)state;
  uint64_t random = random_start();
  qb_context *context = new_context();
  trial t;
  make_trial(&t, context);
  for (int i = 0; i < 300; i++) {
    int64_t sample_ns[4];
    for (int k = 0; k < 4; k++)
      sample_ns[k] = (int64_t)random_int(&random, 1000, 1250); /* near enough to stay in it */
    size_t expected = 0, best;
    for (size_t k = 1; k < 4; k++)
      expected = sample_ns[k] < sample_ns[expected] ? k : expected;
    if ((double)sample_ns[expected] > 0.97 * (double)sample_ns[3])
      expected = 3;
    clock_of_all = (scripted_clock){.sample_ns = sample_ns};
    assert_ok(qb__plan_trial(&t.graph, &t.guards, t.engine,
                             (const qb__network_plan *const *)t.plans, 4, 0.97, &best));
    assert_int_equal(best, expected);
  }
  clock_of_all = (scripted_clock){0};
  clear_trial(&t);
  qb_context_unref(context);
}

/* A convolution whose rounds leave a core's cache, so that sizes are compared. */
static qb_status live_once(qb_context *context, void *user)
{
  (void)user;
  static float input[2 * 3 * BIG_SIDE * BIG_SIDE], output[2 * 8];
  static const int64_t dims[3] = {3, BIG_SIDE, BIG_SIDE};
  const qb__window w = {.kernel = {1, 1}, .strides = {1, 1}, .dilations = {1, 1}};
  const qb__window pool = {.kernel = {BIG_SIDE, BIG_SIDE}, .strides = {1, 1}, .dilations = {1, 1}};
  const void *const inputs[1] = {input};
  void *const outputs[1] = {output};
  uint64_t random = 3;
  qb__graph g;
  qb__graph_init(&g, context);
  int32_t x = qb__graph_input(&g, "image", 3, dims);
  const int32_t weights = random_constant(&random, &g, 8, 3, 1, 1, 0, 1);
  x = qb__graph_convolution(&g, "conv", x, weights, QB__NONE, &w, 1);
  qb__graph_output(&g, qb__graph_pool(&g, "pool", QB__OP_MAX_POOL, x, &pool, false));
  qb_model *model = NULL;
  qb_session *session = NULL;
  const qb_configuration configuration = {1, 1};
  qb_status status = qb__model_from_graph(&g, "big", &model);
  if (!status)
    status = qb_session_new(model, &configuration, NULL, &session);
  if (!status)
    status = qb_session_run(session, 2, inputs, outputs, NULL);
  qb_session_unref(session);
  qb_model_unref(model);
  return status;
}

static void every_failed_allocation_is_survived(void **state)
{
  (void)state;
  (void)outlive_every_allocation_failure(live_once, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts_are_rounds_of_their_own),
      cmocka_unit_test(a_hidden_nan_is_told_of_its_sample_alone),
      cmocka_unit_test(times_of_all_parts_are_added),
      cmocka_unit_test(times_are_filled_by_the_size_of_their_elements),
      cmocka_unit_test(memory_is_that_of_the_parts),
      cmocka_unit_test(candidates_lie_between_the_caches),
      cmocka_unit_test(the_fastest_wins_by_more_than_chance),
      cmocka_unit_test(every_failed_allocation_is_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
