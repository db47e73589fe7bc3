/* SPDX-License-Identifier: Apache-2.0 */
#include "crew_simulated.h"

#include "common/output.h"
#include "link.h"

#include <qosbatch/estimate.h>
#include <qosbatch/place.h>

#include <simgrid/actor.h>

#include <math.h>
#include <stdlib.h>

enum { MOST_ROUNDS = 65536, PARTS = 4 };

typedef struct planned {
  crew_round round;
  int64_t end_ns;
} planned;

struct crew {
  crew_model model;
  uint32_t instances;
  int64_t *free_ns; /* when each instance has done what waits for it */
  double *time_ns;  /* of rounds, by samples */
  double spread;    /* standard deviation of a round as a part of its time */
  planned *rounds;  /* not done yet */
  size_t count;
};

crew *crew_simulate(const crew_model *model, const qb_share *share)
{
  crew *self = allocate(1, sizeof *self);
  self->model = *model;
  self->instances = share->configuration.instances;
  self->free_ns = allocate(self->instances, sizeof *self->free_ns);
  self->time_ns = allocate((size_t)share->batch + 1, sizeof *self->time_ns);
  self->rounds = allocate(MOST_ROUNDS, sizeof *self->rounds);
  for (uint32_t b = 1; b <= share->batch; b++) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    if (qb_estimate(model->profile, &share->configuration, b, NULL, &e)) {
      crew_free(self);
      return NULL;
    }
    self->time_ns[b] = (double)e.mean_ns;
    self->spread = fmax(0, (double)e.p95_ns / (double)e.mean_ns - 1) / 1.645;
  }
  return self;
}

void crew_free(crew *self)
{
  if (!self)
    return;
  free(self->free_ns);
  free(self->time_ns);
  free(self->rounds);
  free(self);
}

static double uniform(uint64_t *seed)
{
  *seed ^= *seed >> 12;
  *seed ^= *seed << 25;
  *seed ^= *seed >> 27;
  return (double)((*seed * UINT64_C(0x2545f4914f6cdd1d)) >> 11) / 9007199254740992.0;
}

/* Normal (Box and Muller, 1958), cut off where a round would be too short to be true. */
static double noise(crew *self)
{
  const double z = sqrt(-2 * log(1 - uniform(&self->model.seed))) *
                   cos(6.283185307179586 * uniform(&self->model.seed));
  return fmax(1 + self->spread * z, 0.5);
}

void crew_push(crew *self, const dispatch_round *samples)
{
  uint32_t first = 0;
  for (uint32_t i = 1; i < self->instances; i++)
    if (self->free_ns[i] < self->free_ns[first])
      first = i;
  const int64_t now_ns = link_now_ns();
  const int64_t start_ns = self->free_ns[first] > now_ns ? self->free_ns[first] : now_ns;
  double took = self->time_ns[samples->count] * noise(self);
  if (start_ns >= self->model.slow_from_ns)
    took *= 2;
  self->free_ns[first] = start_ns + (int64_t)took;
  self->rounds[self->count++] =
      (planned){{.samples = *samples, .took_ns = (int64_t)took}, self->free_ns[first]};
}

/* The round that is done first; SIZE_MAX if there is none. */
static size_t next_done(const crew *self)
{
  size_t first = self->count ? 0 : SIZE_MAX;
  for (size_t i = 1; i < self->count; i++)
    if (self->rounds[i].end_ns < self->rounds[first].end_ns)
      first = i;
  return first;
}

bool crew_take(crew *self, crew_round *round)
{
  const size_t first = next_done(self);
  if (first == SIZE_MAX || self->rounds[first].end_ns > link_now_ns())
    return false;
  *round = self->rounds[first].round;
  self->rounds[first] = self->rounds[--self->count];
  return true;
}

bool crew_idle(crew *self)
{
  return !self->count;
}

/* Until a round is done, and a message is not waited for much longer than a real crew would. */
void crew_pause(crew *self)
{
  const size_t first = next_done(self);
  if (first == SIZE_MAX)
    return;
  const int64_t left_ns = self->rounds[first].end_ns - link_now_ns();
  const int64_t part_ns = self->rounds[first].round.took_ns / PARTS;
  const int64_t pause_ns = left_ns < part_ns ? left_ns : part_ns;
  sg_actor_sleep_for((double)(pause_ns > 0 ? pause_ns : 0) / 1e9 + 1e-9);
}

const char *crew_failure(crew *self)
{
  (void)self;
  return NULL;
}
