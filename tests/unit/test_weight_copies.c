/* SPDX-License-Identifier: Apache-2.0 */
/* Weights on each NUMA node; machines of several are not at hand, so nodes are told, not there. */
#include "engine/weight_copies.h"

#include "engine/engine.h"
#include "engine/workspace.h"
#include "node/near_memory.h"
#include "support/failing_allocator.h"
#include "support/network_check.h"

enum { INSTANCES = 4, BATCH = 3 };

static const uint64_t MIB = 1 << 20, GIB = 1 << 30;

static void copies_pay_where_no_cache_keeps_weights_and_memory_is_large(void **state)
{
  (void)state;
  static const struct {
    uint32_t nodes;
    uint64_t weight_mib, cache_mib, memory_gib;
    uint32_t copies;
  } cases[] = {
      {1, 244, 32, 256, 0},                       /* all are near already */
      {2, 244, 32, 256, 1}, {8, 244, 32, 256, 7}, /* AlexNet's */
      {2, 20, 32, 256, 0},  {2, 33, 32, 256, 1},  /* each node's cache keeps them, or does not */
      {2, 244, 0, 256, 1},                        /* its size is not told */
      {2, 256, 32, 4, 1},   {3, 256, 32, 4, 0},   /* of 4 GiB copies take 256 MiB at most */
      {2, 244, 32, 0, 0},   {0, 244, 32, 256, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(qb__copies_that_pay(cases[i].nodes, cases[i].weight_mib * MIB,
                                         cases[i].cache_mib * MIB, cases[i].memory_gib * GIB),
                     cases[i].copies);
}

static void nodes_of_instances_are_counted_once(void **state)
{
  (void)state;
  static const uint16_t nodes[] = {3, 3, 1, 3, 1, 0};
  qb__homes homes = {nodes, 10, 16 * 1000};
  for (uint32_t instances = 1; instances <= 2; instances++)
    assert_false(qb__weight_copies_pay(&homes, instances, 1000));
  for (uint32_t instances = 3; instances <= 5; instances++)
    assert_true(qb__weight_copies_pay(&homes, instances, 1000));
  assert_false(qb__weight_copies_pay(&homes, 6, 1000));
  assert_true(qb__weight_copies_pay(&homes, 6, 500));
  homes.nodes = NULL;
  assert_false(qb__weight_copies_pay(&homes, 6, 500));
}

/* Two layers: x -> 16 channels -> 8 channels, of 3x3 windows. */
static void make_graph(qb_context *context, qb__graph *graph)
{
  static const int64_t dims[3] = {8, 9, 9};
  const qb__window w = {.kernel = {3, 3}, .strides = {1, 1}, .dilations = {1, 1}};
  uint64_t random = 5;
  qb__graph_init(graph, context);
  int32_t x = qb__graph_input(graph, "image", 3, dims);
  for (int64_t channels = 16; channels >= 8 && !graph->status; channels -= 8)
    x = random_convolution(&random, graph, x, channels, &w);
  qb__graph_output(graph, x);
}

static void a_workspace_with_copies_reads_no_packed_weights(void **state)
{
  (void)state;
  qb_context *context;
  qb__graph graph;
  struct dnnl_engine *engine;
  struct dnnl_stream *stream;
  qb__packed packed;
  qb__choice choices[2] = {{QB__ALGORITHM_UNKNOWN, 0, 0, false},
                           {QB__ALGORITHM_UNKNOWN, 0, 0, false}};
  qb__network_plan *plan;
  qb__weight_copies copies = {0};
  qb__workspace there = {.copies = &copies}, again = {.copies = &copies};
  assert_ok(qb_context_new(NULL, &context));
  make_graph(context, &graph);
  assert_ok(graph.status);
  assert_ok(qb__onednn_start(&engine));
  assert_ok(qb__stream_new(engine, &stream));
  qb__packed_init(&packed, context, engine);
  assert_ok(qb__network_plan_new(&graph, QB__TRIAL_BATCH, true, NULL, choices, &packed, engine,
                                 stream, &plan));
  assert_ok(qb__workspace_init(&there, context, engine));
  assert_ok(qb__workspace_bind(&there, plan));
  assert_true(copies.bytes == packed.bytes && packed.bytes > 0);
  assert_ok(qb__workspace_init(&again, context, engine));
  assert_ok(qb__workspace_bind(&again, plan));
  assert_true(copies.bytes == packed.bytes);
  size_t constants = 0;
  for (size_t i = 0; i < plan->step_count; i++)
    for (int a = 0; a < QB__ARG_COUNT; a++) {
      const int32_t slot = plan->steps[i].slots[a];
      if (slot == QB__NONE || plan->slots[slot].kind != QB__SLOT_CONSTANT)
        continue;
      const qb__slot *s = &plan->slots[slot];
      struct dnnl_memory *copy = qb__workspace_arguments(&there, plan, i)[a];
      assert_ptr_not_equal(qb__memory_data(copy), qb__memory_data(s->constant));
      assert_memory_equal(qb__memory_data(copy), qb__memory_data(s->constant),
                          qb__layout_bytes(s->layout));
      assert_ptr_equal(copy, qb__workspace_arguments(&again, plan, i)[a]);
      constants++;
    }
  assert_true(constants >= 2);
  qb__workspace_clear(&there);
  qb__workspace_clear(&again);
  qb__weight_copies_clear(context, &copies);
  qb__network_plan_free(context, plan);
  qb__packed_clear(&packed);
  qb__stream_free(stream);
  qb__onednn_stop(engine);
  qb__graph_clear(&graph);
  qb_context_unref(context);
}

static qb_status prepare_all(qb__engine *engine, uint32_t batch)
{
  qb_status status = QB_OK;
  for (uint32_t i = 0; i < INSTANCES && !status; i++)
    status = engine->type->prepare(engine, i, batch);
  return status;
}

/* Of 4 instances on 3 nodes; `expected` copies of all weights. */
static void check_engine(const network_check *c, const qb__homes *homes, uint32_t expected)
{
  const qb_configuration configuration = {INSTANCES, 1};
  qb__engine *engine;
  assert_ok(qb__network_new(c->model, &configuration, NULL, homes, &engine));
  for (uint32_t batch = BATCH; batch >= 1; batch--) {
    assert_ok(prepare_all(engine, batch));
    for (uint32_t i = 0; i < INSTANCES; i++) {
      float *output = calloc(batch * c->out, sizeof *output);
      const void *const inputs[1] = {c->input};
      void *const outputs[1] = {output};
      assert_non_null(output);
      assert_ok(engine->type->run(engine, i, batch, inputs, outputs, NULL, NULL));
      assert_true(relative_error(output, c->expected, batch * c->out) < 1e-4);
      free(output);
    }
    for (uint32_t asked = 0; asked <= batch; asked += batch) {
      const qb__engine_memory memory = engine->type->memory(engine, asked);
      assert_true(memory.weight_bytes > 0);
      assert_int_equal(memory.copy_bytes, expected * memory.weight_bytes);
    }
  }
  engine->type->free(engine);
}

static void instances_of_other_nodes_have_weights_of_their_own(void **state)
{
  (void)state;
  static const uint16_t three[INSTANCES] = {1, 0, 1, 2}, one[INSTANCES] = {2, 2, 2, 2};
  qb_context *context;
  qb__graph graph;
  assert_ok(qb_context_new(NULL, &context));
  make_graph(context, &graph);
  network_check c = network_check_make(&graph, BATCH, NULL);
  check_engine(&c, &(qb__homes){three, 0, GIB}, 2);
  check_engine(&c, &(qb__homes){three, MIB, GIB}, 0); /* a cache keeps them */
  check_engine(&c, &(qb__homes){one, 0, GIB}, 0);
  check_engine(&c, &(qb__homes){NULL, 0, GIB}, 0);
  network_check_free(&c);
  qb_context_unref(context);
}

static qb_status live_once(qb_context *context, void *user)
{
  (void)user;
  static const uint16_t nodes[INSTANCES] = {0, 1, 0, 1};
  const qb__homes homes = {nodes, 0, GIB};
  const qb_configuration configuration = {INSTANCES, 1};
  qb__layer_algorithm layers[] = {QB__ALGORITHM_PREFERRED, QB__ALGORITHM_PREFERRED};
  const qb__algorithms algorithms = {layers, 0, UINT32_MAX}; /* without trials, it is short */
  qb__graph graph;
  qb_model *model = NULL;
  qb__engine *engine = NULL;
  make_graph(context, &graph);
  qb_status status = graph.status;
  if (status)
    qb__graph_clear(&graph);
  else
    status = qb__model_from_graph(&graph, "one", &model);
  if (!status)
    status = qb__network_new(model, &configuration, &algorithms, &homes, &engine);
  if (!status)
    status = prepare_all(engine, 1);
  if (engine)
    engine->type->free(engine);
  qb_model_unref(model);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  assert_true(outlive_every_allocation_failure(live_once, NULL) > 10);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(copies_pay_where_no_cache_keeps_weights_and_memory_is_large),
      cmocka_unit_test(nodes_of_instances_are_counted_once),
      cmocka_unit_test(a_workspace_with_copies_reads_no_packed_weights),
      cmocka_unit_test(instances_of_other_nodes_have_weights_of_their_own),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
