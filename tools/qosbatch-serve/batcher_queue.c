/* SPDX-License-Identifier: Apache-2.0 */
/* The queue: a ring of samples, beside it a ring of their deadlines as qb_optimize() reads it. */
#define _POSIX_C_SOURCE 200809L
#include "batcher_inside.h"

#include <time.h>

int64_t batcher_now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void batcher_put(batcher *self, request *r, uint32_t index)
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
