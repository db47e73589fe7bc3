/* SPDX-License-Identifier: Apache-2.0 */
#include "node/measuring.h"

#include "core/alloc.h"
#include "core/error.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>

typedef struct crew {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint32_t waiting;
  bool go, cancelled;
} crew;

typedef struct member {
  crew *crew;
  pthread_t thread;
  uint16_t cpu;
  uint32_t index, threads;
  qb__work work;
  void *argument;
  double done;
  double start_s, end_s;
} member;

static double now_s(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *measure(void *argument)
{
  member *self = argument;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(self->cpu, &set);
  (void)sched_setaffinity(0, sizeof set, &set);
  pthread_mutex_lock(&self->crew->lock);
  self->crew->waiting++;
  pthread_cond_broadcast(&self->crew->changed);
  while (!self->crew->go)
    pthread_cond_wait(&self->crew->changed, &self->crew->lock);
  const bool cancelled = self->crew->cancelled;
  pthread_mutex_unlock(&self->crew->lock);
  if (cancelled)
    return NULL;
  self->start_s = now_s();
  self->done = self->work(self->argument, self->index, self->threads);
  self->end_s = now_s();
  return NULL;
}

qb_status qb__measure_together(const qb_context *context, const qb__topology *topology,
                               uint32_t first, uint32_t threads, qb__work work, void *argument,
                               double *per_s)
{
  member *members = qb__calloc(context, threads, sizeof *members);
  if (!members)
    return QB_ERROR_NO_MEMORY;
  crew all = {.waiting = 0};
  pthread_mutex_init(&all.lock, NULL);
  pthread_cond_init(&all.changed, NULL);
  /* The threads inherit the mask: handlers of the host are not to run on them. */
  sigset_t every, before;
  sigfillset(&every);
  pthread_sigmask(SIG_SETMASK, &every, &before);
  qb_status status = QB_OK;
  uint32_t started = 0;
  for (; started < threads && !status; started++) {
    member *m = &members[started];
    m->crew = &all;
    m->cpu = topology->cpus[(first + started) % topology->core_count];
    m->index = started;
    m->threads = threads;
    m->work = work;
    m->argument = argument;
    const int code = pthread_create(&m->thread, NULL, measure, m);
    if (code) {
      status = qb__fail(QB_ERROR_SYSTEM, "cannot start measurement thread %u of %u: %s",
                        started + 1, threads, strerror(code));
      break;
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_mutex_lock(&all.lock);
  while (all.waiting < started)
    pthread_cond_wait(&all.changed, &all.lock);
  all.cancelled = status != QB_OK;
  all.go = true;
  pthread_cond_broadcast(&all.changed);
  pthread_mutex_unlock(&all.lock);
  double done = 0, first_s = 0, last_s = 0;
  for (uint32_t i = 0; i < started; i++) {
    pthread_join(members[i].thread, NULL);
    done += members[i].done;
    if (i == 0 || members[i].start_s < first_s)
      first_s = members[i].start_s;
    if (i == 0 || members[i].end_s > last_s)
      last_s = members[i].end_s;
  }
  pthread_cond_destroy(&all.changed);
  pthread_mutex_destroy(&all.lock);
  qb__free(context, members);
  if (!status)
    *per_s = last_s > first_s ? done / (last_s - first_s) : 0;
  return status;
}

size_t qb__thread_counts(uint32_t most, uint32_t counts[QB__MOST_THREAD_COUNTS])
{
  size_t count = 0;
  /* 1, 2, then 3, 4, 6, 8, 12, ...: two to an octave. */
  for (uint32_t n = 1; n < most && count < QB__MOST_THREAD_COUNTS - 1; n = n < 2 ? n + 1
                                                                           : (n & (n - 1))
                                                                               ? n / 3 * 4
                                                                               : n / 2 * 3)
    counts[count++] = n;
  counts[count++] = most;
  return count;
}
