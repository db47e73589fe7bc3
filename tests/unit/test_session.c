/* SPDX-License-Identifier: Apache-2.0 */
#include <qosbatch/session.h>

#include "node/node_data.h"
#include "node/topology.h"
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/scripted_profile.h"
#include "support/unit.h"

#include <qosbatch/inspect.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { MOST_INSTANCES = 3, MOST_BATCH = 16, CALLERS = 8, ROUNDS = 200 };

/* The host's engine, which notes what the session promises not to do. */
typedef struct script {
  atomic_int in_round[MOST_INSTANCES];
  atomic_int rounds, rounds_under_way, most_under_way, overlaps, broken_promises;
  atomic_int prepared[MOST_INSTANCES][MOST_BATCH + 1];
  uint32_t fail_prepare_on; /* instance + 1; 0: none */
  uint32_t fail_run_at;     /* batch; 0: none */
} script;

static int prepare(void *user, const qb_configuration *configuration, uint32_t instance,
                   uint32_t batch)
{
  script *s = user;
  if (s->fail_prepare_on == instance + 1)
    return 7;
  if (atomic_load(&s->rounds_under_way) || instance >= configuration->instances)
    atomic_fetch_add(&s->broken_promises, 1);
  atomic_fetch_add(&s->prepared[instance][batch], 1);
  return 0;
}

static int run(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
               void *const *outputs)
{
  script *s = user;
  const int under_way = atomic_fetch_add(&s->rounds_under_way, 1) + 1;
  int most = atomic_load(&s->most_under_way);
  while (under_way > most && !atomic_compare_exchange_weak(&s->most_under_way, &most, under_way))
    ;
  if (atomic_fetch_add(&s->in_round[instance], 1))
    atomic_fetch_add(&s->overlaps, 1);
  if (!atomic_load(&s->prepared[instance][batch]))
    atomic_fetch_add(&s->broken_promises, 1);
  sched_yield();
  if (inputs && outputs)
    *(int *)outputs[0] = *(const int *)inputs[0] + 1;
  atomic_fetch_sub(&s->in_round[instance], 1);
  atomic_fetch_sub(&s->rounds_under_way, 1);
  atomic_fetch_add(&s->rounds, 1);
  return batch == s->fail_run_at ? (int)batch : 0;
}

static qb_model *new_model(qb_context *context, script *s)
{
  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = "script";
  workload.user = s;
  workload.prepare = prepare;
  workload.run = run;
  workload.weight_bytes = 1000;
  workload.instance_bytes = 100;
  workload.instance_sample_bytes = 10;
  qb_model *model;
  assert_ok(qb_model_from_workload(context, &workload, &model));
  return model;
}

static qb_session *new_session(script *s, uint32_t instances)
{
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  qb_model *model = new_model(context, s);
  const qb_configuration configuration = {instances, 1};
  qb_session *session;
  assert_ok(qb_session_new(model, &configuration, NULL, &session));
  qb_model_unref(model); /* the session keeps both */
  qb_context_unref(context);
  return session;
}

typedef struct caller {
  pthread_t thread;
  qb_session *session;
  uint32_t fail_at;
  int index, wrong;
} caller;

static void *call(void *argument)
{
  caller *c = argument;
  for (int i = 0; i < ROUNDS; i++) {
    const uint32_t batch = 1 + (uint32_t)(i + c->index) % MOST_BATCH;
    const int input = c->index * ROUNDS + i;
    int output = 0;
    const void *const inputs[1] = {&input};
    void *const outputs[1] = {&output};
    const qb_status status = qb_session_run(c->session, batch, inputs, outputs, NULL);
    const qb_status expected = batch == c->fail_at ? QB_ERROR_ENGINE : QB_OK;
    c->wrong += status != expected || output != input + 1;
    if (status && !strstr(qb_error_message(), "run returned 5 for batch 5"))
      c->wrong++;
  }
  return NULL;
}

static void check_concurrent_calls(uint32_t instances, uint32_t fail_at)
{
  script s = {.fail_run_at = fail_at};
  qb_session *session = new_session(&s, instances);
  caller callers[CALLERS];
  for (int i = 0; i < CALLERS; i++) {
    callers[i] = (caller){.session = session, .index = i, .fail_at = fail_at};
    assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
  }
  for (int i = 0; i < CALLERS; i++) {
    pthread_join(callers[i].thread, NULL);
    assert_int_equal(callers[i].wrong, 0);
  }
  assert_int_equal(s.rounds, CALLERS * ROUNDS);
  assert_int_equal(s.overlaps, 0);
  assert_int_equal(s.broken_promises, 0);
  assert_true(s.most_under_way <= (int)instances);
  for (uint32_t i = 0; i < instances; i++)
    for (uint32_t b = 1; b <= MOST_BATCH; b++)
      assert_int_equal(s.prepared[i][b], 1);
  qb_session_unref(session);
}

static void many_callers_share_the_instances(void **state)
{
  (void)state;
  for (uint32_t instances = 1; instances <= MOST_INSTANCES; instances++)
    check_concurrent_calls(instances, 0);
}

static void failed_rounds_reach_their_callers(void **state)
{
  (void)state;
  check_concurrent_calls(MOST_INSTANCES, 5);
}

static void a_failed_preparation_is_tried_again(void **state)
{
  (void)state;
  script s = {.fail_prepare_on = 2};
  qb_session *session = new_session(&s, 3);
  int64_t prepare_ns = -1;
  assert_status(qb_session_prepare(session, 4, &prepare_ns), QB_ERROR_ENGINE);
  assert_non_null(strstr(qb_error_message(), "'script': prepare returned 7 for batch 4 on"));
  assert_int_equal(prepare_ns, -1);
  assert_int_equal(s.prepared[2][4], 0); /* not called after the failure */
  assert_status(qb_session_run(session, 4, NULL, NULL, NULL), QB_ERROR_ENGINE);
  assert_int_equal(s.rounds, 0);
  s.fail_prepare_on = 0; /* no round or preparation is under way */
  assert_ok(qb_session_run(session, 4, NULL, NULL, NULL));
  assert_ok(qb_session_prepare(session, 4, &prepare_ns));
  assert_int_equal(prepare_ns, 0);
  qb_session_unref(session);
}

static void info_counts_what_is_ready(void **state)
{
  (void)state;
  script s = {0};
  qb_session *session = new_session(&s, 2);
  assert_ok(qb_session_prepare(session, 8, NULL));
  assert_ok(qb_session_prepare(session, 3, NULL));
  qb_session_info info = QB_SESSION_INFO_INIT;
  assert_ok(qb_session_get_info(session, &info));
  assert_int_equal(info.configuration.instances, 2);
  assert_int_equal(info.configuration.threads, 1);
  assert_int_equal(info.ready_batches, 2);
  assert_int_equal(info.weight_bytes, 1000);
  assert_int_equal(info.arena_bytes, 2 * (100 + 8 * 10));
  qb_session *same = qb_session_ref(session);
  qb_session_unref(session);
  assert_ok(qb_session_run(same, 3, NULL, NULL, NULL));
  qb_session_unref(same);
  qb_session_unref(NULL);
}

typedef struct placement {
  atomic_int cores[MOST_INSTANCES]; /* that the threads of an instance may run on */
  atomic_int shared;                /* cores of the first instance that the second has, too */
  cpu_set_t sets[MOST_INSTANCES];
} placement;

static int place(void *user, const qb_configuration *configuration, uint32_t instance,
                 uint32_t batch)
{
  (void)configuration, (void)batch;
  placement *p = user;
  cpu_set_t *set = &p->sets[instance];
  if (sched_getaffinity(0, sizeof *set, set))
    return 1;
  atomic_store(&p->cores[instance], CPU_COUNT(set));
  if (instance == 1) {
    cpu_set_t both;
    CPU_AND(&both, set, &p->sets[0]);
    atomic_store(&p->shared, CPU_COUNT(&both));
  }
  return 0;
}

static int run_nothing(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
                       void *const *outputs)
{
  (void)user, (void)instance, (void)batch, (void)inputs, (void)outputs;
  return 0;
}

/* Threads that the host's engine starts inherit the cores of its instance, all of them. */
static void threads_of_the_hosts_engine_have_its_instances_cores(void **state)
{
  (void)state;
  static const qb_configuration configurations[] = {{1, 2}, {2, 1}};
  for (int i = 0; i < 2; i++) {
    const qb_configuration *c = &configurations[i];
    placement p = {.shared = 0};
    qb_workload workload = QB_WORKLOAD_INIT;
    workload.name = "placement";
    workload.user = &p;
    workload.prepare = place;
    workload.run = run_nothing;
    qb_context *context;
    qb_model *model;
    qb_session *session;
    qb_session_info info = QB_SESSION_INFO_INIT;
    assert_ok(qb_context_new(NULL, &context));
    assert_ok(qb_model_from_workload(context, &workload, &model));
    assert_ok(qb_session_new(model, c, NULL, &session));
    assert_ok(qb_session_prepare(session, 1, NULL));
    assert_ok(qb_session_get_info(session, &info));
    for (uint32_t k = 0; k < c->instances && info.pinned_threads; k++)
      assert_int_equal(p.cores[k], c->threads);
    if (info.pinned_threads)
      assert_int_equal(p.shared, 0);
    qb_session_unref(session);
    qb_model_unref(model);
    qb_context_unref(context);
  }
}

static int note_cpu(void *user, const qb_configuration *configuration, uint32_t instance,
                    uint32_t batch)
{
  (void)configuration, (void)instance, (void)batch;
  atomic_store((atomic_int *)user, sched_getcpu());
  return 0;
}

/* As the node of its profile has them measured. */
static void an_instance_runs_on_the_fastest_core(void **state)
{
  (void)state;
  static qb__topology topology;
  static const qb_configuration one = {1, 1};
  assert_ok(qb__topology_read(&topology));
  if (topology.core_count < 2)
    skip();
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  for (uint32_t fastest = 0; fastest < 2; fastest++) {
    static qb__core_speed cores[QB__MOST_CORES];
    atomic_int cpu = -1;
    qb_workload workload = QB_WORKLOAD_INIT;
    qb_profile *profile = scripted_profile(context, &one, 1, 5, 1, 1);
    qb_model *model;
    qb_session *session;
    workload.name = "scripted";
    workload.user = &cpu;
    workload.prepare = note_cpu;
    workload.run = run_nothing;
    for (uint32_t core = 0; core < topology.core_count; core++)
      cores[core] = (qb__core_speed){topology.cpus[core], core == fastest ? 2e9 : 1e9};
    assert_ok(qb__node_set_cores(qb_profile_node(profile), cores, topology.core_count));
    assert_ok(qb_model_from_workload(context, &workload, &model));
    assert_ok(qb_session_new(model, &one, profile, &session));
    assert_ok(qb_session_prepare(session, 1, NULL));
    assert_int_equal(cpu, topology.cpus[fastest]);
    qb_session_unref(session);
    qb_model_unref(model);
    qb_profile_unref(profile);
  }
  qb_context_unref(context);
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  script s = {0};
  qb_model *model = new_model(context, &s);
  qb_session *session = NULL;
  qb_configuration c = {1, 1};
  assert_status(qb_session_new(NULL, &c, NULL, &session), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_session_new(model, &c, NULL, NULL), QB_ERROR_INVALID_ARGUMENT);
  static const uint32_t wrong[][2] = {{0, 1}, {1, 0}, {100000, 1}, {1, 100000}};
  for (int i = 0; i < 4; i++) {
    c.instances = wrong[i][0];
    c.threads = wrong[i][1];
    assert_status(qb_session_new(model, &c, NULL, &session), QB_ERROR_INVALID_ARGUMENT);
  }
  c = (qb_configuration){1, 1, .reserved = {[4] = 1}};
  assert_status(qb_session_new(model, &c, NULL, &session), QB_ERROR_INVALID_ARGUMENT);
  assert_message("reserved[4]");
  c = (qb_configuration){1, 1, .precision = (qb_precision)3};
  assert_status(qb_session_new(model, &c, NULL, &session), QB_ERROR_INVALID_ARGUMENT);
  assert_message("precision is 3");
  assert_null(session);
  c = (qb_configuration){1, 1};
  assert_ok(qb_session_new(model, &c, NULL, &session));
  assert_status(qb_session_run(session, 0, NULL, NULL, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_session_run(session, QB_MAX_BATCH + 1, NULL, NULL, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_session_prepare(session, 0, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_session_run(NULL, 1, NULL, NULL, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_session_get_info(session, NULL), QB_ERROR_INVALID_ARGUMENT);
  qb_session_unref(session);
  qb_model_unref(model);
  qb_context_unref(context);
}

static void host_thread_is_left_alone(void **state)
{
  (void)state;
  cpu_set_t before, after;
  assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
#ifdef _OPENMP
  const int threads = omp_get_max_threads(), dynamic = omp_get_dynamic();
#endif
  script s = {0};
  qb_session *session = new_session(&s, 2);
  assert_ok(qb_session_run(session, 1, NULL, NULL, NULL));
  qb_session_unref(session);
  assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
  assert_true(CPU_EQUAL(&before, &after));
#ifdef _OPENMP
  assert_int_equal(omp_get_max_threads(), threads);
  assert_int_equal(omp_get_dynamic(), dynamic);
#endif
}

static qb_status live_once(qb_context *context, void *user)
{
  script s = {0};
  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = "script";
  workload.user = &s;
  workload.prepare = prepare;
  workload.run = run;
  (void)user;
  qb_model *model = NULL;
  qb_session *session = NULL;
  const qb_configuration configuration = {2, 1};
  qb_status status = qb_model_from_workload(context, &workload, &model);
  if (!status)
    status = qb_session_new(model, &configuration, NULL, &session);
  if (!status)
    status = qb_session_run(session, 2, NULL, NULL, NULL);
  qb_session_unref(session);
  qb_model_unref(model);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  check_every_allocation_failure(live_once, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(many_callers_share_the_instances),
      cmocka_unit_test(failed_rounds_reach_their_callers),
      cmocka_unit_test(a_failed_preparation_is_tried_again),
      cmocka_unit_test(info_counts_what_is_ready),
      cmocka_unit_test(threads_of_the_hosts_engine_have_its_instances_cores),
      cmocka_unit_test(an_instance_runs_on_the_fastest_core),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(host_thread_is_left_alone),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
