/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pace.h"

static const int64_t SHORTEST_NS = 1000000000; /* to judge by; a neighbour's burst is no pace */
static const int64_t LONGEST_NS = 8000000000;  /* to look back */
static const int64_t APART_NS = 100000000;

void pace_begin(pace *self, uint64_t samples, double planned_per_s, uint32_t instances)
{
  *self = (pace){.samples = samples,
                 .planned_per_s = planned_per_s,
                 .fewest_rounds = 2 * instances,
                 .mark_count = 1};
}

void pace_note(pace *self, int64_t at_ns, uint64_t samples, uint64_t rounds)
{
  const uint64_t last = (self->mark_count - 1) % PACE_MARKS;
  if (self->marks[last].samples == samples)
    return; /* from the end of a round to the end of another: anything else is biased */
  const uint64_t before = (self->mark_count - 2) % PACE_MARKS;
  const bool close = self->mark_count > 1 && at_ns - self->marks[before].at_ns < APART_NS;
  const uint64_t at = close ? last : self->mark_count++ % PACE_MARKS;
  self->marks[at].at_ns = at_ns;
  self->marks[at].samples = samples;
  self->marks[at].rounds = rounds;
}

/*
 * The first and the last mark to judge by: those of the last seconds, or of as many rounds as it
 * takes. False if there are too few.
 */
static bool look_back(const pace *self, uint64_t *first, uint64_t *last)
{
  *last = *first = self->mark_count - 1;
  const uint64_t oldest = self->mark_count > PACE_MARKS ? self->mark_count - PACE_MARKS : 0;
  const uint64_t l = *last % PACE_MARKS;
  int64_t span_ns = 0;
  uint64_t rounds = 0;
  while (*first > oldest) {
    const uint64_t before = (*first - 1) % PACE_MARKS;
    const int64_t longer_ns = self->marks[l].at_ns - self->marks[before].at_ns;
    if (self->marks[before].rounds < self->first_round ||
        (longer_ns > LONGEST_NS && rounds >= self->fewest_rounds))
      break;
    span_ns = longer_ns;
    rounds = self->marks[l].rounds - self->marks[before].rounds;
    --*first;
  }
  return span_ns >= SHORTEST_NS && rounds >= self->fewest_rounds;
}

void pace_restart(pace *self)
{
  self->first_round = self->marks[(self->mark_count - 1) % PACE_MARKS].rounds + self->fewest_rounds;
}

bool pace_is_known(const pace *self)
{
  uint64_t first, last;
  return look_back(self, &first, &last);
}

double pace_per_s(const pace *self)
{
  uint64_t first, last;
  if (!look_back(self, &first, &last))
    return self->planned_per_s;
  const uint64_t f = first % PACE_MARKS, l = last % PACE_MARKS;
  return 1e9 * (double)(self->marks[l].samples - self->marks[f].samples) /
         (double)(self->marks[l].at_ns - self->marks[f].at_ns);
}

int64_t pace_left_ns(const pace *self)
{
  const uint64_t done = self->marks[(self->mark_count - 1) % PACE_MARKS].samples;
  return (int64_t)(1e9 * (double)(self->samples - done) / pace_per_s(self));
}

double pace_slowdown(const pace *self)
{
  return self->planned_per_s / pace_per_s(self);
}
