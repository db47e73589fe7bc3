/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the batcher share. */
#ifndef SERVE_BATCHER_INSIDE_H
#define SERVE_BATCHER_INSIDE_H

#include "batcher.h"

#include <pthread.h>

/* One sample of a request. */
typedef struct sample {
  request *of;
  uint32_t index;
} sample;

typedef struct crew crew;

/* The thread of an instance. */
typedef struct worker {
  crew *of;
  pthread_t thread;
  int64_t until_ns; /* when its round should end; 0: it is free */
  float *inputs, *outputs;
  uint32_t *flags;
  sample *round;
} worker;

/* The threads that run rounds, and what they decide by. */
struct crew {
  batcher *of;
  batcher_rounds rounds;
  qb_optimizer *optimizer;
  int64_t *round_ns, *p95_ns; /* predicted, of 0..max_batch samples; nearly all are within p95 */
  uint32_t best;              /* the batch with the most samples per second that keeps the target */
  uint32_t most;              /* samples that can be in time when nothing is before them */
  double slowdown;            /* of rounds, as the optimizer observed it */
  uint32_t workers;
  worker *worker;
  pthread_t refresher;
  bool is_refresh_due;
  bool leaving;
};

struct batcher {
  batcher_params params;
  pthread_mutex_t lock; /* of all below */
  pthread_cond_t changed, refresh_due;
  crew *crew;
  sample *queue;        /* a ring of params.queue_most */
  int64_t *deadline_ns; /* of the samples in the queue, at the same places */
  uint32_t first, queued;
  upload *uploads;
  double margin_ns; /* answers come up to this much later than expected */
  uint64_t arrived;
  int64_t last_round_ns; /* when it ended */
  bool stopping;
  batcher_counts counts;
  uint64_t *batches;
};

/* batcher_queue.c; all called with the lock. */

/* Puts a sample of a request at the end of the queue, and takes the first one from it. */
void batcher_put(batcher *self, request *r, uint32_t index);
sample batcher_take(batcher *self);

/* Gives up the lock until something changes, or for at most at_most_ns if that is not 0. */
void batcher_wait(batcher *self, int64_t now_ns, int64_t at_most_ns);

/* batcher_admission.c; all called with the lock. */

/* Learns from an answer whether it came later than admission expects. */
void admission_learn(batcher *self, bool later);

/* Counts with rounds that take this many times as long as predicted. */
void admission_adapt(crew *c, double slowdown);

/* The most samples of a request that can be in time when nothing is before them. */
uint32_t admission_most(const crew *c);

/*
 * Whether samples behind `ahead` others are expected in time: *until_ns from now. Counts refusals.
 */
bool admission_judge(batcher *self, uint32_t ahead, uint32_t samples, int64_t left_ns,
                     int64_t now_ns, int64_t *until_ns);

/* batcher_round.c: the thread of a worker. */
void *crew_work(void *worker);

/* batcher_refresh.c: the thread that refreshes a crew's optimizer when a decision asks for it. */
void *crew_refresh(void *crew);

/* batcher_crew.c */

/* A crew whose threads wait until it is self->crew. NULL after a report. */
crew *crew_start(batcher *self, const batcher_rounds *rounds);

/* Waits until the threads have ended: all is answered, or the crew has been dismissed. */
void crew_join(crew *c);

/* Ends the threads after the rounds under way. */
void crew_dismiss(crew *c);
void crew_free(crew *c);

#endif
