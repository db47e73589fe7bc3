/* SPDX-License-Identifier: Apache-2.0 */
/* What plans made from a profile lose against plans made from the whole table. */
#ifndef BENCH_REPLAY_JUDGE_H
#define BENCH_REPLAY_JUDGE_H

#include "replay/table.h"

/* The highest rate held within each target, the least latency at half of it, the least time of a job. */
enum { TARGETS = 7, QUESTIONS = 2 * TARGETS + 1, JOB = QUESTIONS - 1 };

extern const double judge_targets[TARGETS]; /* over the shortest round of one sample */

typedef struct judge judge;

/* All of these end the program with a message where they fail. The table is kept in use. */

judge *judge_new(const table *t);
void judge_free(judge *j);

/* Fills in the share that is lost by each question. */
void judge_profile(judge *j, qb_profile *profile, double regret[QUESTIONS]);

#endif
