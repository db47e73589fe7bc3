/* SPDX-License-Identifier: Apache-2.0 */
#include "crew_session.h"

#include "common/output.h"
#include "link.h"

#include <qosbatch/place.h>
#include <qosbatch/session.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than a worker is ever given. */
enum { MOST_ROUNDS = 8192, PAUSE_NS = 2000000 };

typedef struct queue {
  crew_round rounds[MOST_ROUNDS];
  size_t first, count;
} queue;

struct crew {
  qb_session *session;
  source *samples;
  size_t in_elements, out_elements;
  uint32_t batch;
  uint32_t thread_count;
  pthread_t *threads;
  pthread_mutex_t mutex;
  pthread_mutex_t reading; /* a source is read by one thread at a time */
  pthread_cond_t work, ready;
  queue waiting, finished;
  uint32_t running;
  bool stopping;
  char failure[256];
};

static void put(queue *q, const crew_round *round)
{
  q->rounds[(q->first + q->count++) % MOST_ROUNDS] = *round;
}

static bool get(queue *q, crew_round *round)
{
  if (!q->count)
    return false;
  *round = q->rounds[q->first];
  q->first = (q->first + 1) % MOST_ROUNDS;
  q->count--;
  return true;
}

/* The sizes that are ready: a batch, its half, its quarter, and 1. */
static uint32_t next_size(const crew *self, uint32_t size)
{
  return size == 1 ? 0 : size > self->batch / 4 && size / 2 ? size / 2 : 1;
}

/* Runs a round in parts that are ready, as large as possible. */
static qb_status run_parts(crew *self, const float *inputs, float *outputs, uint32_t *flags,
                           uint32_t count)
{
  qb_status status = QB_OK;
  uint32_t size = self->batch;
  for (uint32_t done = 0; done < count && !status; done += size) {
    while (size > count - done)
      size = next_size(self, size);
    const void *const in[1] = {inputs + done * self->in_elements};
    void *const out[1] = {outputs + done * self->out_elements};
    status = qb_session_run(self->session, size, in, out, flags + done);
  }
  return status;
}

static void run_round(crew *self, crew_round *round, float *buffer)
{
  const uint32_t count = round->samples.count;
  round->rows = allocate(count * self->out_elements, sizeof *round->rows);
  round->states = allocate(count, sizeof *round->states);
  pthread_mutex_lock(&self->reading);
  const int unread = source_read(self->samples, round->samples.first, count, buffer, round->states);
  pthread_mutex_unlock(&self->reading);
  uint32_t *flags = allocate(count, sizeof *flags);
  const int64_t start_ns = link_now_ns();
  const qb_status status = unread ? QB_OK : run_parts(self, buffer, round->rows, flags, count);
  round->took_ns = link_now_ns() - start_ns;
  row_note_flags(round->states, flags, count);
  free(flags);
  if (unread || status) {
    pthread_mutex_lock(&self->mutex);
    snprintf(self->failure, sizeof self->failure, "%s",
             unread ? "the input cannot be read" : qb_error_message());
    pthread_mutex_unlock(&self->mutex);
  }
}

static void *work(void *user)
{
  crew *self = user;
  float *buffer = allocate(self->batch * self->in_elements, sizeof *buffer);
  pthread_mutex_lock(&self->mutex);
  while (!self->stopping) {
    crew_round round;
    if (!get(&self->waiting, &round)) {
      pthread_cond_wait(&self->work, &self->mutex);
      continue;
    }
    self->running++;
    pthread_mutex_unlock(&self->mutex);
    run_round(self, &round, buffer);
    pthread_mutex_lock(&self->mutex);
    self->running--;
    put(&self->finished, &round);
    pthread_cond_signal(&self->ready);
  }
  pthread_mutex_unlock(&self->mutex);
  free(buffer);
  return NULL;
}

static qb_status open_session(crew *self, qb_model *model, const qb_profile *profile,
                              const qb_share *share)
{
  qb_tensor_info in = QB_TENSOR_INFO_INIT, out = QB_TENSOR_INFO_INIT;
  qb_status status = qb_model_get_input(model, 0, &in);
  if (!status)
    status = qb_model_get_output(model, 0, &out);
  if (!status)
    status = qb_session_new(model, &share->configuration, profile, &self->session);
  for (uint32_t b = share->batch; b >= 1 && !status; b = next_size(self, b))
    status = qb_session_prepare(self->session, b, NULL);
  self->in_elements = in.elements_per_sample;
  self->out_elements = out.elements_per_sample;
  return status;
}

crew *crew_start(qb_model *model, const qb_profile *profile, source *samples, const qb_share *share,
                 char failure[256])
{
  crew *self = allocate(1, sizeof *self);
  self->samples = samples;
  self->batch = share->batch;
  pthread_mutex_init(&self->mutex, NULL);
  pthread_mutex_init(&self->reading, NULL);
  pthread_cond_init(&self->work, NULL);
  pthread_cond_init(&self->ready, NULL);
  if (!share->batch)
    return self; /* it is given nothing */
  if (open_session(self, model, profile, share)) {
    snprintf(failure, 256, "%s", qb_error_message());
    crew_stop(self);
    return NULL;
  }
  self->threads = allocate(share->configuration.instances, sizeof *self->threads);
  for (; self->thread_count < share->configuration.instances; self->thread_count++)
    if (pthread_create(&self->threads[self->thread_count], NULL, work, self)) {
      snprintf(failure, 256, "cannot start a thread");
      crew_stop(self);
      return NULL;
    }
  return self;
}

void crew_stop(crew *self)
{
  if (!self)
    return;
  pthread_mutex_lock(&self->mutex);
  self->stopping = true;
  pthread_cond_broadcast(&self->work);
  pthread_mutex_unlock(&self->mutex);
  for (uint32_t i = 0; i < self->thread_count; i++)
    pthread_join(self->threads[i], NULL);
  for (crew_round round; get(&self->finished, &round);) {
    free(round.rows);
    free(round.states);
  }
  qb_session_unref(self->session);
  pthread_mutex_destroy(&self->mutex);
  pthread_mutex_destroy(&self->reading);
  pthread_cond_destroy(&self->work);
  pthread_cond_destroy(&self->ready);
  free(self->threads);
  free(self);
}

void crew_push(crew *self, const dispatch_round *samples)
{
  const crew_round round = {.samples = *samples};
  pthread_mutex_lock(&self->mutex);
  put(&self->waiting, &round);
  pthread_cond_signal(&self->work);
  pthread_mutex_unlock(&self->mutex);
}

bool crew_take(crew *self, crew_round *round)
{
  pthread_mutex_lock(&self->mutex);
  const bool there = get(&self->finished, round);
  pthread_mutex_unlock(&self->mutex);
  return there;
}

bool crew_idle(crew *self)
{
  pthread_mutex_lock(&self->mutex);
  const bool idle = !self->running && !self->waiting.count && !self->finished.count;
  pthread_mutex_unlock(&self->mutex);
  return idle;
}

void crew_pause(crew *self)
{
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += PAUSE_NS;
  if (until.tv_nsec >= 1000000000) {
    until.tv_nsec -= 1000000000;
    until.tv_sec++;
  }
  pthread_mutex_lock(&self->mutex);
  if (!self->finished.count)
    pthread_cond_timedwait(&self->ready, &self->mutex, &until);
  pthread_mutex_unlock(&self->mutex);
}

const char *crew_failure(crew *self)
{
  pthread_mutex_lock(&self->mutex);
  const bool failed = self->failure[0];
  pthread_mutex_unlock(&self->mutex);
  return failed ? self->failure : NULL;
}
