/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "batcher.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How fast admission learns from answers that came later than expected, and the most it learns: of the
 * target. What is slower for long is the optimizer's matter. */
static const double LEARNING = 0.02, MOST_MARGIN = 0.25;

/* What is slower by less than this changes nothing. */
static const double SLOWER = 0.05;

/* When all would be late one runs all the same so often, or nobody would see that it is over. */
static const int64_t PROBE_NS = 1000000000;

/* One sample of a request. */
typedef struct sample {
  request *of;
  uint32_t index;
} sample;

typedef struct crew crew;

typedef struct worker {
  crew *of;
  pthread_t thread;
  int64_t until_ns; /* when its round should end; 0: it is free */
  float *inputs, *outputs;
  uint32_t *flags;
  sample *round;
} worker;

/* The threads that run rounds, and what they decide by. */
struct crew {
  batcher *of;
  batcher_rounds rounds;
  qb_optimizer *optimizer;
  int64_t *round_ns, *p95_ns; /* predicted, of 0..max_batch samples; nearly all are within p95 */
  uint32_t best;              /* the batch with the most samples per second that keeps the target */
  uint32_t most;              /* samples that can be in time when nothing is before them */
  double slowdown;            /* of rounds, as the optimizer observed it */
  uint32_t workers;
  worker *worker;
  bool leaving;
};

struct batcher {
  batcher_params params;
  pthread_mutex_t lock; /* of all below */
  pthread_cond_t changed;
  crew *crew;
  sample *queue;        /* a ring of params.queue_most */
  int64_t *deadline_ns; /* of the samples in the queue, at the same places */
  uint32_t first, queued;
  upload *uploads;
  double margin_ns; /* answers come up to this much later than expected */
  uint64_t arrived;
  int64_t last_round_ns; /* when it ended */
  bool stopping;
  batcher_counts counts;
  uint64_t *batches;
};

int64_t batcher_now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void put(batcher *self, request *r, uint32_t index)
{
  const uint32_t at = (self->first + self->queued++) % self->params.queue_most;
  self->queue[at] = (sample){r, index};
  self->deadline_ns[at] = r->arrived_ns + self->params.qos.latency_ns;
}

/* A sample of a request is done with; the last one tells the owner. Called without the lock. */
static void finish(sample s, outcome how)
{
  request *r = s.of;
  if (how != OUTCOME_ANSWERED)
    __atomic_store_n(&r->outcome, how, __ATOMIC_RELAXED);
  if (__atomic_sub_fetch(&r->left, 1, __ATOMIC_ACQ_REL) == 0)
    r->over(r);
}

/*
 * How much later than expected the percentile that is promised comes, by Robbins and Monro (Annals of
 * Mathematical Statistics 22, 1951): up for an answer that came later than that or not at all, and down
 * for one that did not, by as little as keeps the balance at the percentile. A time, not a factor: what
 * delays the short waits of a quiet hour says nothing of how many times as long a queue takes. Called
 * with the lock.
 */
static void learn(batcher *self, bool later)
{
  const double late = 1 - self->params.qos.percentile / 100;
  const double target_ns = (double)self->params.qos.latency_ns;
  self->margin_ns += LEARNING * target_ns * (later ? 1 - late : -late);
  self->margin_ns = fmin(fmax(self->margin_ns, 0), MOST_MARGIN * target_ns);
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
  learn(self, (double)(now_ns - r->taken_ns - r->expected_ns) > self->margin_ns);
  pthread_mutex_unlock(&self->lock);
}

/*
 * When the last of `samples` more would be answered if all went as predicted: `free_ns` from now an
 * instance is free, then come full rounds of the `ahead` that wait, then its own.
 */
static int64_t expected_ns(const crew *c, int64_t free_ns, uint32_t ahead, uint32_t samples)
{
  const uint32_t all = ahead + samples, rounds_ahead = (all - 1) / c->best;
  /* A round that does not start at once may be joined by others until then. */
  const uint32_t last = free_ns || rounds_ahead ? c->best : all;
  const int64_t rounds_ns = rounds_ahead * c->p95_ns[c->best] / c->workers + c->p95_ns[last];
  return free_ns + (int64_t)(c->slowdown * (double)rounds_ns);
}

/* The batch that a queue is best worked off with. Called with the lock. */
static void adapt(crew *c, double slowdown)
{
  const batcher_params *p = &c->of->params;
  double fastest = 0;
  c->slowdown = slowdown;
  c->best = 1;
  for (uint32_t n = 1; n <= c->rounds.params.max_batch; n++) {
    const double took_ns = slowdown * (double)c->round_ns[n];
    /* Half of the target is for the wait until the round starts. */
    if (took_ns <= (double)(p->qos.latency_ns / 2) && n / took_ns > fastest) {
      fastest = n / took_ns;
      c->best = n;
    }
  }
}

/* Asks what to do. Called with the lock. */
static qb_decision decide(batcher *self, int64_t now_ns)
{
  qb_optimizer *optimizer = self->crew->optimizer;
  qb_round_state state = QB_ROUND_STATE_INIT;
  state.queued = self->queued;
  state.now_ns = now_ns;
  state.deadline_ns = self->deadline_ns;
  state.deadline_count = self->queued;
  state.deadline_first = self->first;
  state.deadline_room = self->params.queue_most;
  state.arrived = self->arrived;
  qb_decision d = QB_DECISION_INIT;
  if (qb_optimize(optimizer, &state, &d))
    self->params.report(qb_error_message());
  if (d.slowdown > 0 && fabs(fmax(d.slowdown, 1) / self->crew->slowdown - 1) > SLOWER)
    adapt(self->crew, fmax(d.slowdown, 1));
  if (d.refresh_due && qb_optimizer_refresh(optimizer))
    self->params.report(qb_error_message());
  return d;
}

static sample take(batcher *self)
{
  const sample s = self->queue[self->first];
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
    const outcome before = __atomic_exchange_n(&s.of->outcome, OUTCOME_LATE, __ATOMIC_RELAXED);
    if (before == OUTCOME_ANSWERED) /* once a request */
      learn(self, true);
    pthread_mutex_unlock(&self->lock);
    finish(s, OUTCOME_LATE);
    pthread_mutex_lock(&self->lock);
  }
}

static bool has_nan(const float *values, size_t count)
{
  float sum = 0; /* NaN if any is, and for infinities of both signs */
  for (size_t i = 0; i < count; i++)
    sum += values[i] - values[i];
  if (sum == 0)
    return false;
  for (size_t i = 0; i < count; i++)
    if (isnan(values[i]))
      return true;
  return false;
}

/* The samples of a round, from their requests and back. */
static void gather(worker *w, uint32_t n)
{
  const size_t elements = w->of->of->params.input_elements, bytes = elements * sizeof *w->inputs;
  for (uint32_t i = 0; i < n; i++)
    memcpy(w->inputs + i * elements,
           (const char *)w->round[i].of->inputs + w->round[i].index * bytes, bytes);
}

static void hand_out(worker *w, uint32_t n, bool good)
{
  const size_t elements = w->of->of->params.output_elements;
  for (uint32_t i = 0; i < n; i++) {
    const float *row = w->outputs + i * elements;
    /* One sample's NaN is no fault of those that shared its round. */
    const bool finite = !w->flags[i] && !has_nan(row, elements);
    const outcome how = !good ? OUTCOME_FAILED : !finite ? OUTCOME_NOT_FINITE : OUTCOME_ANSWERED;
    if (good)
      memcpy(w->round[i].of->outputs + w->round[i].index * elements, row, elements * sizeof *row);
    finish(w->round[i], how);
  }
}

/* A host's own engine tells no flags. */
static qb_status run_samples(worker *w, uint32_t n)
{
  qb_session *session = w->of->rounds.session;
  const void *const inputs[] = {w->inputs};
  void *const outputs[] = {w->outputs};
  const qb_status status = qb_session_run_flagged(session, n, inputs, outputs, w->flags);
  return status == QB_ERROR_UNSUPPORTED ? qb_session_run(session, n, inputs, outputs) : status;
}

/* Runs a round. Gives up the lock meanwhile. */
static void run_round(worker *w, const qb_decision *d)
{
  batcher *self = w->of->of;
  const uint32_t n = d->batch;
  for (uint32_t i = 0; i < n; i++)
    w->round[i] = take(self);
  const int64_t start_ns = batcher_now_ns();
  w->until_ns = start_ns + d->latency_ns;
  self->counts.reasons[(uint32_t)d->reason < BATCHER_REASONS ? d->reason : 0]++;
  pthread_mutex_unlock(&self->lock);

  gather(w, n);
  const qb_status status = run_samples(w, n);
  const int64_t end_ns = batcher_now_ns();
  if (status)
    self->params.report(qb_error_message());

  pthread_mutex_lock(&self->lock);
  w->until_ns = 0;
  self->last_round_ns = end_ns;
  self->counts.failed += status ? n : 0;
  self->counts.rounds++;
  self->batches[n]++;
  self->counts.round_sum_s += (double)(end_ns - start_ns) * 1e-9;
  self->counts.predicted_sum_s += (double)d->latency_ns * 1e-9;
  const qb_round_result result = {sizeof result, n, end_ns - start_ns};
  if (!status && qb_observe(w->of->optimizer, &result))
    self->params.report(qb_error_message());
  pthread_mutex_unlock(&self->lock);
  hand_out(w, n, !status);
  pthread_mutex_lock(&self->lock);
}

/* Called with the lock, which is given up meanwhile. */
static void wait_for_change(batcher *self, int64_t now_ns, int64_t at_most_ns)
{
  if (!at_most_ns) {
    pthread_cond_wait(&self->changed, &self->lock);
    return;
  }
  const int64_t until_ns = now_ns + at_most_ns;
  const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
  pthread_cond_timedwait(&self->changed, &self->lock, &until);
}

static void *work(void *user)
{
  worker *w = user;
  batcher *self = w->of->of;
  pthread_mutex_lock(&self->lock);
  while (!w->of->leaving && (!self->stopping || self->queued)) {
    if (self->crew != w->of) { /* another crew ends its rounds */
      wait_for_change(self, 0, 0);
      continue;
    }
    const int64_t now_ns = batcher_now_ns();
    qb_decision d = decide(self, now_ns);
    if (d.give_up && now_ns - self->last_round_ns > PROBE_NS) {
      d.batch = 1;
      run_round(w, &d);
    } else if (d.give_up)
      give_up(self, d.give_up); /* and ask again */
    else if (d.action == QB_ACTION_RUN || d.action == QB_ACTION_INFEASIBLE)
      run_round(w, &d);
    else
      wait_for_change(self, now_ns, d.max_wait_ns);
  }
  pthread_mutex_unlock(&self->lock);
  return NULL;
}

/* Until the first instance is free. Called with the lock. */
static int64_t busy_ns(const crew *c, int64_t now_ns)
{
  int64_t free_ns = INT64_MAX;
  for (uint32_t i = 0; i < c->workers; i++) {
    const int64_t left_ns = c->worker[i].until_ns - now_ns;
    if (left_ns < free_ns)
      free_ns = left_ns;
  }
  return free_ns > 0 ? free_ns : 0;
}

/*
 * Whether samples behind `ahead` others are expected to be answered in time: *until_ns from now.
 * Counts what is refused. Called with the lock.
 */
static bool admit(batcher *self, uint32_t ahead, uint32_t samples, int64_t left_ns, int64_t now_ns,
                  int64_t *until_ns)
{
  const crew *c = self->crew;
  const int64_t free_ns = busy_ns(c, now_ns);
  const bool is_first = !ahead && !free_ns;
  *until_ns = expected_ns(c, free_ns, ahead, samples);
  if (is_first) /* the profile alone counts, or caution could never be unlearned */
    *until_ns = (int64_t)((double)*until_ns / c->slowdown);
  const double margin_ns = is_first ? 0 : self->margin_ns;
  const bool taken = !self->stopping && samples <= c->most &&
                     samples <= self->params.queue_most - self->queued &&
                     (double)*until_ns + margin_ns <= (double)left_ns;
  if (!taken) {
    self->counts.requests++;
    self->counts.refused++;
    /* Of the load the optimizer is told all: by what is taken it would look light, and rounds that
     * suit a light load keep what can be taken low. */
    self->arrived += samples;
  }
  return taken;
}

/* Samples whose inputs will be there in time if they go on coming as they did. */
static uint32_t count_coming(const batcher *self, int64_t now_ns)
{
  const double target_ns = (double)self->params.qos.latency_ns;
  uint64_t coming = 0;
  for (const upload *u = self->uploads; u; u = u->next)
    if ((double)u->bytes * target_ns > (double)(now_ns - u->since_ns) * (double)u->expected_bytes)
      coming += u->samples;
  return coming < self->params.queue_most ? (uint32_t)coming : self->params.queue_most;
}

bool batcher_welcome(batcher *self, uint32_t samples)
{
  pthread_mutex_lock(&self->lock);
  const int64_t now_ns = batcher_now_ns();
  int64_t ignored;
  const bool welcome = admit(self, self->queued + count_coming(self, now_ns), samples,
                             self->params.qos.latency_ns, now_ns, &ignored);
  pthread_mutex_unlock(&self->lock);
  return welcome;
}

void batcher_uploading(batcher *self, upload *u, uint64_t bytes)
{
  if (!u->expected_bytes)
    return;
  pthread_mutex_lock(&self->lock);
  u->bytes += bytes;
  if (!u->list) {
    u->list = &self->uploads;
    u->next = self->uploads;
    if (u->next)
      u->next->previous = u;
    self->uploads = u;
  }
  pthread_mutex_unlock(&self->lock);
}

void batcher_uploaded(batcher *self, upload *u)
{
  pthread_mutex_lock(&self->lock);
  if (u->list) {
    *(u->previous ? &u->previous->next : u->list) = u->next;
    if (u->next)
      u->next->previous = u->previous;
    u->list = NULL;
  }
  pthread_mutex_unlock(&self->lock);
}

uint32_t batcher_most_samples(batcher *self)
{
  pthread_mutex_lock(&self->lock);
  const uint32_t most = self->crew->most;
  pthread_mutex_unlock(&self->lock);
  return most;
}

bool batcher_submit(batcher *self, request *r)
{
  r->left = r->samples;
  r->outcome = OUTCOME_ANSWERED;
  pthread_mutex_lock(&self->lock);
  r->taken_ns = batcher_now_ns();
  const int64_t left_ns = self->params.qos.latency_ns - (r->taken_ns - r->arrived_ns);
  const bool taken = admit(self, self->queued, r->samples, left_ns, r->taken_ns, &r->expected_ns);
  if (taken) {
    self->counts.requests++;
    for (uint32_t i = 0; i < r->samples; i++)
      put(self, r, i);
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
  counts.margin_s = self->margin_ns * 1e-9;
  counts.plan = self->crew->rounds.plan;
  pthread_mutex_unlock(&self->lock);
  counts.batches = self->batches;
  counts.most_batch = self->params.queue_most;
  return counts;
}

static bool predict_rounds(crew *c)
{
  const qb_optimizer_params *params = &c->rounds.params;
  for (uint32_t n = 1; n <= params->max_batch; n++) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    if (qb_estimate(c->rounds.profile, &params->configuration, n, NULL, &e))
      return false;
    c->round_ns[n] = e.latency_ns;
    c->p95_ns[n] = e.p95_ns;
  }
  adapt(c, 1);
  const batcher_params *p = &c->of->params;
  while (c->most < p->queue_most && expected_ns(c, 0, 0, c->most + 1) <= p->qos.latency_ns)
    c->most++;
  return true;
}

static void crew_free(crew *c)
{
  for (uint32_t i = 0; c->worker && i < c->rounds.params.configuration.instances; i++) {
    free(c->worker[i].inputs);
    free(c->worker[i].outputs);
    free(c->worker[i].flags);
    free(c->worker[i].round);
  }
  qb_optimizer_free(c->optimizer);
  free(c->worker);
  free(c->round_ns);
  free(c->p95_ns);
  free(c);
}

static crew *crew_new(batcher *self, const batcher_rounds *rounds)
{
  const qb_optimizer_params *params = &rounds->params;
  const size_t most = params->max_batch;
  crew *c = calloc(1, sizeof *c);
  if (!c)
    return NULL;
  c->of = self;
  c->rounds = *rounds;
  c->workers = params->configuration.instances;
  c->round_ns = calloc(most + 1, sizeof *c->round_ns);
  c->p95_ns = calloc(most + 1, sizeof *c->p95_ns);
  c->worker = calloc(c->workers, sizeof *c->worker);
  bool good = c->round_ns && c->p95_ns && c->worker;
  for (uint32_t i = 0; good && i < c->workers; i++) {
    worker *w = &c->worker[i];
    w->of = c;
    w->inputs = calloc(most * self->params.input_elements, sizeof *w->inputs);
    w->outputs = calloc(most * self->params.output_elements, sizeof *w->outputs);
    w->flags = calloc(most, sizeof *w->flags);
    w->round = calloc(most, sizeof *w->round);
    good = w->inputs && w->outputs && w->flags && w->round;
  }
  if (good && predict_rounds(c) &&
      !qb_optimizer_new(rounds->profile, params, &self->params.qos, &c->optimizer))
    return c;
  self->params.report(good ? qb_error_message() : "no memory for the rounds");
  crew_free(c);
  return NULL;
}

/* Waits until the threads have ended: all is answered, or another crew goes on. */
static void crew_join(crew *c)
{
  for (uint32_t i = 0; i < c->workers; i++)
    pthread_join(c->worker[i].thread, NULL);
}

static void crew_dismiss(crew *c)
{
  pthread_mutex_lock(&c->of->lock);
  c->leaving = true;
  pthread_cond_broadcast(&c->of->changed);
  pthread_mutex_unlock(&c->of->lock);
  crew_join(c);
}

/* A crew whose threads wait until it is self->crew. NULL after a report. */
static crew *crew_start(batcher *self, const batcher_rounds *rounds)
{
  crew *c = crew_new(self, rounds);
  for (uint32_t i = 0; c && i < c->workers; i++)
    if (pthread_create(&c->worker[i].thread, NULL, work, &c->worker[i])) {
      self->params.report("cannot start a thread");
      c->workers = i;
      crew_dismiss(c);
      crew_free(c);
      return NULL;
    }
  return c;
}

static void make_changed(pthread_cond_t *changed)
{
  pthread_condattr_t timing; /* timed waits by the clock that ages are measured with */
  pthread_condattr_init(&timing);
  pthread_condattr_setclock(&timing, CLOCK_MONOTONIC);
  pthread_cond_init(changed, &timing);
  pthread_condattr_destroy(&timing);
}

static void use(batcher *self, crew *c)
{
  pthread_mutex_lock(&self->lock);
  self->crew = c;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->lock);
}

batcher *batcher_start(const batcher_params *params, const batcher_rounds *rounds)
{
  batcher *self = calloc(1, sizeof *self);
  if (!self)
    return NULL;
  self->params = *params;
  make_changed(&self->changed);
  pthread_mutex_init(&self->lock, NULL);
  self->queue = calloc(params->queue_most, sizeof *self->queue);
  self->deadline_ns = calloc(params->queue_most, sizeof *self->deadline_ns);
  self->batches = calloc((size_t)params->queue_most + 1, sizeof *self->batches);
  crew *c = self->queue && self->deadline_ns && self->batches ? crew_start(self, rounds) : NULL;
  if (!c) {
    batcher_free(self);
    return NULL;
  }
  use(self, c);
  return self;
}

bool batcher_change(batcher *self, const batcher_rounds *rounds)
{
  crew *next = crew_start(self, rounds), *before = self->crew;
  if (!next)
    return false;
  crew_dismiss(before);
  use(self, next);
  crew_free(before);
  return true;
}

void batcher_stop(batcher *self)
{
  pthread_mutex_lock(&self->lock);
  self->stopping = true;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->lock);
  crew_join(self->crew);
}

void batcher_free(batcher *self)
{
  if (self->crew)
    crew_free(self->crew);
  pthread_cond_destroy(&self->changed);
  pthread_mutex_destroy(&self->lock);
  free(self->batches);
  free(self->deadline_ns);
  free(self->queue);
  free(self);
}
