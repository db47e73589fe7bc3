/* SPDX-License-Identifier: Apache-2.0 */
/* What plans made from a profile lose against plans made from the whole table. */
#ifndef BENCH_REPLAY_JUDGE_H
#define BENCH_REPLAY_JUDGE_H

#include "replay/table.h"

/* The highest rate held within each target, the least latency at half of it, the least time of a job. */
enum { TARGETS = 7, QUESTIONS = 2 * TARGETS + 1, JOB = QUESTIONS - 1 };

extern const double judge_targets[TARGETS]; /* over the shortest round of one sample */

/* A plan: how to run, and what that is said to be worth. */
typedef struct choice {
  bool made; /* false: no way to run is good enough */
  qb_configuration split;
  uint32_t batch;
  double value; /* samples per second, or answers or jobs per second; more is better */
} choice;

typedef struct ruling {
  choice chosen, best; /* from the profile, and from the whole table */
  double real;         /* what the chosen one is worth by the table */
  double regret;       /* the share that is lost */
} ruling;

typedef struct judge judge;

/* All of these end the program with a message where they fail. The table is kept in use. */

judge *judge_new(const table *t);
void judge_free(judge *j);

void judge_profile(judge *j, qb_profile *profile, ruling rulings[QUESTIONS]);

/* What a choice is worth by a profile; 0: it is not good enough. */
double judge_by(const judge *j, qb_profile *profile, size_t question, const choice *c);

#endif
