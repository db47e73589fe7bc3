/* SPDX-License-Identifier: Apache-2.0 */
/* Admission: which requests are expected in time, and what it learns from the answers. */
#include "batcher_inside.h"

#include <math.h>

/*
 * How fast admission learns from answers that came later than expected, and the most it learns: of
 * the target. What is slower for long is the optimizer's matter.
 */
static const double LEARNING = 0.02, MOST_MARGIN = 0.25;

/*
 * How much later than expected the percentile that is promised comes, by Robbins and Monro (Annals
 * of Mathematical Statistics 22, 1951): up for an answer that came later than that or not at all,
 * and down for one that did not, by as little as keeps the balance at the percentile. A time, not a
 * factor: what delays the short waits of a quiet hour says nothing of how many times as long a
 * queue takes. Called with the lock.
 */
void admission_learn(batcher *self, bool later)
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
  admission_learn(self, (double)(now_ns - r->taken_ns - r->expected_ns) > self->margin_ns);
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

void admission_adapt(crew *c, double slowdown)
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

uint32_t admission_most(const crew *c)
{
  const batcher_params *p = &c->of->params;
  uint32_t most = 0;
  while (most < p->queue_most && expected_ns(c, 0, 0, most + 1) <= p->qos.latency_ns)
    most++;
  return most;
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

bool admission_judge(batcher *self, uint32_t ahead, uint32_t samples, int64_t left_ns,
                     int64_t now_ns, int64_t *until_ns)
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
  const bool welcome = admission_judge(self, self->queued + count_coming(self, now_ns), samples,
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
