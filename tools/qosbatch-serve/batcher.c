/* SPDX-License-Identifier: Apache-2.0 */
/* The batcher between those who bring requests and the threads that run rounds. */
#define _POSIX_C_SOURCE 200809L
#include "batcher_inside.h"

#include <stdlib.h>
#include <time.h>

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
      batcher_put(self, r, i);
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
  counts.rounds_covered = (qb_coverage)QB_COVERAGE_INIT;
  if (qb_optimizer_get_coverage(self->crew->optimizer, &counts.rounds_covered))
    self->params.report(qb_error_message());
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
  const bool good = self->queue && self->deadline_ns && self->batches;
  if (!good)
    params->report("out of memory for the queue");
  crew *c = good ? crew_start(self, rounds) : NULL;
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
