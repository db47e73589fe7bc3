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

static void run_round(uint32_t batch)
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
  for (uint32_t i = 0; i < batch; i++, first++)
    times_ns[first] = end_ns - times_ns[first];
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
      run_round(decision.batch);
      if (decision.refresh_due)
        CHECK(qb_optimizer_refresh(optimizer));
      pthread_mutex_lock(&lock);
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
