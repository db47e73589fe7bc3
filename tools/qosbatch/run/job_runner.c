/* SPDX-License-Identifier: Apache-2.0 */
#include "run/job_runner.h"

#include "common/clock.h"
#include "common/diagnose.h"
#include "common/output.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_PER_INSTANCE = 2 }; /* one runs while the next is read */

typedef enum slot_state { SLOT_FREE, SLOT_READING, SLOT_READY, SLOT_RUNNING } slot_state;

typedef struct slot {
  slot_state state;
  uint64_t sequence, first;
  uint32_t count, room; /* room: samples that fit in what is allocated */
  float *samples;
  row_state *states;
  uint32_t *flags;
  float **outputs;
} slot;

struct job_runner {
  job_params params;
  qb_session *session;
  uint32_t output_count;
  uint64_t input_elements, *output_elements;
  pthread_mutex_t lock;
  pthread_cond_t freed, read, ended; /* a slot for the reader; for an instance; the whole job */
  slot *slots;
  uint32_t slot_count;
  uint64_t next_sample, sequence;
  uint64_t left;     /* samples not handed to a slot yet */
  uint64_t begin;    /* the first sample of the rounds of this batch size */
  double reading_ns; /* of the reader's time, for a sample, at best; 0: nothing read */
  bool all_read, stopped, failed;
  uint32_t running_threads; /* or still to be started */
  int64_t start_ns;
  job_state state;
  pthread_t *threads; /* the reader, then the instances' */
  uint32_t thread_count;
};

void job_last_rounds(uint64_t samples, uint32_t instances, uint32_t batch, uint32_t *larger,
                     uint32_t *smaller)
{
  const uint64_t rest = samples % ((uint64_t)instances * batch);
  *larger = (uint32_t)((rest + instances - 1) / instances);
  *smaller = (uint32_t)(rest / instances);
  if (*smaller == *larger)
    *smaller = 0;
}

/*
 * The end of the round that a sample belongs to. Rounds lie where they do in an undisturbed run,
 * whatever is done already: a row's last bits may depend on the size of its round.
 */
static uint64_t round_end(const job_runner *self, uint64_t sample)
{
  const job_params *p = &self->params;
  const uint64_t count = source_count(p->samples), batch = p->batch;
  const uint64_t rest = (count - self->begin) % (p->instances * batch);
  uint64_t begin = self->begin, size = batch;
  if (sample >= count - rest) { /* the last rounds: so many of the larger size, then the others */
    const uint64_t smaller = rest / p->instances, larger = rest % p->instances * (smaller + 1);
    begin = count - rest;
    size = smaller + 1;
    if (sample >= begin + larger) {
      begin += larger;
      size = smaller;
    }
  }
  return begin + ((sample - begin) / size + 1) * size;
}

/* With the lock held: the next samples of a round that are not done. */
static bool take_samples(job_runner *self, slot *s)
{
  const job_params *p = &self->params;
  if (!self->left)
    return false;
  while (p->done[self->next_sample])
    self->next_sample++;
  const uint64_t end = round_end(self, self->next_sample);
  s->first = self->next_sample;
  while (self->next_sample < end && !p->done[self->next_sample])
    self->next_sample++;
  s->count = (uint32_t)(self->next_sample - s->first);
  self->left -= s->count;
  s->sequence = self->sequence++;
  s->state = SLOT_READING;
  return true;
}

static void make_room(const job_runner *self, slot *s)
{
  if (s->count <= s->room)
    return;
  free(s->samples);
  free(s->states);
  free(s->flags);
  s->samples = allocate(s->count, self->input_elements * sizeof *s->samples);
  s->states = allocate(s->count, sizeof *s->states);
  s->flags = allocate(s->count, sizeof *s->flags);
  for (uint32_t o = 0; o < self->output_count; o++) {
    free(s->outputs[o]);
    s->outputs[o] = allocate(s->count, self->output_elements[o] * sizeof **s->outputs);
  }
  s->room = s->count;
}

static slot *slot_in(job_runner *self, slot_state state)
{
  slot *found = NULL;
  for (uint32_t i = 0; i < self->slot_count; i++) {
    slot *s = &self->slots[i];
    if (s->state == state && (!found || s->sequence < found->sequence))
      found = s;
  }
  return found;
}

/* With the lock held. */
static void wake_all(job_runner *self)
{
  pthread_cond_broadcast(&self->freed);
  pthread_cond_broadcast(&self->read);
  pthread_cond_broadcast(&self->ended);
}

/* With the lock held. */
static void end_thread(job_runner *self)
{
  if (!--self->running_threads)
    self->state.ended = true;
  wake_all(self);
}

static void *read_ahead(void *argument)
{
  job_runner *self = argument;
  pthread_mutex_lock(&self->lock);
  for (;;) {
    slot *s;
    while (!(s = slot_in(self, SLOT_FREE)) && !self->stopped && !self->failed)
      pthread_cond_wait(&self->freed, &self->lock);
    if (self->stopped || self->failed || !take_samples(self, s))
      break;
    pthread_mutex_unlock(&self->lock);
    make_room(self, s);
    const int64_t start_ns = clock_thread_ns();
    const int result = source_read(self->params.samples, s->first, s->count, s->samples, s->states);
    const double reading_ns = (double)(clock_thread_ns() - start_ns) / s->count;
    pthread_mutex_lock(&self->lock);
    if (!(self->reading_ns > 0) || reading_ns < self->reading_ns)
      self->reading_ns = reading_ns;
    self->failed = self->failed || result;
    s->state = SLOT_READY;
    pthread_cond_signal(&self->read);
  }
  self->all_read = true;
  end_thread(self);
  pthread_mutex_unlock(&self->lock);
  return NULL;
}

/* Runs a round and writes its rows. Returns the exit status. */
static int run_round(job_runner *self, slot *s, int64_t *busy_ns, uint64_t *checksum)
{
  const void *inputs[] = {s->samples};
  const int64_t start_ns = clock_ns();
  const int result =
      check(qb_session_run(self->session, s->count, inputs, (void *const *)s->outputs, s->flags));
  *busy_ns = clock_ns() - start_ns;
  if (result)
    return result;
  row_note_flags(s->states, s->flags, s->count);
  return results_write(self->params.output, s->first, s->count, s->outputs[0], s->states, checksum);
}

/* With the lock held, so that records are whole and in order. */
static int note_round(job_runner *self, const slot *s, uint64_t checksum, int64_t busy_ns)
{
  job_state *state = &self->state;
  state->elapsed_ns = clock_ns() - self->start_ns;
  const journal_record record = {s->first, s->count, checksum,
                                 self->params.elapsed_before_ns + state->elapsed_ns, s->states};
  const int result = journal_append(self->params.progress, &record);
  if (result)
    return result;
  for (uint32_t i = 0; i < s->count; i++) {
    self->params.done[s->first + i] = true;
    row_count(&state->rows, s->states[i]);
  }
  state->samples += s->count;
  state->rounds++;
  state->busy_ns += busy_ns;
  return EXIT_DONE;
}

static void *run_instance(void *argument)
{
  job_runner *self = argument;
  pthread_mutex_lock(&self->lock);
  while (!self->failed) {
    slot *s;
    const int64_t wait_ns = clock_ns();
    while (!(s = slot_in(self, SLOT_READY)) && !self->all_read && !self->failed)
      pthread_cond_wait(&self->read, &self->lock);
    if (!s || self->failed || self->stopped)
      break;
    self->state.waiting_ns += clock_ns() - wait_ns;
    s->state = SLOT_RUNNING;
    pthread_mutex_unlock(&self->lock);
    int64_t busy_ns = 0;
    uint64_t checksum = 0;
    const int result = run_round(self, s, &busy_ns, &checksum);
    pthread_mutex_lock(&self->lock);
    if (result || note_round(self, s, checksum, busy_ns))
      self->failed = true;
    s->state = SLOT_FREE;
    pthread_cond_signal(&self->freed);
  }
  end_thread(self);
  pthread_mutex_unlock(&self->lock);
  return NULL;
}

static void set_up(job_runner *self)
{
  const job_params *p = &self->params;
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_tensor_info tensor = QB_TENSOR_INFO_INIT;
  qb_model_get_info(p->model, &info);
  qb_model_get_input(p->model, 0, &tensor);
  self->input_elements = tensor.elements_per_sample;
  self->output_count = info.outputs;
  self->output_elements = allocate(info.outputs, sizeof *self->output_elements);
  for (uint32_t o = 0; o < info.outputs; o++) {
    qb_model_get_output(p->model, o, &tensor);
    self->output_elements[o] = tensor.elements_per_sample;
  }
  self->slot_count = SLOTS_PER_INSTANCE * p->instances;
  self->slots = allocate(self->slot_count, sizeof *self->slots);
  for (uint32_t i = 0; i < self->slot_count; i++)
    self->slots[i].outputs = allocate(info.outputs, sizeof *self->slots[i].outputs);
  for (uint64_t i = 0; i < source_count(p->samples); i++)
    self->left += !p->done[i];
  pthread_mutex_init(&self->lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&self->freed, NULL);
  pthread_cond_init(&self->read, NULL);
  pthread_cond_init(&self->ended, &monotonic);
  pthread_condattr_destroy(&monotonic);
  self->threads = allocate(p->instances + 1, sizeof *self->threads);
}

static int start_thread(job_runner *self, void *(*work)(void *))
{
  const int code = pthread_create(&self->threads[self->thread_count], NULL, work, self);
  if (code)
    return fail("cannot start a thread: %s", strerror(code));
  self->thread_count++;
  return EXIT_DONE;
}

int job_start(const job_params *params, job_runner **started)
{
  job_runner *self = allocate(1, sizeof *self);
  self->params = *params;
  set_up(self);
  self->running_threads = params->instances + 1;
  const int result = start_thread(self, read_ahead);
  if (result)
    job_join(self);
  else
    *started = self;
  return result;
}

double job_reading_ns(job_runner *self)
{
  pthread_mutex_lock(&self->lock);
  const double ns = self->reading_ns;
  pthread_mutex_unlock(&self->lock);
  return ns;
}

int job_run(job_runner *self, qb_session *session)
{
  int result = EXIT_DONE;
  self->session = session;
  self->start_ns = clock_ns();
  for (uint32_t i = 0; i < self->params.instances && !result; i++)
    result = start_thread(self, run_instance);
  return result;
}

void job_watch(job_runner *self, int milliseconds, job_state *state)
{
  const int64_t until_ns = clock_ns() + milliseconds * INT64_C(1000000);
  const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
  pthread_mutex_lock(&self->lock);
  int code = 0;
  while (!self->state.ended && code != ETIMEDOUT)
    code = pthread_cond_timedwait(&self->ended, &self->lock, &until);
  *state = self->state;
  if (!state->ended)
    state->elapsed_ns = clock_ns() - self->start_ns;
  pthread_mutex_unlock(&self->lock);
}

void job_set_batch(job_runner *self, uint32_t batch)
{
  pthread_mutex_lock(&self->lock);
  self->params.batch = batch;
  self->begin = self->next_sample;
  pthread_mutex_unlock(&self->lock);
}

void job_stop(job_runner *self)
{
  pthread_mutex_lock(&self->lock);
  self->stopped = true;
  wake_all(self);
  pthread_mutex_unlock(&self->lock);
}

int job_join(job_runner *self)
{
  for (uint32_t i = 0; i < self->thread_count; i++)
    pthread_join(self->threads[i], NULL);
  const int result = self->failed ? EXIT_FAILED : EXIT_DONE;
  for (uint32_t i = 0; i < self->slot_count; i++) {
    slot *s = &self->slots[i];
    for (uint32_t o = 0; o < self->output_count; o++)
      free(s->outputs[o]);
    free(s->outputs);
    free(s->samples);
    free(s->states);
    free(s->flags);
  }
  free(self->slots);
  free(self->output_elements);
  free(self->threads);
  pthread_cond_destroy(&self->freed);
  pthread_cond_destroy(&self->read);
  pthread_cond_destroy(&self->ended);
  pthread_mutex_destroy(&self->lock);
  free(self);
  return result;
}
