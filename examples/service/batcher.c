/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "batcher.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How fast admission learns from answers that came later than expected, and the most it learns. */
static const double LEARNING = 0.02, MOST_STRETCH = 4;

/* Of the samples that wait, the decision is told how long each of so many has left. */
enum { LOOKED_AT = 256 };

/* One sample of a request. */
typedef struct sample {
  request *of;
  uint32_t index;
} sample;

typedef struct worker {
  batcher *of;
  pthread_t thread;
  int64_t until_ns; /* when its round should end; 0: it is free */
  float *inputs, *outputs;
  sample *round;
} worker;

struct batcher {
  batcher_params params;
  qb_optimizer *optimizer;
  int64_t *round_ns; /* predicted, of 0..max_batch samples */
  uint32_t best;     /* the batch with the most samples per second that keeps the target */
  uint32_t workers;
  worker *worker;
  pthread_mutex_t lock; /* of all below */
  pthread_cond_t changed;
  sample *queue; /* a ring of params.queue_most */
  uint32_t first, queued;
  uint32_t coming; /* welcome, but their inputs are not there yet */
  double stretch;  /* what is expected takes up to so many times as long */
  uint64_t arrived;
  bool stopping;
  batcher_counts counts;
  int64_t left_ns[LOOKED_AT];
};

int64_t batcher_now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static sample *queued_at(batcher *self, uint32_t index)
{
  return &self->queue[(self->first + index) % self->params.queue_most];
}

/* A sample of a request is done with; the last one tells the owner. Called without the lock. */
static void finish(sample s, int status)
{
  request *r = s.of;
  if (status != 200)
    __atomic_store_n(&r->status, status, __ATOMIC_RELAXED);
  if (__atomic_sub_fetch(&r->left, 1, __ATOMIC_ACQ_REL) == 0)
    r->over(r);
}

/*
 * So many times as long as expected takes the percentile that is promised, by Robbins and Monro (Annals
 * of Mathematical Statistics 22, 1951): up for an answer that came later than that or not at all, and down
 * for one that did not, by as little as keeps the balance at the percentile. Called with the lock.
 */
static void learn(batcher *self, bool later)
{
  const double late = 1 - self->params.qos.percentile / 100;
  self->stretch += LEARNING * (later ? 1 - late : -late);
  self->stretch = fmin(fmax(self->stretch, 1), MOST_STRETCH);
}

void batcher_answered(batcher *self, const request *r)
{
  const int64_t target_ns = self->params.qos.latency_ns, now_ns = batcher_now_ns();
  const int64_t latency_ns = now_ns - r->arrived_ns;
  const int64_t bucket = (latency_ns * (LATENCY_BUCKETS / 2) - 1) / target_ns;
  pthread_mutex_lock(&self->lock);
  self->counts.samples += r->samples;
  self->counts.in_time += latency_ns <= target_ns ? r->samples : 0;
  self->counts.latency[bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS] += r->samples;
  self->counts.latency_sum_s += r->samples * (double)latency_ns * 1e-9;
  learn(self, (double)(now_ns - r->taken_ns) > self->stretch * (double)r->expected_ns);
  pthread_mutex_unlock(&self->lock);
}

/* Asks what to do. Called with the lock. */
static qb_decision decide(batcher *self, int64_t now_ns)
{
  qb_round_state state = QB_ROUND_STATE_INIT;
  state.queued = self->queued;
  state.left_count = self->queued < LOOKED_AT ? self->queued : LOOKED_AT;
  for (uint32_t i = 0; i < state.left_count; i++)
    self->left_ns[i] = self->params.qos.latency_ns - (now_ns - queued_at(self, i)->of->arrived_ns);
  state.left_ns = self->left_ns;
  state.oldest_age_ns = self->queued ? now_ns - queued_at(self, 0)->of->arrived_ns : 0;
  state.now_ns = now_ns;
  state.arrived = self->arrived;
  qb_decision d = QB_DECISION_INIT;
  if (qb_optimize(self->optimizer, &state, &d))
    fprintf(stderr, "service: %s\n", qb_error_message());
  if (d.refresh_due && qb_optimizer_refresh(self->optimizer))
    fprintf(stderr, "service: %s\n", qb_error_message());
  return d;
}

static sample take(batcher *self)
{
  const sample s = *queued_at(self, 0);
  self->first = (self->first + 1) % self->params.queue_most;
  self->queued--;
  return s;
}

/* Refuses samples that would be late. Gives up the lock meanwhile. */
static void give_up(batcher *self, uint32_t count)
{
  for (uint32_t i = 0; i < count; i++) {
    const sample s = take(self);
    self->counts.given_up++;
    if (__atomic_exchange_n(&s.of->status, 429, __ATOMIC_RELAXED) == 200) /* once a request */
      learn(self, true);
    pthread_mutex_unlock(&self->lock);
    finish(s, 429);
    pthread_mutex_lock(&self->lock);
  }
}

/* Runs a round. Gives up the lock meanwhile. */
static void run_round(worker *w, const qb_decision *d)
{
  batcher *self = w->of;
  const size_t in = self->params.input_elements, out = self->params.output_elements;
  const uint32_t n = d->batch;
  for (uint32_t i = 0; i < n; i++)
    w->round[i] = take(self);
  const int64_t start_ns = batcher_now_ns();
  w->until_ns = start_ns + d->latency_ns;
  self->counts.reasons[d->reason]++;
  pthread_mutex_unlock(&self->lock);

  const size_t bytes = in * sizeof *w->inputs;
  for (uint32_t i = 0; i < n; i++)
    memcpy(w->inputs + i * in, (const char *)w->round[i].of->inputs + w->round[i].index * bytes,
           bytes);
  const void *const inputs[] = {w->inputs};
  void *const outputs[] = {w->outputs};
  const qb_status status = qb_session_run(self->params.session, n, inputs, outputs);
  const int64_t end_ns = batcher_now_ns();
  if (status)
    fprintf(stderr, "service: %s\n", qb_error_message());
  for (uint32_t i = 0; i < n && !status; i++)
    memcpy(w->round[i].of->outputs + w->round[i].index * out, w->outputs + i * out,
           out * sizeof *w->outputs);

  pthread_mutex_lock(&self->lock);
  w->until_ns = 0;
  self->counts.failed += status ? n : 0;
  self->counts.rounds++;
  self->counts.batches[n]++;
  self->counts.round_sum_s += (double)(end_ns - start_ns) * 1e-9;
  self->counts.predicted_sum_s += (double)d->latency_ns * 1e-9;
  const qb_round_result result = {sizeof result, n, end_ns - start_ns};
  if (!status && qb_observe(self->optimizer, &result))
    fprintf(stderr, "service: %s\n", qb_error_message());
  pthread_mutex_unlock(&self->lock);
  for (uint32_t i = 0; i < n; i++)
    finish(w->round[i], status ? 500 : 200);
  pthread_mutex_lock(&self->lock);
}

static void *work(void *user)
{
  worker *w = user;
  batcher *self = w->of;
  pthread_mutex_lock(&self->lock);
  while (!self->stopping || self->queued) {
    const int64_t now_ns = batcher_now_ns();
    const qb_decision d = decide(self, now_ns);
    if (d.give_up)
      give_up(self, d.give_up); /* and ask again */
    else if (d.action == QB_ACTION_RUN || d.action == QB_ACTION_INFEASIBLE)
      run_round(w, &d);
    else if (d.max_wait_ns) {
      const int64_t until_ns = now_ns + d.max_wait_ns;
      const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
      pthread_cond_timedwait(&self->changed, &self->lock, &until);
    } else {
      pthread_cond_wait(&self->changed, &self->lock);
    }
  }
  pthread_mutex_unlock(&self->lock);
  return NULL;
}

/*
 * When the last of so many more samples would be answered if all went as predicted: after the
 * rounds under way, full rounds of those that wait, and its own. Called with the lock.
 */
static int64_t expected_ns(const batcher *self, uint32_t samples, int64_t now_ns)
{
  int64_t free_ns = INT64_MAX;
  for (uint32_t i = 0; i < self->workers; i++) {
    const int64_t left_ns = self->worker[i].until_ns - now_ns;
    if (left_ns < free_ns)
      free_ns = left_ns;
  }
  if (free_ns < 0)
    free_ns = 0;
  const uint32_t all = self->queued + self->coming + samples, rounds_ahead = (all - 1) / self->best;
  /* A round that does not start at once may be joined by others until then. */
  const uint32_t last = free_ns || rounds_ahead ? self->best : all;
  return free_ns + rounds_ahead * self->round_ns[self->best] / self->workers + self->round_ns[last];
}

/*
 * Whether samples are expected to be answered in time: *until_ns from now. Counts a request that is
 * refused. Called with the lock.
 */
static bool admit(batcher *self, uint32_t samples, int64_t arrived_ns, int64_t now_ns,
                  int64_t *until_ns)
{
  *until_ns = expected_ns(self, samples, now_ns);
  const int64_t left_ns = self->params.qos.latency_ns - (now_ns - arrived_ns);
  const bool taken = !self->stopping &&
                     samples + self->coming <= self->params.queue_most - self->queued &&
                     self->stretch * (double)*until_ns <= (double)left_ns;
  if (!taken) {
    self->counts.requests++;
    self->counts.refused++;
  }
  return taken;
}

bool batcher_welcome(batcher *self)
{
  pthread_mutex_lock(&self->lock);
  const int64_t now_ns = batcher_now_ns();
  int64_t ignored;
  const bool welcome = admit(self, 1, now_ns, now_ns, &ignored);
  self->coming += welcome;
  pthread_mutex_unlock(&self->lock);
  return welcome;
}

void batcher_expect_no_more(batcher *self)
{
  pthread_mutex_lock(&self->lock);
  self->coming--;
  pthread_mutex_unlock(&self->lock);
}

bool batcher_submit(batcher *self, request *r)
{
  r->left = r->samples;
  r->status = 200;
  pthread_mutex_lock(&self->lock);
  r->taken_ns = batcher_now_ns();
  const bool taken = admit(self, r->samples, r->arrived_ns, r->taken_ns, &r->expected_ns);
  if (taken) {
    self->counts.requests++;
    for (uint32_t i = 0; i < r->samples; i++)
      *queued_at(self, self->queued++) = (sample){r, i};
    self->arrived += r->samples;
    pthread_cond_signal(&self->changed);
  }
  pthread_mutex_unlock(&self->lock);
  return taken;
}

batcher_counts batcher_count(batcher *self)
{
  pthread_mutex_lock(&self->lock);
  batcher_counts counts = self->counts;
  counts.queued = self->queued;
  pthread_mutex_unlock(&self->lock);
  return counts;
}

/* What rounds take, and the batch that a queue is best worked off with. */
static bool predict_rounds(batcher *self)
{
  const batcher_params *p = &self->params;
  double most = 0;
  self->best = 1;
  for (uint32_t n = 1; n <= p->plan.batch; n++) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    if (qb_estimate(p->profile, &p->plan.configuration, n, &e))
      return false;
    self->round_ns[n] = e.p95_ns;
    /* Half of the target is for the wait until the round starts. */
    if (e.latency_ns <= p->qos.latency_ns / 2 && n / (double)e.latency_ns > most) {
      most = n / (double)e.latency_ns;
      self->best = n;
    }
  }
  return true;
}

static bool make(batcher *self)
{
  const batcher_params *p = &self->params;
  const size_t most = p->plan.batch;
  self->workers = p->plan.configuration.instances;
  self->round_ns = calloc(most + 1, sizeof *self->round_ns);
  self->queue = calloc(p->queue_most, sizeof *self->queue);
  self->counts.batches = calloc(most + 1, sizeof *self->counts.batches);
  self->worker = calloc(self->workers, sizeof *self->worker);
  if (!self->round_ns || !self->queue || !self->counts.batches || !self->worker)
    return false;
  for (uint32_t i = 0; i < self->workers; i++) {
    worker *w = &self->worker[i];
    w->of = self;
    w->inputs = calloc(most * p->input_elements, sizeof *w->inputs);
    w->outputs = calloc(most * p->output_elements, sizeof *w->outputs);
    w->round = calloc(most, sizeof *w->round);
    if (!w->inputs || !w->outputs || !w->round)
      return false;
  }
  return predict_rounds(self) && !qb_optimizer_new(p->profile, &p->plan, &p->qos, &self->optimizer);
}

static void release(batcher *self)
{
  for (uint32_t i = 0; self->worker && i < self->workers; i++) {
    free(self->worker[i].inputs);
    free(self->worker[i].outputs);
    free(self->worker[i].round);
  }
  qb_optimizer_free(self->optimizer);
  free(self->worker);
  free(self->counts.batches);
  free(self->queue);
  free(self->round_ns);
  free(self);
}

batcher *batcher_start(const batcher_params *params)
{
  batcher *self = calloc(1, sizeof *self);
  if (!self)
    return NULL;
  self->params = *params;
  self->stretch = 1;
  if (!make(self)) {
    fprintf(stderr, "service: %s\n", qb_error_message());
    release(self);
    return NULL;
  }
  pthread_condattr_t timing; /* timed waits by the clock that ages are measured with */
  pthread_condattr_init(&timing);
  pthread_condattr_setclock(&timing, CLOCK_MONOTONIC);
  pthread_cond_init(&self->changed, &timing);
  pthread_condattr_destroy(&timing);
  pthread_mutex_init(&self->lock, NULL);
  for (uint32_t i = 0; i < self->workers; i++)
    if (pthread_create(&self->worker[i].thread, NULL, work, &self->worker[i])) {
      fprintf(stderr, "service: cannot start a thread\n");
      self->workers = i;
      batcher_stop(self);
      batcher_free(self);
      return NULL;
    }
  return self;
}

void batcher_stop(batcher *self)
{
  pthread_mutex_lock(&self->lock);
  self->stopping = true;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->lock);
  for (uint32_t i = 0; i < self->workers; i++)
    pthread_join(self->worker[i].thread, NULL);
}

void batcher_free(batcher *self)
{
  pthread_cond_destroy(&self->changed);
  pthread_mutex_destroy(&self->lock);
  release(self);
}
