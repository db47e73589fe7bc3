/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that share what the headers call safe to share. Made for ThreadSanitizer (./dev test tsan),
 * and true without it: whatever the others do, each thread gets the answers that it would get alone.
 */
#include "support/crowd.h"
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/scripted_profile.h"

#include <qosbatch/qosbatch.h>

#include <stdatomic.h>

enum { MAX_BATCH = 8, INSTANCES = 4 };

static qb_context *context;
static qb_profile *profile; /* rounds of 8 ms and 2 ms a sample */

static int set_up(void **state)
{
  (void)state;
  static const qb_configuration one = {1, 1};
  if (qb_context_new(NULL, &context))
    return -1;
  profile = scripted_profile(context, &one, MAX_BATCH, 8, 2, 1.05);
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  qb_profile_unref(profile);
  qb_context_unref(context);
  return 0;
}

/* What one thread alone is told. */
typedef struct answers {
  int64_t latency_ns[MAX_BATCH + 1];
  qb_job asked;
  qb_job_plan job;
  qb_service_plan service;
  qb_load load;
  qb_qos qos;
} answers;

static const char *ask_profile(void *shared, uint32_t thread, uint64_t step)
{
  const answers *alone = shared;
  qb_profile *const profiles[] = {profile};
  const uint32_t batch = 1 + (uint32_t)(thread + step) % MAX_BATCH;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  CROWD_EXPECT(!qb_estimate(profile, NULL, batch, NULL, &e));
  CROWD_EXPECT(e.latency_ns == alone->latency_ns[batch]);
  qb_job_plan job = QB_JOB_PLAN_INIT;
  CROWD_EXPECT(!qb_plan_job(profiles, 1, &alone->asked, NULL, &job, NULL));
  CROWD_EXPECT(job.batch == alone->job.batch && job.total_ns == alone->job.total_ns);
  if ((step + thread) % 16)
    return NULL; /* the one below takes as long as a hundred of these */
  qb_service_plan service = QB_SERVICE_PLAN_INIT;
  CROWD_EXPECT(!qb_plan_service(profiles, 1, &alone->load, &alone->qos, &service, NULL));
  CROWD_EXPECT(service.batch == alone->service.batch && service.p99_ns == alone->service.p99_ns);
  return NULL;
}

static void one_profile_answers_all_threads_alike(void **state)
{
  (void)state;
  qb_profile *const profiles[] = {profile};
  answers alone = {.asked = {sizeof alone.asked, 1000},
                   .job = QB_JOB_PLAN_INIT,
                   .service = QB_SERVICE_PLAN_INIT,
                   .load = QB_LOAD_INIT,
                   .qos = QB_QOS_INIT};
  alone.load.rate_per_s = 100;
  alone.qos.latency_ns = 60000000;
  for (uint32_t n = 1; n <= MAX_BATCH; n++) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    assert_ok(qb_estimate(profile, NULL, n, NULL, &e));
    alone.latency_ns[n] = e.latency_ns;
  }
  assert_ok(qb_plan_job(profiles, 1, &alone.asked, NULL, &alone.job, NULL));
  assert_ok(qb_plan_service(profiles, 1, &alone.load, &alone.qos, &alone.service, NULL));
  crowd_run(0.2, ask_profile, &alone);
}

/* Decisions and observations of one optimizer, as a number that depends on each of them. */
static qb_status decide_for_a_while(uint32_t first, uint64_t *sum)
{
  qb_optimizer *optimizer = NULL;
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  qb_qos qos = QB_QOS_INIT;
  params.configuration = (qb_configuration){1, 1};
  params.max_batch = MAX_BATCH;
  params.rate_per_s = 100;
  qos.latency_ns = 60000000;
  qb_status status = qb_optimizer_new(profile, &params, &qos, &optimizer);
  *sum = 0;
  for (uint32_t i = 0; !status && i < 200; i++) {
    qb_round_state now = QB_ROUND_STATE_INIT;
    qb_decision d = QB_DECISION_INIT;
    now.queued = 1 + (first + i) % MAX_BATCH;
    now.now_ns = (int64_t)(i + 3) * 20000000;
    now.oldest_arrival_ns = now.now_ns - (int64_t)(i % 50) * 1000000;
    status = qb_optimize(optimizer, &now, &d);
    const qb_round_result result = {sizeof result, now.queued,
                                    (i < 100 ? 1 : 2) * (8 + 2 * (int64_t)now.queued) * 1000000};
    status = status ? status : qb_observe(optimizer, &result);
    *sum = *sum * 31 + (uint64_t)d.latency_ns + d.batch + (uint64_t)d.action;
  }
  qb_optimizer_free(optimizer);
  return status;
}

static const char *decide(void *shared, uint32_t thread, uint64_t step)
{
  const uint64_t *alone = shared;
  const uint32_t first = (uint32_t)(thread + step) % MAX_BATCH;
  uint64_t sum;
  CROWD_EXPECT(!decide_for_a_while(first, &sum));
  CROWD_EXPECT(sum == alone[first]);
  return NULL;
}

static void optimizers_of_one_profile_do_not_meet(void **state)
{
  (void)state;
  uint64_t alone[MAX_BATCH];
  for (uint32_t i = 0; i < MAX_BATCH; i++)
    assert_ok(decide_for_a_while(i, &alone[i]));
  crowd_run(0.2, decide, alone);
}

/* The host's engine: an instance has one round at a time. */
typedef struct engine {
  atomic_int under_way[INSTANCES];
  atomic_int prepared[INSTANCES][MAX_BATCH + 1];
  qb_model *model;
  qb_session *session;
} engine;

static int prepare(void *user, const qb_configuration *configuration, uint32_t instance,
                   uint32_t batch)
{
  engine *self = user;
  (void)configuration;
  atomic_fetch_add_explicit(&self->prepared[instance][batch], 1, memory_order_relaxed);
  return 0;
}

static int run(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
               void *const *outputs)
{
  engine *self = user;
  const int others = atomic_fetch_add_explicit(&self->under_way[instance], 1, memory_order_relaxed);
  for (uint32_t i = 0; i < batch; i++)
    ((int *)outputs[0])[i] = ((const int *)inputs[0])[i] + 1;
  atomic_fetch_sub_explicit(&self->under_way[instance], 1, memory_order_relaxed);
  return others;
}

static const char *run_round(qb_session *session, uint32_t batch, int first)
{
  int in[MAX_BATCH], out[MAX_BATCH] = {0};
  for (uint32_t i = 0; i < batch; i++)
    in[i] = first + (int)i;
  const void *const inputs[1] = {in};
  void *const outputs[1] = {out};
  CROWD_EXPECT(!qb_session_run(session, batch, inputs, outputs, NULL));
  for (uint32_t i = 0; i < batch; i++)
    CROWD_EXPECT(out[i] == in[i] + 1);
  return NULL;
}

/* Rounds on a session that all share, and now and then one of its own, of the same model. */
static const char *use_sessions(void *shared, uint32_t thread, uint64_t step)
{
  engine *self = shared;
  const uint32_t batch = 1 + (uint32_t)(thread + step) % MAX_BATCH;
  qb_session_info info = QB_SESSION_INFO_INIT;
  const char *wrong = run_round(self->session, batch, (int)step);
  if (wrong || step % 8)
    return wrong;
  CROWD_EXPECT(!qb_session_prepare(self->session, batch, NULL));
  CROWD_EXPECT(!qb_session_get_info(self->session, &info) && info.ready_batches > 0);
  static const qb_configuration one = {1, 1};
  qb_session *own;
  CROWD_EXPECT(!qb_session_new(self->model, &one, NULL, &own));
  qb_session_unref(own);
  return NULL;
}

static void sessions_are_shared_by_their_callers(void **state)
{
  (void)state;
  static const qb_configuration four = {INSTANCES, 1};
  engine self = {.model = NULL};
  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = "crowded";
  workload.user = &self;
  workload.prepare = prepare;
  workload.run = run;
  assert_ok(qb_model_from_workload(context, &workload, &self.model));
  assert_ok(qb_session_new(self.model, &four, NULL, &self.session));
  crowd_run(0.2, use_sessions, &self);
  for (uint32_t i = 0; i < INSTANCES; i++)
    for (uint32_t b = 1; b <= MAX_BATCH; b++)
      assert_in_range(atomic_load(&self.prepared[i][b]), 0, 1);
  qb_session_unref(self.session);
  qb_model_unref(self.model);
}

/* What threads hand to each other, and what each of them keeps meanwhile. */
enum { SLOTS = 4 };

typedef struct relay {
  qb_context *context;
  _Atomic(qb_session *) sessions[SLOTS];
  _Atomic(qb_profile *) profiles[SLOTS];
  qb_session *own_session[CROWD_THREADS];
  qb_profile *own_profile[CROWD_THREADS];
} relay;

static int run_nothing(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
                       void *const *outputs)
{
  (void)user, (void)instance, (void)batch, (void)inputs, (void)outputs;
  return 0;
}

/* The only reference to a session, whose model has no other either. */
static qb_session *lone_session(qb_context *of)
{
  static const qb_configuration one = {1, 1};
  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = "handed on";
  workload.run = run_nothing;
  qb_model *model;
  qb_session *session = NULL;
  if (qb_model_from_workload(of, &workload, &model))
    return NULL;
  (void)qb_session_new(model, &one, NULL, &session);
  qb_model_unref(model);
  return session;
}

static const char *hand_on(void *shared, uint32_t thread, uint64_t step)
{
  static const qb_configuration one = {1, 1};
  relay *self = shared;
  const size_t slot = (thread + step) % SLOTS;
  qb_session *session = atomic_exchange(&self->sessions[slot], NULL);
  qb_profile *kept = atomic_exchange(&self->profiles[slot], NULL);
  session = session ? session : lone_session(self->context);
  kept = kept ? kept : scripted_profile(self->context, &one, 2, 8, 2, 1.05);
  CROWD_EXPECT(session && kept);
  CROWD_EXPECT(!qb_session_run(session, 1, NULL, NULL, NULL));
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  CROWD_EXPECT(!qb_profile_get_info(kept, &info) && info.points == 2);
  qb_session_unref(self->own_session[thread]);
  qb_profile_unref(self->own_profile[thread]);
  self->own_session[thread] = step % 3 ? session : qb_session_ref(session);
  self->own_profile[thread] = step % 3 ? kept : qb_profile_ref(kept);
  if (step % 3 == 0) { /* shared for a while: who is done first is not known */
    qb_session_unref(atomic_exchange(&self->sessions[slot], session));
    qb_profile_unref(atomic_exchange(&self->profiles[slot], kept));
  }
  return NULL;
}

static void whoever_is_last_frees(void **state)
{
  (void)state;
  static relay self;
  failing_allocator allocator = {0};
  self.context = failing_allocator_context(&allocator);
  crowd_run(0.2, hand_on, &self);
  qb_context_unref(self.context);
  for (int i = 0; i < SLOTS; i++) {
    qb_session_unref(self.sessions[i]);
    qb_profile_unref(self.profiles[i]);
  }
  for (int i = 0; i < CROWD_THREADS; i++) {
    qb_session_unref(self.own_session[i]);
    qb_profile_unref(self.own_profile[i]);
  }
  assert_int_equal(atomic_load(&allocator.live), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_profile_answers_all_threads_alike),
      cmocka_unit_test(optimizers_of_one_profile_do_not_meet),
      cmocka_unit_test(sessions_are_shared_by_their_callers),
      cmocka_unit_test(whoever_is_last_frees),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
