/* SPDX-License-Identifier: Apache-2.0 */
#include "run/correction.h"

#include <stddef.h>

enum { MOST_TRIES = 2 };

static const double SLOW = 1.1;          /* times as long as planned */
static const double GAIN = 0.97;         /* a try must promise at least this */
static const double TRY_NS = 1000000000; /* what trying may lose, beside making a batch ready */
static const double WORTH = 0.01;        /* of what is left, at most */

static correction_batch *fastest_seen(correction *self)
{
  correction_batch *best = NULL;
  for (uint32_t i = 0; i < self->count; i++) {
    correction_batch *b = &self->batches[i];
    if (b->observed_ns > 0 && (!best || b->observed_ns < best->observed_ns))
      best = b;
  }
  return best;
}

static correction_batch *best_untried(correction *self, double below_ns, int64_t left_ns)
{
  correction_batch *best = NULL;
  for (uint32_t i = 0; i < self->count; i++) {
    correction_batch *b = &self->batches[i];
    const bool cheap = TRY_NS + (double)b->prepare_ns <= WORTH * (double)left_ns;
    if (b->observed_ns == 0 && cheap && b->planned_ns < below_ns &&
        (!best || b->planned_ns < best->planned_ns))
      best = b;
  }
  return best;
}

uint32_t correction_choose(correction *self, double observed_ns, int64_t left_ns)
{
  correction_batch *current = &self->batches[self->current];
  current->observed_ns = observed_ns;
  const bool as_planned = !self->tries && observed_ns <= SLOW * current->planned_ns;
  if (self->settled || as_planned)
    return current->batch;
  correction_batch *next = fastest_seen(self);
  correction_batch *other =
      self->tries < MOST_TRIES ? best_untried(self, GAIN * next->observed_ns, left_ns) : NULL;
  if (other) {
    next = other;
    self->tries++;
  } else if (self->tries) {
    self->settled = true;
  }
  self->current = (uint32_t)(next - self->batches);
  return next->batch;
}
