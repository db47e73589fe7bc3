/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The best rule for rounds under a latency target, found before it is needed.
 *
 * A semi-Markov decision process after Y. Xu, J. Sun, S. Zhou and Z. Niu, "SMDP-based dynamic
 * batching for efficient inference on GPU-based platforms" (arXiv 2301.12865), with the age of the
 * oldest sample beside the length of the queue, because what counts here is answers in time. An
 * answer within the target earns 1, less a little for its latency; docs/decision.md has the model
 * in full. It is solved by relative value iteration; lengths beyond the last are one tail state.
 */
#ifndef QB_OPTIMIZE_ROUND_POLICY_H
#define QB_OPTIMIZE_ROUND_POLICY_H

#include <qosbatch/context.h>

#include <stdbool.h>

enum { QB__POLICY_AGES = 24, QB__POLICY_LONGEST = 192 };

typedef struct qb__round_policy {
  uint32_t batch;
  uint32_t lengths;   /* of the queue: 1..lengths, the last standing for all beyond */
  double age_step_ns; /* between the ages 0..QB__POLICY_AGES - 1; 0: not solved */
  double gain_per_s;  /* what it earns: about the answers in time per second */
  uint16_t *run;      /* [length][age]: samples to run now; 0: wait */
  float *value;       /* [length][age]: relative values, where the next solution begins */
} qb__round_policy;

/* What to solve it for. Times are of rounds of 0..batch samples, none falling. */
typedef struct qb__round_model {
  double rate_per_s; /* > 0 */
  uint32_t instances;
  int64_t target_ns;         /* > 0 */
  const int64_t *latency_ns; /* expected */
  const int64_t *safe_ns;    /* counted with for the target */
} qb__round_model;

/* Makes room for rounds of up to `batch`. */
qb_status qb__round_policy_init(const qb_context *context, uint32_t batch,
                                qb__round_policy *policy);
void qb__round_policy_free(const qb_context *context, qb__round_policy *policy);

/* Solves it; on failure (QB_ERROR_NO_MEMORY) the policy is what it was. */
qb_status qb__round_policy_solve(const qb_context *context, const qb__round_model *model,
                                 qb__round_policy *policy);

/* The nearest age that the policy knows. */
static inline uint32_t qb__round_policy_age(const qb__round_policy *policy, int64_t age_ns)
{
  const double at = (double)age_ns / policy->age_step_ns + 0.5;
  return at < QB__POLICY_AGES - 1 ? (uint32_t)at : QB__POLICY_AGES - 1;
}

/* The samples to run of a queue (> 0) whose oldest has one of the known ages; 0: wait. */
static inline uint32_t qb__round_policy_at(const qb__round_policy *policy, uint32_t queued,
                                           uint32_t age)
{
  const uint32_t length = queued < policy->lengths ? queued : policy->lengths;
  return policy->run[length * QB__POLICY_AGES + age];
}

#endif
