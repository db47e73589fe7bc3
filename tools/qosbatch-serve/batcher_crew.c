/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for one way to run rounds: made, started and ended together. */
#include "batcher_inside.h"

#include <stdlib.h>

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
  admission_adapt(c, 1);
  c->most = admission_most(c);
  return true;
}

void crew_free(crew *c)
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
  self->params.report(good ? qb_error_message() : "out of memory for the rounds");
  crew_free(c);
  return NULL;
}

void crew_join(crew *c)
{
  for (uint32_t i = 0; i < c->workers; i++)
    pthread_join(c->worker[i].thread, NULL);
  pthread_join(c->refresher, NULL);
}

void crew_dismiss(crew *c)
{
  pthread_mutex_lock(&c->of->lock);
  c->leaving = true;
  pthread_cond_broadcast(&c->of->changed);
  pthread_cond_broadcast(&c->of->refresh_due);
  pthread_mutex_unlock(&c->of->lock);
  crew_join(c);
}

static bool start_workers(crew *c)
{
  const uint32_t wanted = c->workers;
  for (c->workers = 0; c->workers < wanted; c->workers++) {
    worker *w = &c->worker[c->workers];
    if (pthread_create(&w->thread, NULL, crew_work, w))
      return false;
  }
  return true;
}

crew *crew_start(batcher *self, const batcher_rounds *rounds)
{
  crew *c = crew_new(self, rounds);
  if (!c)
    return NULL;
  if (pthread_create(&c->refresher, NULL, crew_refresh, c)) {
    self->params.report("cannot start a thread");
    crew_free(c);
    return NULL;
  }
  if (!start_workers(c)) {
    self->params.report("cannot start a thread");
    crew_dismiss(c);
    crew_free(c);
    return NULL;
  }
  return c;
}
