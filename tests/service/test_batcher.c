/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batcher over a scripted engine: whatever happens meanwhile, each request is over once, and
 * its answer is its own. Clients submit while profiles change, rounds become slower and faster, and
 * tables are refreshed beside them. Nothing is judged by the clock.
 */
#include "batcher.h"
#include "support/expect.h"
#include "support/scripted_profile.h"
#include "support/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CLIENTS = 4, REQUESTS = 150, MOST_SAMPLES = 3, INPUTS = 6, OUTPUTS = 2, MAX_BATCH = 8 };
enum { ROUND_US = 400, SAMPLE_US = 100, CHANGES = 3 };

static atomic_int slowness = 1; /* rounds take this many times as long as profiled */
static atomic_uint reports;

static void pause_us(int64_t us)
{
  const struct timespec pause = {us / 1000000, us % 1000000 * 1000};
  nanosleep(&pause, NULL);
}

/* The answer to a sample is its first elements. */
static int run(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
               void *const *outputs)
{
  (void)user;
  (void)instance;
  pause_us(atomic_load(&slowness) * (ROUND_US + SAMPLE_US * (int64_t)batch));
  for (uint32_t i = 0; inputs && i < batch; i++)
    for (int k = 0; k < OUTPUTS; k++)
      ((float *)outputs[0])[i * OUTPUTS + k] = ((const float *)inputs[0])[i * INPUTS + k];
  return 0;
}

static batcher_rounds make_rounds(qb_context *context, qb_model *model, uint32_t instances)
{
  batcher_rounds r = {.plan = QB_SERVICE_PLAN_INIT, .params = QB_OPTIMIZER_PARAMS_INIT};
  r.params.configuration = (qb_configuration){instances, 1};
  r.params.max_batch = MAX_BATCH;
  r.profile = scripted_profile(context, &r.params.configuration, MAX_BATCH, ROUND_US * 1e-3,
                               SAMPLE_US * 1e-3, 1.2);
  assert_ok(qb_session_new(model, &r.params.configuration, NULL, &r.session));
  return r;
}

static void free_rounds(batcher_rounds *r)
{
  qb_session_unref(r->session);
  qb_profile_unref(r->profile);
}

static void count_report(const char *text)
{
  fprintf(stderr, "# report: %s\n", text);
  atomic_fetch_add(&reports, 1);
}

/* A request of a client, which waits for it. */
typedef struct call {
  request request; /* first: the callback casts */
  float inputs[MOST_SAMPLES * INPUTS], outputs[MOST_SAMPLES * OUTPUTS];
  atomic_uint times_over;
} call;

typedef struct client {
  batcher *batcher;
  pthread_t thread;
  unsigned seed;
  call calls[REQUESTS];
  uint64_t taken, samples;
} client;

static void over(request *r)
{
  atomic_fetch_add(&((call *)r)->times_over, 1);
}

static void *submit_all(void *user)
{
  client *c = user;
  for (int i = 0; i < REQUESTS; i++) {
    call *this = &c->calls[i];
    request *r = &this->request;
    r->samples = 1 + (uint32_t)rand_r(&c->seed) % MOST_SAMPLES;
    for (uint32_t k = 0; k < r->samples * INPUTS; k++)
      this->inputs[k] = (float)(rand_r(&c->seed) % 10000);
    r->inputs = this->inputs;
    r->outputs = this->outputs;
    r->over = over;
    r->arrived_ns = batcher_now_ns();
    if (batcher_submit(c->batcher, r)) {
      c->taken++;
      c->samples += r->samples;
    }
    pause_us(rand_r(&c->seed) % 2000);
  }
  return NULL;
}

static uint64_t count_over(const client *c)
{
  uint64_t count = 0;
  for (int i = 0; i < REQUESTS; i++)
    count += atomic_load(&c->calls[i].times_over) > 0;
  return count;
}

static void check_calls(const client *c)
{
  for (int i = 0; i < REQUESTS; i++) {
    const call *this = &c->calls[i];
    const unsigned times = atomic_load(&this->times_over);
    assert_true(times <= 1);
    if (!times)
      continue;
    assert_true(this->request.outcome == OUTCOME_ANSWERED || this->request.outcome == OUTCOME_LATE);
    for (uint32_t k = 0; this->request.outcome == OUTCOME_ANSWERED && k < this->request.samples;
         k++)
      assert_memory_equal(&this->outputs[k * OUTPUTS], &this->inputs[k * INPUTS],
                          OUTPUTS * sizeof(float));
  }
  assert_int_equal(count_over(c), c->taken);
}

/* Slows rounds down and speeds them up until that has been answered by a refresh. */
static void make_refresh(batcher *b, client *extra)
{
  const uint64_t before = batcher_count(b).refreshes;
  for (int i = 0; batcher_count(b).refreshes == before && i < 100; i++) {
    atomic_store(&slowness, i % 2 ? 1 : 4);
    submit_all(extra);
    while (count_over(extra) < extra->taken)
      pause_us(1000);
    check_calls(extra);
    *extra = (client){.batcher = b, .seed = (unsigned)i};
  }
  atomic_store(&slowness, 1);
  assert_true(batcher_count(b).refreshes > before);
}

/* A batcher over an engine of this file. */
typedef struct rig {
  qb_context *context;
  qb_model *model;
  batcher_rounds rounds;
  batcher *batcher;
} rig;

static void open_rig(rig *g, uint32_t instances, int64_t latency_ns,
                     int (*engine)(void *, uint32_t, uint32_t, const void *const *, void *const *))
{
  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = "scripted";
  workload.run = engine;
  assert_ok(qb_context_new(NULL, &g->context));
  assert_ok(qb_model_from_workload(g->context, &workload, &g->model));
  batcher_params params = {.qos = QB_QOS_INIT,
                           .queue_most = 64,
                           .input_elements = INPUTS,
                           .output_elements = OUTPUTS,
                           .report = count_report};
  params.qos.latency_ns = latency_ns;
  params.qos.percentile = 99;
  params.qos.shed = true;
  g->rounds = make_rounds(g->context, g->model, instances);
  for (uint32_t n = 1; n <= MAX_BATCH; n++) /* a round that makes its size ready waits for others */
    assert_ok(qb_session_prepare(g->rounds.session, n, NULL));
  g->batcher = batcher_start(&params, &g->rounds);
  assert_non_null(g->batcher);
}

static void close_rig(rig *g)
{
  batcher_free(g->batcher);
  free_rounds(&g->rounds);
  qb_model_unref(g->model);
  qb_context_unref(g->context);
}

static void every_request_is_over_once_with_its_own_answer(void **state)
{
  (void)state;
  rig g;
  open_rig(&g, 1, INT64_C(400000000), run);
  batcher *b = g.batcher;
  client *clients = calloc(CLIENTS + 1, sizeof *clients);
  assert_non_null(clients);
  for (int i = 0; i < CLIENTS; i++) {
    clients[i] = (client){.batcher = b, .seed = (unsigned)i + 1};
    assert_int_equal(pthread_create(&clients[i].thread, NULL, submit_all, &clients[i]), 0);
  }
  for (int i = 0; i < CHANGES; i++) {
    pause_us(30000);
    atomic_store(&slowness, i % 2 ? 1 : 3);
    batcher_rounds next = make_rounds(g.context, g.model, 1 + (uint32_t)(i + 1) % 3);
    assert_true(batcher_change(b, &next));
    free_rounds(&g.rounds);
    g.rounds = next;
  }
  for (int i = 0; i < CLIENTS; i++)
    pthread_join(clients[i].thread, NULL);
  client *extra = &clients[CLIENTS];
  *extra = (client){.batcher = b};
  make_refresh(b, extra);
  batcher_stop(b);
  for (int i = 0; i < CLIENTS; i++)
    check_calls(&clients[i]);
  const batcher_counts counts = batcher_count(b);
  assert_int_equal(counts.queued, 0);
  assert_int_equal(counts.failed, 0);
  assert_int_equal(atomic_load(&reports), 0);
  print_message("%llu rounds, %llu refused, %llu given up, %llu refreshes\n",
                (unsigned long long)counts.rounds, (unsigned long long)counts.refused,
                (unsigned long long)counts.given_up, (unsigned long long)counts.refreshes);
  free(clients);
  close_rig(&g);
}

enum { INSTANCES = 2, HELD_MOST_MS = 20000 };
static atomic_uint running; /* rounds of run_held() that have begun */
static atomic_bool held;    /* rounds do not end */

static int run_held(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
                    void *const *outputs)
{
  atomic_fetch_add(&running, 1);
  for (int i = 0; atomic_load(&held) && i < HELD_MOST_MS; i++)
    pause_us(1000);
  return run(user, instance, batch, inputs, outputs);
}

static bool wait_for_rounds(uint32_t count)
{
  for (int i = 0; atomic_load(&running) < count && i < HELD_MOST_MS / 2; i++)
    pause_us(1000);
  return atomic_load(&running) >= count;
}

static void submit(batcher *b, call *c, uint32_t samples, const float *inputs, float *outputs)
{
  c->request = (request){.samples = samples,
                         .inputs = inputs,
                         .outputs = outputs,
                         .over = c->request.over,
                         .arrived_ns = batcher_now_ns()};
  assert_true(batcher_submit(b, &c->request));
}

static void a_request_of_two_rounds_runs_on_two_idle_instances(void **state)
{
  (void)state;
  enum { SAMPLES = INSTANCES * MAX_BATCH };
  static float inputs[SAMPLES * INPUTS], outputs[SAMPLES * OUTPUTS];
  static call c;
  rig g;
  open_rig(&g, INSTANCES, INT64_C(400000000), run_held);
  pause_us(20000); /* until both are waiting, most likely */
  atomic_store(&running, 0);
  atomic_store(&held, true);
  c.request.over = over;
  submit(g.batcher, &c, SAMPLES, inputs, outputs);
  const bool at_once = wait_for_rounds(INSTANCES);
  atomic_store(&held, false);
  batcher_stop(g.batcher);
  assert_int_equal(atomic_load(&c.times_over), 1);
  assert_true(at_once);
  close_rig(&g);
}

/* Long enough for another instance to look at the queue. */
static void over_slowly(request *r)
{
  pause_us(2000);
  over(r);
}

static void late_requests_are_refused_once_by_several_instances(void **state)
{
  (void)state;
  enum { QUEUED = 3 * MAX_BATCH / 2 };
  static call calls[INSTANCES + QUEUED];
  const int64_t latency_ns = 50000000;
  rig g;
  open_rig(&g, INSTANCES, latency_ns, run_held);
  atomic_store(&running, 0);
  atomic_store(&held, true);
  for (uint32_t i = 0; i < INSTANCES + QUEUED; i++) {
    call *c = &calls[i];
    c->request.over = over_slowly;
    submit(g.batcher, c, 1, c->inputs, c->outputs);
    if (i < INSTANCES) /* a round of its own; the others are queued */
      assert_true(wait_for_rounds(i + 1));
  }
  const int64_t last_ns = calls[INSTANCES + QUEUED - 1].request.arrived_ns;
  while (batcher_now_ns() < last_ns + latency_ns)
    pause_us(1000);
  atomic_store(&held, false);
  batcher_stop(g.batcher);
  for (int i = 0; i < INSTANCES + QUEUED; i++)
    assert_int_equal(atomic_load(&calls[i].times_over), 1);
  assert_int_equal(batcher_count(g.batcher).queued, 0);
  close_rig(&g);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_request_is_over_once_with_its_own_answer),
      cmocka_unit_test(a_request_of_two_rounds_runs_on_two_idle_instances),
      cmocka_unit_test(late_requests_are_refused_once_by_several_instances),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
