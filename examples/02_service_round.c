/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service: requests go into a bounded queue; a batcher thread asks qb_optimize() when to run a
 * round and of how many of them. One instance on all cores; several take a batcher thread each.
 *
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

static qb_optimizer *optimizer;
static qb_session *session;
static float *images, *answers; /* of one round */

/* A service would pass the status on; the message says what was wrong and what to do. */
#define CHECK(call)   require((call) == QB_OK, #call, qb_error_message())
#define REQUIRE(good) require(good, #good, "refused by the system")
static void require(bool good, const char *what, const char *why)
{
  if (good)
    return;
  fprintf(stderr, "%s: %s\n", what, why);
  exit(EXIT_FAILURE);
}

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t run_round(uint32_t batch)
{
  const void *const inputs[] = {images}; /* a real service copies the requests' images there */
  void *const outputs[] = {answers};
  qb_round_result result = QB_ROUND_RESULT_INIT;
  result.batch = batch;
  const int64_t start_ns = now_ns();
  CHECK(qb_session_run(session, batch, inputs, outputs));
  const int64_t end_ns = now_ns();
  result.latency_ns = end_ns - start_ns;
  CHECK(qb_observe(optimizer, &result)); /* estimates follow what rounds really take */
  return end_ns;
}

static void *serve(void *unused)
{
  pthread_mutex_lock(&lock);
  while (is_open || first < end) {
    const int64_t now = now_ns();
    qb_round_state state = QB_ROUND_STATE_INIT;
    state.queued = (uint32_t)(end - first);
    state.oldest_age_ns = state.queued ? now - times_ns[first] : 0;
    qb_decision decision = QB_DECISION_INIT;
    CHECK(qb_optimize(optimizer, &state, &decision));
    const int64_t until_ns = now + decision.max_wait_ns;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    if (decision.action == QB_ACTION_WAIT && decision.max_wait_ns) {
      pthread_cond_timedwait(&changed, &lock, &until);
    } else if (decision.action == QB_ACTION_WAIT) {
      pthread_cond_wait(&changed, &lock);
    } else { /* to run, or infeasible: an answer that comes late is better than none */
      pthread_mutex_unlock(&lock);
      const int64_t end_ns = run_round(decision.batch);
      if (decision.refresh_due)
        CHECK(qb_optimizer_refresh(optimizer));
      pthread_mutex_lock(&lock);
      for (uint32_t i = 0; i < decision.batch; i++, first++)
        times_ns[first] = end_ns - times_ns[first];
    }
  }
  pthread_mutex_unlock(&lock);
  return unused;
}

/* Puts requests into the queue as a Poisson process does. Returns how many were refused. */
static size_t produce(size_t count, double rate_per_s)
{
  size_t refused = 0;
  int64_t due_ns = now_ns();
  for (size_t i = 0; i < count; i++) {
    due_ns -= (int64_t)(log((rand() + 1.0) / (RAND_MAX + 2.0)) / rate_per_s * 1e9);
    const struct timespec due = {due_ns / 1000000000, due_ns % 1000000000};
    REQUIRE(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == 0);
    pthread_mutex_lock(&lock);
    if (end - first < QUEUE_MOST)
      times_ns[end++] = due_ns;
    else
      refused++; /* better a refusal now than an answer much too late */
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
  }
  pthread_mutex_lock(&lock);
  is_open = false;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
  return refused;
}

/* Profiles the model on all cores, plans for the rate, and makes the optimizer and the session. */
static qb_service_plan set_up(const char *name, const qb_qos *qos, double rate_per_s,
                              double seconds)
{
  qb_context *context;
  qb_model *model;
  qb_node *node;
  qb_profile *profile;
  CHECK(qb_context_new(NULL, &context));
  CHECK(qb_model_builtin(context, name, &model));
  CHECK(qb_node_detect(context, NULL, &node));
  qb_node_info info = QB_NODE_INFO_INIT;
  CHECK(qb_node_get_info(node, &info));
  qb_configuration all = QB_CONFIGURATION_INIT;
  all.threads = info.usable_threads;
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 8;
  params.configurations = &all;
  params.configuration_count = 1;
  params.time_budget_ns = (int64_t)(seconds * 1e9);
  CHECK(qb_profile_run(model, node, &params, NULL, NULL, &profile));

  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = rate_per_s;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  CHECK(qb_plan_service((const qb_profile *const *)&profile, 1, &load, qos, &plan));
  CHECK(qb_optimizer_new(profile, &plan, qos, &optimizer));
  CHECK(qb_session_new(model, &plan.configuration, &session));
  for (uint32_t n = 1; n <= plan.batch; n++) /* or the first round of a size is late */
    CHECK(qb_session_prepare(session, n, NULL));
  qb_tensor_info in = QB_TENSOR_INFO_INIT, out = QB_TENSOR_INFO_INIT;
  CHECK(qb_model_get_input(model, 0, &in));
  CHECK(qb_model_get_output(model, 0, &out));
  images = calloc(in.elements_per_sample * plan.batch, sizeof *images);
  answers = calloc(out.elements_per_sample * plan.batch, sizeof *answers);
  REQUIRE(images && answers);
  qb_profile_unref(profile); /* what needs them keeps a reference of its own */
  qb_node_unref(node);
  qb_model_unref(model);
  qb_context_unref(context);
  return plan;
}

static int ascending(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
  const size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
  const double rate_per_s = argc > 3 ? strtod(argv[3], NULL) : 30;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = (argc > 4 ? strtoll(argv[4], NULL, 10) : 250) * 1000000;
  const qb_service_plan plan = set_up(argc > 1 ? argv[1] : "alexnet", &qos, rate_per_s,
                                      argc > 5 ? strtod(argv[5], NULL) : 10);
  pthread_condattr_t monotonic; /* timed waits by the clock that ages are measured with */
  REQUIRE(!pthread_condattr_init(&monotonic));
  REQUIRE(!pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC));
  REQUIRE(!pthread_cond_init(&changed, &monotonic));
  times_ns = calloc(count + 1, sizeof *times_ns);
  pthread_t batcher;
  REQUIRE(times_ns && count);
  REQUIRE(!pthread_create(&batcher, NULL, serve, NULL));
  const size_t refused = produce(count, rate_per_s);
  pthread_join(batcher, NULL);
  qsort(times_ns, end, sizeof *times_ns, ascending);
  printf("%zu answered, %zu refused; batches up to %u\n", end, refused, plan.batch);
  printf("p50 %.1f ms (predicted %.1f), p99 %.1f ms (predicted %.1f, promised %.1f)\n",
         1e-6 * (double)times_ns[end / 2], 1e-6 * (double)plan.p50_ns,
         1e-6 * (double)times_ns[end * 99 / 100], 1e-6 * (double)plan.p99_ns,
         1e-6 * (double)qos.latency_ns);
  qb_session_unref(session);
  qb_optimizer_free(optimizer);
  free(times_ns);
  free(images);
  free(answers);
  return EXIT_SUCCESS;
}
