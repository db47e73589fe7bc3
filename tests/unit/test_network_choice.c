/* SPDX-License-Identifier: Apache-2.0 */
/* Networks are tried with blocks of channels and without, and whatever is faster is taken. */
#include "core/alloc.h"
#include "core/context_impl.h"
#include "engine/network_choice.h"
#include "engine/session_profiling.h"
#include "node/yardstick.h"

#include "support/failing_allocator.h"
#include "support/network_check.h"

/* Any way of a layer may seem the fastest. */
static int64_t random_clock(void *user)
{
  static _Atomic int64_t now_ns;
  return now_ns += (int64_t)random_int(user, 1, 1000000);
}

static qb_status new_context(const qb_context_params *like, uint64_t *clock, qb_context **context)
{
  qb_context_params params = *like;
  params.now_ns = random_clock;
  params.clock_user = clock;
  return qb_context_new(&params, context);
}

static const qb__window one = {{1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}};
static const int64_t image[3] = {16, 8, 8};

/* With smaller vectors, oneDNN's first choice has the blocks that a trial would offer beside it. */
static void skip_without_blocks_to_choose(void)
{
  if (qb__best_isa() < QB_ISA_AVX512)
    skip();
}

static bool has_blocks(const network_check *c, const qb_session *session)
{
  qb__layer_algorithm layers[16];
  qb__algorithms algorithms = {.layers = layers};
  bool found = false;
  assert_true(qb__session_get_algorithms(session, &algorithms));
  for (size_t i = 0; i < c->model->graph.operator_count; i++)
    found = found || qb__is_blocked(layers[i]);
  return found;
}

/* Trials are noise here: of the two ways, each is the faster one half of the time. */
static void networks_are_tried_without_blocks_of_channels(void **state)
{
  (void)state;
  skip_without_blocks_to_choose();
  uint64_t random = random_start(), clock = random;
  const qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  qb_context *context;
  assert_ok(new_context(&params, &clock, &context));
  qb__graph g;
  qb__graph_init(&g, context);
  int32_t x = qb__graph_input(&g, "image", 3, image);
  for (int i = 0; i < 12; i++)
    x = random_convolution(&random, &g, x, i % 2 ? 16 : 32, &one);
  qb__graph_output(&g, x);
  network_check c = network_check_make(&g, 2, NULL);
  const int some = random_cases(60), sessions = some > 30 ? some : 30;
  int blocked = 0;
  for (int i = 0; i < sessions; i++) {
    qb_session *session = network_check_session(&c, 1, 1);
    network_check_expect(&c, session, 0, 2);
    blocked += has_blocks(&c, session);
    qb_session_unref(session);
  }
  print_message("# %d of %d with blocks\n", blocked, sessions);
  assert_in_range(blocked, sessions / 6, sessions - sessions / 6);
  network_check_free(&c);
  qb_context_unref(context);
}

typedef struct choosing {
  uint64_t clock; /* where it begins */
  bool unblocked; /* what was chosen */
} choosing;

/* The choice for a graph, by a session's means. */
static qb_status choose(qb__graph *graph, choosing *c)
{
  qb__finite_guards guards = {0};
  qb__chooser chooser = {.graph = graph, .guards = &guards};
  qb__packed packed;
  qb__choice *choices = NULL;
  size_t arena_bytes;
  qb_status status = qb__onednn_start(&chooser.engine);
  if (!status)
    status = qb__stream_new(chooser.engine, &chooser.stream);
  if (!status)
    status = qb__finite_guards_new(graph, &guards);
  qb__packed_init(&packed, graph->context, chooser.engine);
  if (!status)
    status = qb__network_choose(&chooser, NULL, &choices, &packed, &arena_bytes);
  if (!status)
    c->unblocked = choices[0].unblocked;
  qb__free(graph->context, choices);
  qb__packed_clear(&packed);
  qb__finite_guards_clear(graph->context, &guards);
  qb__stream_free(chooser.stream);
  qb__onednn_stop(chooser.engine);
  return status;
}

/* One layer by a clock that begins at the same place in each run. */
static qb_status choose_layer(qb_context *given, void *user)
{
  choosing *c = user;
  uint64_t clock = c->clock, random = 3;
  qb_context *context = NULL;
  qb_status status = new_context(&given->params, &clock, &context);
  if (status)
    return status;
  qb__graph graph;
  qb__graph_init(&graph, context);
  const int32_t x = qb__graph_input(&graph, "image", 3, image);
  const int32_t weights = random_constant(&random, &graph, 16, 16, 1, 1, 0, 0.3f);
  qb__graph_output(&graph, qb__graph_convolution(&graph, "layer", x, weights, QB__NONE, &one, 1));
  status = graph.status ? graph.status : choose(&graph, c);
  qb__graph_clear(&graph);
  qb_context_unref(context);
  return status;
}

/* A clock that lets the network without blocks win, which has to be run beside the other for it. */
static choosing find_comparison(void)
{
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  choosing c = {.clock = 1};
  for (; !c.unblocked && c.clock < 200; c.clock++)
    assert_ok(choose_layer(context, &c));
  assert_true(c.unblocked);
  c.clock--;
  qb_context_unref(context);
  return c;
}

/* The last allocation is the comparison's: without it the way with blocks is there already. */
static void comparisons_survive_failing_allocations(void **state)
{
  (void)state;
  skip_without_blocks_to_choose();
  choosing c = find_comparison();
  c.unblocked = false;
  const long made = outlive_every_allocation_failure(choose_layer, &c);
  assert_true(c.unblocked);
  failing_allocator allocator = {0};
  qb_context *context = failing_allocator_context(&allocator);
  allocator.fail_at = atomic_load(&allocator.requests) + made;
  assert_ok(choose_layer(context, &c));
  assert_false(c.unblocked);
  qb_context_unref(context);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(networks_are_tried_without_blocks_of_channels),
      cmocka_unit_test(comparisons_survive_failing_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
