/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The best rule for rounds under a latency target, found before it is needed.
 *
 * A semi-Markov decision process after Y. Xu, J. Sun, S. Zhou and Z. Niu, "SMDP-based dynamic
 * batching for efficient inference on GPU-based platforms" (arXiv 2301.12865), with the age of the
 * oldest sample beside the length of the queue, because what counts here is answers in time. An
 * answer within the target earns 1, less a little for its latency; docs/decision.md has the model
 * in full. It is solved by relative value iteration, with one tail state for all lengths beyond the
 * last, at five rates: as the rate moves, a decision only looks into another table.
 */
#ifndef QB_OPTIMIZE_ROUND_POLICY_H
#define QB_OPTIMIZE_ROUND_POLICY_H

#include "optimize/round_problem.h"

#include <qosbatch/context.h>

enum { QB__POLICY_AGES = 24, QB__POLICY_LONGEST = 160, QB__POLICY_RATES = 5 };
/* Run all that can be in time, giving up the others. */
enum { QB__POLICY_ALL = UINT16_MAX };
enum { QB__POLICY_STATES = (QB__POLICY_LONGEST + 1) * QB__POLICY_AGES };
/* Sizes of rounds that leave others behind: size_ladder.h */
enum { QB__POLICY_PER_OCTAVE = 2, QB__POLICY_SIZES = QB__POLICY_PER_OCTAVE * 16 + 1 };

/* The solution for one rate; arrays are [length][age]. */
typedef struct qb__rate_table {
  double rate_per_s;
  double gain_per_s;               /* what it earns: about the answers in time per second */
  uint16_t run[QB__POLICY_STATES]; /* samples to run now; 0: wait; or QB__POLICY_ALL */
  float value[QB__POLICY_STATES];  /* relative values, where the next solution begins */
  bool exact_ages;                 /* the sizes of round_size.h are better than those of `run` */
  float *value_left;  /* [size][samples left][their oldest's age when the round starts] */
  float *value_empty; /* [samples in the round]: value of having left none behind */
} qb__rate_table;

typedef struct qb__round_policy {
  uint32_t batch;
  uint32_t most; /* samples in a round: larger ones are not worth it */
  uint32_t size_count;
  uint32_t sizes[QB__POLICY_SIZES];
  uint32_t lengths;      /* of the queue: 1..lengths, the last standing for all beyond */
  double age_step_ns;    /* between the ages 0..QB__POLICY_AGES - 1; 0: not solved */
  qb__rate_table *table; /* QB__POLICY_RATES by rising rate */
  float *values;         /* what their pointers point into */
} qb__round_policy;

/* Makes room for rounds of up to `batch`. */
qb_status qb__round_policy_init(const qb_context *context, uint32_t batch,
                                qb__round_policy *policy);
void qb__round_policy_free(const qb_context *context, qb__round_policy *policy);

/* A solution begins where another one ended, of rounds of as many samples. */
void qb__round_policy_begin_at(const qb__round_policy *solved, qb__round_policy *policy);

/* Solves it; on failure (QB_ERROR_NO_MEMORY) the policy is what it was. */
qb_status qb__round_policy_solve(const qb_context *context, const qb__round_problem *problem,
                                 qb__round_policy *policy);

/* The table for a rate: the nearest by ratio. */
static inline const qb__rate_table *qb__round_policy_table(const qb__round_policy *policy,
                                                           double rate_per_s)
{
  const qb__rate_table *table = policy->table;
  int i = 0;
  while (i + 1 < QB__POLICY_RATES &&
         rate_per_s * rate_per_s > table[i].rate_per_s * table[i + 1].rate_per_s)
    i++;
  return &table[i];
}

/* The nearest age that the policy knows. */
static inline uint32_t qb__round_policy_age(const qb__round_policy *policy, int64_t age_ns)
{
  const double at = (double)age_ns / policy->age_step_ns + 0.5;
  return at < QB__POLICY_AGES - 1 ? (uint32_t)at : QB__POLICY_AGES - 1;
}

/* Tabulated size of the round for a queue that is not empty. */
static inline uint32_t qb__round_policy_at(const qb__round_policy *policy,
                                           const qb__rate_table *table, uint32_t queued,
                                           uint32_t age)
{
  const uint32_t length = queued < policy->lengths ? queued : policy->lengths;
  return table->run[length * QB__POLICY_AGES + age];
}

#endif
