/* SPDX-License-Identifier: Apache-2.0 */
#include "node/team.h"

#include "core/alloc.h"
#include "core/error.h"
#include "node/monotonic.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

typedef struct member {
  qb__team *team;
  uint32_t index;
  uint16_t cpu;
  pthread_t thread;
  int64_t start_ns, end_ns; /* of its latest work */
} member;

struct qb__team {
  qb_context *context;
  uint32_t size; /* threads that were started */
  member *members;
  pthread_mutex_t lock;
  pthread_cond_t called; /* a new turn, or the end */
  pthread_cond_t all_done;
  uint64_t turn; /* counts the calls of qb__team_run() */
  bool stop;
  uint32_t threads, busy; /* of this turn */
  atomic_uint waiting;    /* threads of this turn that are not at the starting line yet */
  qb__team_work work;
  void *user;
};

/* Some sandboxes refuse; the scheduler then spreads the threads as well as it can. */
static void pin(uint16_t cpu)
{
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  (void)sched_setaffinity(0, sizeof set, &set);
}

/* Threads wake up one after another, so the first ones wait awake until the last one is there. */
static void take_turn(member *self)
{
  qb__team *team = self->team;
  atomic_fetch_sub(&team->waiting, 1);
  while (atomic_load(&team->waiting))
    sched_yield();
  self->start_ns = qb__monotonic_ns();
  team->work(team->user, self->index);
  self->end_ns = qb__monotonic_ns();
}

static void *serve(void *argument)
{
  member *self = argument;
  qb__team *team = self->team;
  pin(self->cpu);
  uint64_t seen = 0;
  pthread_mutex_lock(&team->lock);
  for (;;) {
    while (team->turn == seen && !team->stop)
      pthread_cond_wait(&team->called, &team->lock);
    if (team->stop)
      break;
    seen = team->turn;
    if (self->index >= team->threads)
      continue;
    pthread_mutex_unlock(&team->lock);
    take_turn(self);
    pthread_mutex_lock(&team->lock);
    if (!--team->busy)
      pthread_cond_signal(&team->all_done);
  }
  pthread_mutex_unlock(&team->lock);
  return NULL;
}

/* The threads inherit a full signal mask: the host's handlers are not to run on them. */
static qb_status start(qb__team *team, uint32_t size)
{
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = 0;
  while (team->size < size) {
    member *next = &team->members[team->size];
    code = pthread_create(&next->thread, NULL, serve, next);
    if (code)
      break;
    team->size++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (code)
    return qb__fail(QB_ERROR_SYSTEM,
                    "cannot start thread %u of the %u that measure: %s; raise the limit on threads",
                    team->size + 1, size, strerror(code));
  return QB_OK;
}

qb_status qb__team_new(qb_context *context, const uint16_t *cpus, uint32_t size, qb__team **team)
{
  qb__team *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->context = context;
  pthread_mutex_init(&self->lock, NULL);
  pthread_cond_init(&self->called, NULL);
  pthread_cond_init(&self->all_done, NULL);
  qb_status status = QB_ERROR_NO_MEMORY;
  self->members = qb__calloc(context, size, sizeof *self->members);
  if (self->members) {
    for (uint32_t i = 0; i < size; i++)
      self->members[i] = (member){.team = self, .index = i, .cpu = cpus[i]};
    status = start(self, size);
  }
  if (status) {
    qb__team_free(self);
    return status;
  }
  *team = self;
  return QB_OK;
}

void qb__team_free(qb__team *team)
{
  if (!team)
    return;
  pthread_mutex_lock(&team->lock);
  team->stop = true;
  pthread_cond_broadcast(&team->called);
  pthread_mutex_unlock(&team->lock);
  for (uint32_t i = 0; i < team->size; i++)
    pthread_join(team->members[i].thread, NULL);
  pthread_cond_destroy(&team->all_done);
  pthread_cond_destroy(&team->called);
  pthread_mutex_destroy(&team->lock);
  qb__free(team->context, team->members);
  qb__free(team->context, team);
}

int64_t qb__team_run(qb__team *team, uint32_t threads, qb__team_work work, void *user)
{
  pthread_mutex_lock(&team->lock);
  team->work = work;
  team->user = user;
  team->threads = team->busy = threads;
  atomic_store(&team->waiting, threads);
  team->turn++;
  pthread_cond_broadcast(&team->called);
  while (team->busy)
    pthread_cond_wait(&team->all_done, &team->lock);
  pthread_mutex_unlock(&team->lock);

  int64_t start_ns = team->members[0].start_ns, end_ns = team->members[0].end_ns;
  for (uint32_t i = 1; i < threads; i++) {
    const member *each = &team->members[i];
    start_ns = each->start_ns < start_ns ? each->start_ns : start_ns;
    end_ns = each->end_ns > end_ns ? each->end_ns : end_ns;
  }
  return end_ns > start_ns ? end_ns - start_ns : 1;
}

size_t qb__team_sizes(const qb__team *team, uint32_t sizes[QB__MOST_TEAM_SIZES])
{
  size_t count = 0;
  for (uint32_t n = 1; n < team->size; n *= 2) {
    sizes[count++] = n;
    if (n > 1 && n + n / 2 < team->size)
      sizes[count++] = n + n / 2;
  }
  sizes[count++] = team->size;
  return count;
}
