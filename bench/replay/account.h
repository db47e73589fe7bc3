/* SPDX-License-Identifier: Apache-2.0 */
/* Why a plan lost: what was seen of the choice that was made, and of the best one. */
#ifndef BENCH_REPLAY_ACCOUNT_H
#define BENCH_REPLAY_ACCOUNT_H

#include "replay/judge.h"

/* What a profile has of a choice, or of the batch sizes around it. */
typedef struct evidence {
  bool between;      /* two batch sizes */
  uint32_t visits;   /* the fewest; 0: the split was not measured, or not so far */
  double half_width; /* of the widest 95 % interval, as a share */
  double value;      /* as a choice's */
} evidence;

typedef struct account {
  ruling ruling;
  evidence chosen, best; /* filled in if much was lost */
} account;

void account_for(judge *j, qb_profile *profile, account accounts[QUESTIONS]);

/* Prints those that lost much, and why. `floors`: what is lost although every point was measured. */
void account_print(const account accounts[QUESTIONS], const double floors[QUESTIONS]);

#endif
