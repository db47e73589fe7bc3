/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a job goes, against what was planned: when it will end and whether the plan was right.
 */
#ifndef TOOL_PACE_H
#define TOOL_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum { PACE_MARKS = 64 };

typedef struct pace {
  uint64_t samples;       /* to be done */
  double planned_per_s;   /* samples */
  uint32_t fewest_rounds; /* before the pace counts */
  struct {
    int64_t at_ns;
    uint64_t samples, rounds;
  } marks[PACE_MARKS]; /* the latest, in a ring */
  uint64_t mark_count;
  uint64_t first_round; /* marks before that many rounds are forgotten */
} pace;

/* `instances` rounds run at the same time. */
void pace_begin(pace *self, uint64_t samples, double planned_per_s, uint32_t instances);

/* What is done so far. The pace is that of the last seconds. */
void pace_note(pace *self, int64_t at_ns, uint64_t samples, uint64_t rounds);

/* Rounds will be others from now on, but for those that are under way or read already. */
void pace_restart(pace *self);

/* Was enough seen to judge by? */
bool pace_is_known(const pace *self);

/* Samples per second: as planned until enough was seen. */
double pace_per_s(const pace *self);

/* From the last note on. */
int64_t pace_left_ns(const pace *self);

/* How many times as long as planned a sample takes; 1 until enough was seen. */
double pace_slowdown(const pace *self);

#endif
