/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many samples to run, by their true ages. A table of round_policy.h knows the oldest's and takes the
 * others for spread evenly below it; with few samples, or a target of few rounds, that is far from what
 * waits. What the round itself earns is counted here sample by sample, and what is left behind is worth
 * what the solution says: one step of policy improvement (R. A. Howard, Dynamic Programming and Markov
 * Processes, 1960).
 */
#ifndef QB_OPTIMIZE_ROUND_CHOICE_H
#define QB_OPTIMIZE_ROUND_CHOICE_H

#include "optimize/round_policy.h"

typedef struct qb__round_choice {
  uint32_t give_up; /* of the most urgent, before the round */
  uint32_t size;    /* > 0 */
} qb__round_choice;

/* Whether the policy sees so far: with none given up, a queue that may be longer has to become shorter. */
bool qb__round_can_choose(const qb__round_policy *policy, const qb__round_level *level,
                          const qb__round_model *model, const int64_t *left_ns, uint32_t count);

/*
 * `left_ns`: what all `count` (> 0) samples that wait have left, rising; they are at most as many as the
 * policy has lengths. With shedding the first one can still be in time alone.
 */
qb__round_choice qb__round_choose(const qb__round_policy *policy, const qb__round_level *level,
                                  const qb__round_model *model, const int64_t *left_ns,
                                  uint32_t count);

#endif
