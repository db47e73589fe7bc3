/* SPDX-License-Identifier: Apache-2.0 */
#include "desk.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { SHORT, LONG, LANES, STEPPING_BACK = 10 };

/* A queue of tasks and the thread that does them. */
typedef struct lane {
  pthread_t thread;
  pthread_mutex_t lock; /* of all below */
  pthread_cond_t changed;
  task *first, **end;
  bool is_long, stopping;
} lane;

struct desk {
  lane lanes[LANES];
  int started;
};

static void *work(void *user)
{
  lane *l = user;
  if (l->is_long)
    (void)setpriority(PRIO_PROCESS, 0, STEPPING_BACK); /* on Linux of this thread alone */
  pthread_mutex_lock(&l->lock);
  while (l->first || !l->stopping) {
    task *t = l->first;
    if (!t) {
      pthread_cond_wait(&l->changed, &l->lock);
      continue;
    }
    l->first = t->next;
    if (!l->first)
      l->end = &l->first;
    pthread_mutex_unlock(&l->lock);
    t->run(t);
    pthread_mutex_lock(&l->lock);
  }
  pthread_mutex_unlock(&l->lock);
  return NULL;
}

desk *desk_open(void)
{
  desk *self = calloc(1, sizeof *self);
  if (!self)
    return NULL;
  for (int i = 0; i < LANES; i++) {
    lane *l = &self->lanes[i];
    l->is_long = i == LONG;
    l->end = &l->first;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    if (pthread_create(&l->thread, NULL, work, l)) {
      desk_stop(self);
      desk_free(self);
      return NULL;
    }
    self->started++;
  }
  return self;
}

bool desk_put(desk *self, task *t, bool is_long)
{
  lane *l = &self->lanes[is_long ? LONG : SHORT];
  pthread_mutex_lock(&l->lock);
  const bool taken = !l->stopping;
  if (taken) {
    t->next = NULL;
    *l->end = t;
    l->end = &t->next;
    pthread_cond_signal(&l->changed);
  }
  pthread_mutex_unlock(&l->lock);
  return taken;
}

void desk_stop(desk *self)
{
  for (int i = 0; i < self->started; i++) {
    lane *l = &self->lanes[i];
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
  }
}

void desk_free(desk *self)
{
  for (int i = 0; i < self->started; i++) {
    pthread_cond_destroy(&self->lanes[i].changed);
    pthread_mutex_destroy(&self->lanes[i].lock);
  }
  free(self);
}
