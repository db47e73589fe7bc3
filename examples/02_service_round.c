/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service: requests go into a bounded queue; a batcher thread asks qb_optimize() when to run a
 * round and of how many of them. One instance on all cores; several take a batcher thread each.
 * usage: 02_service_round [MODEL] [REQUESTS] [RATE_PER_S] [LATENCY_MS] [PROFILE_SECONDS]
 */
#define _POSIX_C_SOURCE 200809L
#include <qosbatch/qosbatch.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { QUEUE_MOST = 1024 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the queue */
static pthread_cond_t changed;
static int64_t *times_ns; /* of requests in order of arrival: that, and once answered the latency */
static size_t first, end; /* requests [first, end) wait */
static bool is_open = true;
static qb_optimizer *optimizer; /* these are the batcher's */
static qb_session *session;
static float *images, *answers; /* of one round */

/* A service would pass the failure on; the message says what was wrong and what to do. */
#define CHECK(good)                                                                                \
  ((good) ? (void)0 : (fprintf(stderr, "%s: %s\n", #good, qb_error_message()), exit(EXIT_FAILURE)))

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *serve(void *unused)
{
  const void *const inputs[] = {images}; /* a real service copies the requests' images there */
  void *const outputs[] = {answers};
  pthread_mutex_lock(&lock);
  while (is_open || first < end) {
    const int64_t now = now_ns();
    qb_round_state state = QB_ROUND_STATE_INIT;
    state.queued = (uint32_t)(end - first);
    state.oldest_age_ns = state.queued ? now - times_ns[first] : 0;
    qb_decision decision = QB_DECISION_INIT;
    CHECK(!qb_optimize(optimizer, &state, &decision));
    const int64_t until_ns = now + decision.max_wait_ns;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    if (decision.action == QB_ACTION_WAIT && decision.max_wait_ns) {
      pthread_cond_timedwait(&changed, &lock, &until);
    } else if (decision.action == QB_ACTION_WAIT) {
      pthread_cond_wait(&changed, &lock);
    } else { /* to run, or infeasible: an answer that comes late is better than none */
      pthread_mutex_unlock(&lock);
      CHECK(!qb_session_run(session, decision.batch, inputs, outputs));
      const int64_t end_ns = now_ns();
      const qb_round_result result = {sizeof result, decision.batch, end_ns - now};
      CHECK(!qb_observe(optimizer, &result)); /* estimates follow what rounds really take */
      if (decision.refresh_due)
        CHECK(!qb_optimizer_refresh(optimizer));
      pthread_mutex_lock(&lock);
      for (uint32_t i = 0; i < decision.batch; i++, first++)
        times_ns[first] = end_ns - times_ns[first];
    }
  }
  pthread_mutex_unlock(&lock);
  return unused;
}

/* Queues requests as a Poisson process does, and at the end closes the queue. */
static void produce(size_t count, double rate_per_s)
{
  int64_t due_ns = now_ns();
  for (size_t i = 0; i <= count; i++) {
    due_ns -= (int64_t)(log((rand() + 1.0) / (RAND_MAX + 2.0)) / rate_per_s * 1e9);
    const struct timespec due = {due_ns / 1000000000, due_ns % 1000000000};
    CHECK(!clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL));
    pthread_mutex_lock(&lock);
    is_open = i < count;
    if (is_open && end - first < QUEUE_MOST) /* else refused: better now than answered too late */
      times_ns[end++] = due_ns;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
  }
}

static int ascending(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
  const size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
  const qb_load load = {sizeof load, argc > 3 ? strtod(argv[3], NULL) : 30, 0};
  const qb_qos qos = {.size = sizeof qos, /* for 99 of 100 requests */
                      .latency_ns = (argc > 4 ? strtol(argv[4], NULL, 10) : 250) * 1000000};
  qb_context *context;
  qb_model *model;
  qb_node *node;
  qb_profile *profile;
  qb_tensor_info in = QB_TENSOR_INFO_INIT, out = QB_TENSOR_INFO_INIT;
  qb_node_info info = QB_NODE_INFO_INIT;
  CHECK(!qb_context_new(NULL, &context));
  CHECK(!qb_model_builtin(context, argc > 1 ? argv[1] : "alexnet", &model));
  CHECK(!qb_model_get_input(model, 0, &in) && !qb_model_get_output(model, 0, &out));
  CHECK(!qb_node_detect(context, NULL, &node) && !qb_node_get_info(node, &info));
  const qb_configuration all = {1, info.usable_threads};
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 8;
  params.configurations = &all;
  params.configuration_count = 1;
  params.time_budget_ns = (int64_t)((argc > 5 ? strtod(argv[5], NULL) : 10) * 1e9);
  CHECK(!qb_profile_run(model, node, &params, NULL, NULL, &profile));
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  CHECK(!qb_plan_service((const qb_profile *const *)&profile, 1, &load, &qos, &plan));
  CHECK(!qb_optimizer_new(profile, &plan, &qos, &optimizer));
  CHECK(!qb_session_for_profile(model, profile, &plan.configuration, &session));
  for (uint32_t n = 1; n <= plan.batch; n++) /* or the first round of a size is late */
    CHECK(!qb_session_prepare(session, n, NULL));
  images = calloc(in.elements_per_sample * plan.batch, sizeof *images);
  answers = calloc(out.elements_per_sample * plan.batch, sizeof *answers);
  times_ns = calloc(count + 1, sizeof *times_ns);
  CHECK(images && answers && times_ns);
  pthread_t batcher;
  pthread_condattr_t timing; /* timed waits by the clock that ages are measured with */
  CHECK(!pthread_condattr_init(&timing) && !pthread_condattr_setclock(&timing, CLOCK_MONOTONIC));
  CHECK(!pthread_cond_init(&changed, &timing));
  CHECK(!pthread_create(&batcher, NULL, serve, NULL));
  produce(count, load.rate_per_s);
  CHECK(!pthread_join(batcher, NULL));
  qsort(times_ns, end, sizeof *times_ns, ascending);
  printf("%zu of %zu answered; p50 %.1f ms, p99 %.1f ms (predicted %.1f, promised %.1f)\n", end,
         count, (double)times_ns[end / 2] / 1e6, (double)times_ns[end * 99 / 100] / 1e6,
         (double)plan.p99_ns / 1e6, (double)qos.latency_ns / 1e6);

  free(times_ns);
  free(answers);
  free(images);
  qb_session_unref(session);
  qb_optimizer_free(optimizer);
  qb_profile_unref(profile);
  qb_node_unref(node);
  qb_model_unref(model);
  qb_context_unref(context);
}
