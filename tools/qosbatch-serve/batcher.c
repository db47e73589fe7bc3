/* SPDX-License-Identifier: Apache-2.0 */
/* The queue between those who bring requests and the threads that run rounds. */
#define _POSIX_C_SOURCE 200809L
#include "batcher_inside.h"

#include <stdlib.h>
#include <time.h>

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

sample batcher_take(batcher *self)
{
  const sample s = self->queue[self->first];
  self->first = (self->first + 1) % self->params.queue_most;
  self->queued--;
  return s;
}

void batcher_wait(batcher *self, int64_t now_ns, int64_t at_most_ns)
{
  if (!at_most_ns) {
    pthread_cond_wait(&self->changed, &self->lock);
    return;
  }
  const int64_t until_ns = now_ns + at_most_ns;
  const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
  pthread_cond_timedwait(&self->changed, &self->lock, &until);
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
  const bool taken =
      admission_judge(self, self->queued, r->samples, left_ns, r->taken_ns, &r->expected_ns);
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
  pthread_cond_init(&self->refresh_due, NULL);
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
  pthread_cond_broadcast(&self->refresh_due);
  pthread_mutex_unlock(&self->lock);
  crew_join(self->crew);
}

void batcher_free(batcher *self)
{
  if (self->crew)
    crew_free(self->crew);
  pthread_cond_destroy(&self->refresh_due);
  pthread_cond_destroy(&self->changed);
  pthread_mutex_destroy(&self->lock);
  free(self->batches);
  free(self->deadline_ns);
  free(self->queue);
  free(self);
}
