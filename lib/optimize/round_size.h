/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many samples to run, by the deadline of each. A table of round_policy.h knows the oldest's
 * age and takes the others' for evenly spread below it; with few samples, or a target of few
 * rounds, that is far from the true queue. What the round itself earns is counted here sample by
 * sample, and what it leaves behind is worth what the solution says: one step of policy improvement
 * (R. A. Howard, Dynamic Programming and Markov Processes, 1960).
 */
#ifndef QB_OPTIMIZE_ROUND_SIZE_H
#define QB_OPTIMIZE_ROUND_SIZE_H

#include "optimize/round_policy.h"
#include "optimize/round_queue.h"

typedef struct qb__round_size {
  uint32_t give_up; /* of the most urgent, before the round */
  uint32_t size;    /* > 0 */
} qb__round_size;

/*
 * Whether the size can be found for the samples behind `late` others: all deadlines are known, and
 * the table sees the end of the queue. With none given up, a queue that may be longer has to become
 * shorter.
 */
bool qb__round_can_size(const qb__round_policy *policy, const qb__rate_table *table,
                        const qb__round_problem *problem, const qb__round_queue *queue,
                        uint32_t late);

/* With shedding, the sample behind the `late` others can still be in time alone. */
qb__round_size qb__round_find_size(const qb__round_policy *policy, const qb__rate_table *table,
                                   const qb__round_problem *problem, const qb__round_queue *queue,
                                   uint32_t late);

#endif
