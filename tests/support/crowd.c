/* SPDX-License-Identifier: Apache-2.0 */
#include "support/crowd.h"

#include "support/unit.h"

#include <qosbatch/status.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct member {
  pthread_t thread;
  crowd_step step;
  void *shared;
  uint32_t index;
  pthread_barrier_t *together;
  atomic_bool *stop;
  uint64_t steps;
  char wrong[512]; /* the first step that failed; empty: none */
} member;

static void *take_steps(void *argument)
{
  member *self = argument;
  pthread_barrier_wait(self->together);
  do {
    const char *broken = self->step(self->shared, self->index, self->steps);
    if (broken) {
      snprintf(self->wrong, sizeof self->wrong, "%s (%s)", broken, qb_error_message());
      atomic_store(self->stop, true);
    }
    self->steps++;
  } while (!atomic_load_explicit(self->stop, memory_order_relaxed));
  return NULL;
}

static void pass_time(double share)
{
  const char *given = getenv("QB_TEST_SECONDS");
  const double seconds = share * (given ? strtod(given, NULL) : 2);
  const struct timespec pause = {(time_t)seconds,
                                 (long)(1e9 * (seconds - (double)(time_t)seconds))};
  nanosleep(&pause, NULL);
}

void crowd_run(double share, crowd_step step, void *shared)
{
  member members[CROWD_THREADS];
  pthread_barrier_t together;
  atomic_bool stop = false;
  assert_int_equal(pthread_barrier_init(&together, NULL, CROWD_THREADS), 0);
  for (uint32_t i = 0; i < CROWD_THREADS; i++) {
    members[i] =
        (member){.step = step, .shared = shared, .index = i, .together = &together, .stop = &stop};
    assert_int_equal(pthread_create(&members[i].thread, NULL, take_steps, &members[i]), 0);
  }
  pass_time(share);
  atomic_store(&stop, true);
  uint64_t steps = 0;
  for (uint32_t i = 0; i < CROWD_THREADS; i++) {
    pthread_join(members[i].thread, NULL);
    steps += members[i].steps;
  }
  pthread_barrier_destroy(&together);
  for (uint32_t i = 0; i < CROWD_THREADS; i++)
    if (members[i].wrong[0])
      fail_msg("thread %u, step %llu: %s", i, (unsigned long long)members[i].steps - 1,
               members[i].wrong);
  print_message("# %llu steps\n", (unsigned long long)steps);
}
