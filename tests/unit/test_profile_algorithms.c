/* SPDX-License-Identifier: Apache-2.0 */
/* Layers run as the profile says, whatever the clock would have made of them. */
#include "engine/session_profiling.h"
#include "model/builtin.h"
#include "node/node_impl.h"
#include "node/yardstick.h"
#include "profile/profile_impl.h"

#include "support/failing_allocator.h"
#include "support/network_check.h"
#include "support/scratch_folder.h"

#include <qosbatch/inspect.h>
#include <qosbatch/version.h>

#include <stdatomic.h>
#include <stdlib.h>

enum { MOST_BATCH = 5, MOST_OPERATORS = 64 };

static const qb__builtin_size small_alexnet = {67, 8, 16}, narrower = {67, 8, 8};
static const qb_configuration one = {1, 1}, two = {2, 1}, wide = {1, 2};

static scratch_folder folder;
static qb_context *context;
static network_check check;
static qb_node *node;

/* A clock by which the fastest algorithm is another one each time. */
static int64_t any_time(void *user)
{
  static atomic_llong at_ns = 1;
  static atomic_ullong state = 88172645463325252u;
  (void)user;
  uint64_t x = atomic_load(&state);
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  atomic_store(&state, x);
  return atomic_fetch_add(&at_ns, 1 + (long long)(x % 1000000)) + 1;
}

static qb_status make_node(qb_context *owner, qb_isa isa, qb_node **made)
{
  qb_node_info info = QB_NODE_INFO_INIT;
  info.cpu = "processor";
  info.isa = isa;
  info.cores = info.hardware_threads = info.usable_threads = 2;
  info.quota_cores = 2;
  info.numa_nodes = 1;
  const qb__sustained compute[] = {{isa, 1, 1e11}, {isa, 2, 2e11}};
  return qb__node_new(owner, &info, compute, 2, NULL, 0, made);
}

static qb_node *new_node(qb_isa isa)
{
  qb_node *made;
  assert_ok(make_node(context, isa, &made));
  return made;
}

/* Measured on 1 and 2 instances of one thread, and stored. */
static qb_profile *measured(const char *path, const qb_profile *like)
{
  static const uint32_t batches[] = {1, 2};
  static const qb_configuration configurations[] = {{1, 1}, {2, 1}};
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.batches = batches;
  params.batch_count = 2;
  params.configurations = configurations;
  params.configuration_count = 2;
  params.time_budget_ns = 1;
  params.like = like;
  qb_profile *profile, *loaded;
  assert_ok(qb_profile_run(check.model, node, &params, NULL, NULL, &profile));
  assert_ok(qb_profile_save(profile, path));
  assert_ok(qb_profile_load(context, path, &loaded));
  qb_profile_unref(profile);
  return loaded;
}

static void run(qb_session *session, uint32_t batch, float *output)
{
  const void *const inputs[1] = {check.input};
  void *const outputs[1] = {output};
  assert_ok(qb_session_run(session, batch, inputs, outputs, NULL));
}

static qb_session *session_for(const qb_profile *profile, const qb_configuration *configuration,
                               bool as_profiled)
{
  qb_session *session;
  qb_session_info info = QB_SESSION_INFO_INIT;
  assert_ok(qb_session_new(check.model, configuration, profile, &session));
  assert_ok(qb_session_get_info(session, &info));
  assert_int_equal(info.as_profiled, as_profiled);
  return session;
}

/* Batch sizes become ready in another order in each session. */
static void sessions_of_a_profile_compute_the_same_bits(void **state)
{
  (void)state;
  const size_t row = MOST_BATCH * check.out;
  float *first = calloc(MOST_BATCH * row, sizeof *first), *other = calloc(row, sizeof *other);
  assert_true(first && other);
  for (int profiles = 0; profiles < 2; profiles++) {
    qb_profile *profile = measured(scratch_folder_path(&folder, "profile.json").text, NULL);
    const qb__algorithms *kept = qb__profile_algorithms_of(profile, &one);
    assert_non_null(kept);
    profile->algorithms[0].algorithms.microbatch = profiles ? 2 : 0;
    for (int sessions = 0; sessions < 3; sessions++) {
      qb_session *session = session_for(profile, sessions ? &two : &one, true);
      for (uint32_t i = 0; i < MOST_BATCH; i++) {
        const uint32_t batch = sessions == 1 ? MOST_BATCH - i : 1 + i;
        float *expected = first + (batch - 1) * row;
        run(session, batch, sessions ? other : expected);
        if (sessions)
          assert_memory_equal(other, expected, batch * check.out * sizeof *other);
        else
          network_check_expect(&check, session, 0, batch);
      }
      qb__layer_algorithm layers[MOST_OPERATORS];
      qb__algorithms taken = {layers, 7, 7};
      assert_true(check.model->graph.operator_count <= MOST_OPERATORS);
      assert_true(qb__session_get_algorithms(session, &taken));
      assert_memory_equal(layers, kept->layers, check.model->graph.operator_count * sizeof *layers);
      assert_int_equal(taken.microbatch, kept->microbatch);
      qb_session_unref(session);
    }
    qb_profile_unref(profile);
  }
  free(first);
  free(other);
}

static void a_profile_may_take_the_algorithms_of_another(void **state)
{
  (void)state;
  qb_profile *first = measured(scratch_folder_path(&folder, "first.json").text, NULL);
  qb_profile *second = measured(scratch_folder_path(&folder, "second.json").text, first);
  assert_memory_equal(qb__profile_algorithms_of(second, &one)->layers,
                      qb__profile_algorithms_of(first, &one)->layers,
                      check.model->graph.operator_count * sizeof(qb__layer_algorithm));
  qb_profile_unref(first);
  qb_profile_unref(second);
}

/* Ways that do not suit a layer, as of a file that somebody changed, cost speed alone. */
static void any_algorithms_compute_the_same(void **state)
{
  (void)state;
  for (qb__layer_algorithm algorithm = QB__ALGORITHM_PREFERRED; algorithm < QB__ALGORITHM_COUNT;
       algorithm++) {
    qb__layer_algorithm layers[MOST_OPERATORS];
    const qb__algorithms algorithms = {layers, algorithm % 3, UINT32_MAX};
    for (uint32_t i = 0; i < check.model->graph.operator_count; i++)
      layers[i] =
          check.model->graph.operators[i].weights == QB__NONE ? QB__ALGORITHM_UNKNOWN : algorithm;
    qb_session *session;
    assert_ok(qb__session_new(check.model, &one, &algorithms, NULL, &session));
    network_check_expect(&check, session, 0, 1);
    network_check_expect(&check, session, 0, MOST_BATCH);
    qb_session_unref(session);
  }
}

/* A profile of one thread; of a network that nobody knows if `model` is NULL. */
static qb_status store_as(qb_context *owner, qb_isa isa, const char *engine, const qb_model *model,
                          qb_profile **profile)
{
  const qb_profile_point point = {.size = sizeof point,
                                  .configuration = one,
                                  .batch = 1,
                                  .latency_ns = 5,
                                  .low_ns = 5,
                                  .high_ns = 5,
                                  .p95_ns = 5,
                                  .mean_ns = 5};
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.model = "then";
  info.engine = engine;
  info.library = "test";
  qb__layer_algorithm layers[MOST_OPERATORS] = {QB__ALGORITHM_UNKNOWN};
  const qb__algorithms algorithms = {layers, 0, 0};
  for (uint32_t i = 0; model && i < model->graph.operator_count; i++)
    layers[i] = model->graph.operators[i].weights == QB__NONE ? QB__ALGORITHM_UNKNOWN
                                                              : QB__ALGORITHM_PREFERRED;
  qb_node *made = NULL;
  qb_profile *stored = NULL;
  qb_status status = make_node(owner, isa, &made);
  if (!status)
    status = qb__profile_new(owner, made, &info, 0, &point, 1, &stored);
  if (!status && model)
    status = qb__profile_take_operators(stored, model);
  if (!status)
    status = qb__profile_add_algorithms(stored, &one, &algorithms, stored->operator_count);
  qb_node_unref(made);
  if (status)
    qb_profile_unref(stored);
  else
    *profile = stored;
  return status;
}

static qb_profile *stored_as(qb_isa isa, const char *engine, const qb_model *model)
{
  qb_profile *profile;
  assert_ok(store_as(context, isa, engine, model, &profile));
  return profile;
}

/* Takes the profile over: its algorithms do not hold, so that others are found. */
static void expect_found_anew(qb_profile *profile, const qb_configuration *configuration)
{
  qb_session *session = session_for(profile, configuration, false);
  network_check_expect(&check, session, 0, MOST_BATCH);
  qb_session_unref(session);
  qb_profile_unref(profile);
}

static void expect_refused(qb_profile *profile)
{
  qb_session *session = NULL;
  assert_status(qb_session_new(check.model, &one, profile, &session), QB_ERROR_MISMATCH);
  assert_null(session);
  qb_profile_unref(profile);
}

static void algorithms_of_another_engine_are_chosen_anew(void **state)
{
  (void)state;
  const qb_isa isa = qb__best_isa();
  const char *engine = qb_engine_version();
  expect_found_anew(stored_as(isa, engine, check.model), &wide);
  expect_found_anew(stored_as(isa, "oneDNN 1.0", check.model), &one);
  expect_found_anew(stored_as(QB_ISA_GENERIC, engine, check.model), &one);
  expect_refused(stored_as(isa, engine, NULL));
  qb__graph graph;
  qb__graph_init(&graph, context);
  qb__build_alexnet(&graph, &narrower);
  network_check other = network_check_make(&graph, 1, NULL);
  expect_refused(stored_as(isa, engine, other.model));
  network_check_free(&other);
}

/* By what it computes: a profile of a network is that of a copy with other weights and another name. */
static void networks_are_recognised_by_their_content(void **state)
{
  (void)state;
  qb_profile *profile = stored_as(qb__best_isa(), qb_engine_version(), check.model);
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  assert_ok(qb_profile_get_info(profile, &info));
  assert_int_not_equal(info.network, 0);
  qb__graph graph;
  qb__graph_init(&graph, context);
  qb__build_alexnet(&graph, &small_alexnet);
  for (size_t t = 0; t < graph.tensor_count; t++)
    if (graph.tensors[t].constant)
      graph.tensors[t].constant[0] *= 2;
  qb_model *renamed = NULL;
  assert_ok(qb__model_from_graph(&graph, "renamed", &renamed));
  assert_ok(qb_profile_check(profile, renamed, NULL));
  qb_model_unref(renamed);
  qb__build_alexnet(&graph, &narrower);
  assert_ok(qb__model_from_graph(&graph, "small", &renamed));
  assert_status(qb_profile_check(profile, renamed, NULL), QB_ERROR_MISMATCH);
  qb_model_unref(renamed);
  assert_status(qb_profile_check(NULL, check.model, NULL), QB_ERROR_INVALID_ARGUMENT);
  qb_profile_unref(profile);
}

static uint32_t threads_of_the_usual_session(const qb_profile *profile)
{
  qb_session *session = session_for(profile, NULL, false);
  qb_session_info info = QB_SESSION_INFO_INIT;
  assert_ok(qb_session_get_info(session, &info));
  qb_session_unref(session);
  assert_int_equal(info.configuration.instances, 1);
  return info.configuration.threads;
}

/* Without a configuration; one thread is left however many cores the profile leaves to others. */
static void sessions_leave_others_their_cores(void **state)
{
  (void)state;
  const uint32_t all = threads_of_the_usual_session(NULL);
  qb_profile *profile = stored_as(qb__best_isa(), "oneDNN 1.0", check.model);
  for (uint32_t reserve = 0; reserve <= all; reserve++) {
    profile->node->info.reserve_cores = reserve;
    assert_int_equal(threads_of_the_usual_session(profile), reserve < all ? all - reserve : 1);
  }
  qb_profile_unref(profile);
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  qb_profile *profile = stored_as(qb__best_isa(), qb_engine_version(), check.model);
  qb_session *session = NULL;
  const qb_configuration none = {0, 1};
  assert_status(qb_session_new(NULL, &one, profile, &session), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_session_new(check.model, &none, profile, &session), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_session_new(check.model, &one, profile, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_null(session);
  qb_profile_unref(profile);
}

/* A convolution, stored and run. */
static qb_status live_once(qb_context *owner, void *user)
{
  (void)user;
  static const int64_t dims[3] = {3, 8, 8};
  static const qb__window w = {.kernel = {3, 3}, .strides = {1, 1}, .dilations = {1, 1}};
  static float input[3 * 8 * 8], output[8 * 6 * 6];
  const void *const inputs[1] = {input};
  void *const outputs[1] = {output};
  uint64_t random = 3;
  qb__graph g;
  qb__graph_init(&g, owner);
  const int32_t x = qb__graph_input(&g, "image", 3, dims);
  const int32_t weights = random_constant(&random, &g, 8, 3, 3, 3, 0, 1);
  qb__graph_output(&g, qb__graph_convolution(&g, "conv", x, weights, QB__NONE, &w, 1));
  qb_model *model = NULL;
  qb_profile *profile = NULL;
  qb_session *session = NULL;
  qb_status status = qb__model_from_graph(&g, "small", &model);
  if (!status)
    status = store_as(owner, qb__best_isa(), qb_engine_version(), model, &profile);
  if (!status)
    status = qb_session_new(model, &one, profile, &session);
  if (!status)
    status = qb_session_run(session, 1, inputs, outputs, NULL);
  qb_session_unref(session);
  qb_profile_unref(profile);
  qb_model_unref(model);
  return status;
}

/* A algorithm that cannot be tried for want of memory is not a failure: another one does. */
static void every_failed_allocation_is_survived(void **state)
{
  (void)state;
  (void)outlive_every_allocation_failure(live_once, NULL);
}

static int set_up(void **state)
{
  (void)state;
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.now_ns = any_time;
  assert_ok(qb_context_new(&params, &context));
  qb__graph graph;
  qb__graph_init(&graph, context);
  qb__build_alexnet(&graph, &small_alexnet);
  check = network_check_make(&graph, MOST_BATCH, NULL);
  node = new_node(qb__best_isa());
  folder = scratch_folder_make();
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  scratch_folder_remove(&folder);
  qb_node_unref(node);
  network_check_free(&check);
  qb_context_unref(context);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sessions_of_a_profile_compute_the_same_bits),
      cmocka_unit_test(a_profile_may_take_the_algorithms_of_another),
      cmocka_unit_test(any_algorithms_compute_the_same),
      cmocka_unit_test(algorithms_of_another_engine_are_chosen_anew),
      cmocka_unit_test(networks_are_recognised_by_their_content),
      cmocka_unit_test(sessions_leave_others_their_cores),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(every_failed_allocation_is_survived),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
