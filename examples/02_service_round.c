/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service: requests go into a bounded queue, and each instance has a thread that asks qb_optimize()
 * when to run a round and of how many of them. A thread of its own refreshes the tables when the node
 * has become slower or faster, so that no round waits for that.
 * usage: 02_service_round [MODEL] [REQUESTS] [RATE_PER_S] [LATENCY_MS] [PROFILE_SECONDS]
 */
#define _POSIX_C_SOURCE 200809L
#include "common.h"

#include <math.h>
#include <pthread.h>
#include <time.h>

enum { QUEUE_MOST = 1024 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that changes below */
static pthread_cond_t arrival, refresh_due;
static int64_t deadline_ns[QUEUE_MOST]; /* a ring: when the queued requests have to be answered */
static size_t first, queued, answered;
static uint64_t arrived;
static bool is_open = true, is_refresh_due;
static int64_t *latencies_ns; /* of the answers */

static qb_optimizer *optimizer;
static qb_session *session;
static qb_tensor_info in = QB_TENSOR_INFO_INIT, out = QB_TENSOR_INFO_INIT;
static qb_qos qos = QB_QOS_INIT;
static qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static qb_decision decide(int64_t now)
{
  qb_round_state state = QB_ROUND_STATE_INIT;
  qb_decision decision = QB_DECISION_INIT;
  state.queued = state.deadline_count = (uint32_t)queued;
  state.now_ns = now;
  state.deadline_ns = deadline_ns;
  state.deadline_first = (uint32_t)first;
  state.deadline_room = QUEUE_MOST;
  state.arrived = arrived;
  require(qb_optimize(optimizer, &state, &decision), "decide");
  if (decision.refresh_due) {
    is_refresh_due = true;
    pthread_cond_signal(&refresh_due);
  }
  return decision;
}

/* Takes the round's requests from the queue, and gives up the lock while they run. */
static void run_round(uint32_t batch, float *images, float *answers)
{
  const void *const inputs[] = {images}; /* a real service copies the requests' images there */
  void *const outputs[] = {answers};
  int64_t *due_ns = calloc(batch, sizeof *due_ns);
  require_that(due_ns, "allocate a round");
  for (uint32_t i = 0; i < batch; i++, first = (first + 1) % QUEUE_MOST, queued--)
    due_ns[i] = deadline_ns[first];
  if (queued) /* another instance may run them */
    pthread_cond_signal(&arrival);
  pthread_mutex_unlock(&lock);
  const int64_t start_ns = now_ns();
  require(qb_session_run(session, batch, inputs, outputs, NULL), "run a round");
  const int64_t end_ns = now_ns();
  pthread_mutex_lock(&lock);
  qb_round_result result = QB_ROUND_RESULT_INIT;
  result.batch = batch;
  result.latency_ns = end_ns - start_ns;
  require(qb_observe(optimizer, &result), "observe a round"); /* predictions follow the node */
  for (uint32_t i = 0; i < batch; i++)
    latencies_ns[answered++] = end_ns - (due_ns[i] - qos.latency_ns);
  free(due_ns);
}

/* The thread of an instance. */
static void *serve(void *unused)
{
  float *images = calloc(in.elements_per_sample * params.max_batch, sizeof *images);
  float *answers = calloc(out.elements_per_sample * params.max_batch, sizeof *answers);
  require_that(images && answers, "allocate samples");
  pthread_mutex_lock(&lock);
  while (is_open || queued) {
    const int64_t now = now_ns();
    const qb_decision decision = decide(now);
    const int64_t until_ns = now + decision.max_wait_ns;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    if (decision.action != QB_ACTION_WAIT) /* infeasible: a late answer is better than none here */
      run_round(decision.batch, images, answers);
    else if (decision.max_wait_ns)
      pthread_cond_timedwait(&arrival, &lock, &until);
    else
      pthread_cond_wait(&arrival, &lock);
  }
  pthread_mutex_unlock(&lock);
  free(answers);
  free(images);
  return unused;
}

/* A refresh takes tens of milliseconds: decisions go on beside it. */
static void *refresh(void *unused)
{
  pthread_mutex_lock(&lock);
  while (is_open) {
    if (!is_refresh_due) {
      pthread_cond_wait(&refresh_due, &lock);
      continue;
    }
    pthread_mutex_unlock(&lock);
    require(qb_optimizer_refresh(optimizer), "refresh the optimizer");
    pthread_mutex_lock(&lock);
    is_refresh_due = false; /* not before: decisions by the old tables would ask again */
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
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    pthread_mutex_lock(&lock);
    is_open = i < count;
    arrived += is_open; /* all of them, or an overload would look like a load that fits */
    if (is_open && queued < QUEUE_MOST) /* else refused: better now than answered too late */
      deadline_ns[(first + queued++) % QUEUE_MOST] = due_ns + qos.latency_ns;
    pthread_cond_signal(&arrival);
    pthread_mutex_unlock(&lock);
  }
  pthread_cond_broadcast(&arrival);
  pthread_cond_signal(&refresh_due);
}

static int ascending(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static qb_profile *measure(qb_context *context, qb_model *model, double seconds)
{
  qb_node *node;
  qb_node_info info = QB_NODE_INFO_INIT;
  qb_profile *profile;
  require(qb_node_detect(context, NULL, &node), "detect the node");
  require(qb_node_get_info(node, &info), "describe the node");
  const uint32_t all = info.usable_threads, half = all > 1 ? all / 2 : 1;
  const qb_configuration splits[] = {{1, all}, {2, half}}; /* for the plan to choose from */
  qb_profile_params how = QB_PROFILE_PARAMS_INIT;
  how.max_batch = 4;
  how.configurations = splits;
  how.configuration_count = all > 1 ? 2 : 1;
  how.time_budget_ns = (int64_t)(seconds * 1e9);
  require(qb_profile_run(model, node, &how, NULL, NULL, &profile), "profile the network");
  /* For a profile that was stored: predictions of another machine's would be wrong. */
  require(qb_profile_check(profile, NULL, node), "use the profile on this node");
  qb_node_unref(node);
  return profile;
}

/* Runs the threads until all requests are answered. */
static void serve_all(size_t count, double rate_per_s)
{
  const uint32_t instances = params.configuration.instances;
  pthread_t refresher, *threads = calloc(instances, sizeof *threads);
  pthread_condattr_t timing; /* timed waits by the clock of the deadlines */
  require_that(threads, "allocate threads");
  pthread_condattr_init(&timing);
  pthread_condattr_setclock(&timing, CLOCK_MONOTONIC);
  pthread_cond_init(&arrival, &timing);
  pthread_cond_init(&refresh_due, NULL);
  require_that(!pthread_create(&refresher, NULL, refresh, NULL), "start a thread");
  for (uint32_t i = 0; i < instances; i++)
    require_that(!pthread_create(&threads[i], NULL, serve, NULL), "start a thread");
  produce(count, rate_per_s);
  for (uint32_t i = 0; i < instances; i++)
    pthread_join(threads[i], NULL);
  pthread_join(refresher, NULL);
  free(threads);
}

int main(int argc, char **argv)
{
  const size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = argc > 3 ? strtod(argv[3], NULL) : 30;
  qos.latency_ns = (argc > 4 ? strtol(argv[4], NULL, 10) : 250) * 1000000; /* for 99 of 100 */
  qb_context *context;
  require(qb_context_new(NULL, &context), "make a context");
  qb_model *model = open_model(context, argc > 1 ? argv[1] : "alexnet");
  require(qb_model_get_input(model, 0, &in), "describe the input");
  require(qb_model_get_output(model, 0, &out), "describe the output");
  qb_profile *profile = measure(context, model, argc > 5 ? strtod(argv[5], NULL) : 10);
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  require(qb_plan_service(&profile, 1, &load, &qos, &plan, NULL), "plan the service");
  require(qb_optimizer_params_of_plan(&plan, &params), "take the plan");
  require(qb_optimizer_new(profile, &params, &qos, &optimizer), "make an optimizer");
  require(qb_session_new(model, &params.configuration, profile, &session), "make a session");
  for (uint32_t n = 1; n <= params.max_batch; n++) /* or the first round of a size is late */
    require(qb_session_prepare(session, n, NULL), "make a batch size ready");
  latencies_ns = calloc(count + 1, sizeof *latencies_ns);
  require_that(latencies_ns, "allocate latencies");
  serve_all(count, load.rate_per_s);
  qsort(latencies_ns, answered, sizeof *latencies_ns, ascending);
  printf("%zu of %zu answered; p50 %.1f ms, p99 %.1f ms (predicted %.1f, promised %.1f)\n",
         answered, count, (double)latencies_ns[answered / 2] / 1e6,
         (double)latencies_ns[answered * 99 / 100] / 1e6, (double)plan.p99_ns / 1e6,
         (double)qos.latency_ns / 1e6);

  free(latencies_ns);
  qb_session_unref(session);
  qb_optimizer_free(optimizer);
  qb_profile_unref(profile);
  qb_model_unref(model);
  qb_context_unref(context);
}
