/* SPDX-License-Identifier: Apache-2.0 */
/* Times rounds of a session with all its instances running, beside a yardstick. */
#ifndef QB_PROFILE_SAMPLER_H
#define QB_PROFILE_SAMPLER_H

#include <qosbatch/session.h>

typedef struct qb__sampler qb__sampler;

/* The most rounds an instance is timed for in one visit. */
enum { QB__MOST_ROUNDS = 32 };

/* What one visit saw. */
typedef struct qb__visit {
  size_t count;      /* rounds of all instances */
  int64_t *round_ns; /* belongs to the sampler, valid until the next visit */
  size_t parts;      /* a round's operators; 1 if they cannot be told apart */
  int64_t *part_ns;  /* by round, then part; a round is the sum of its parts */
  double flops;      /* of the slowest thread, by the yardsticks before and after; 0: not known */
  double most_flops; /* by the fastest of those yardsticks, each of all threads of an instance */
} qb__visit;

/* Takes memory for inputs and outputs of rounds of up to `largest_batch`; keeps the session. */
qb_status qb__sampler_new(qb_session *session, uint32_t largest_batch, qb__sampler **sampler);
void qb__sampler_free(qb__sampler *sampler);

/*
 * Runs `rounds` rounds of a batch size that is ready on every instance at the same time. When the
 * visit before was of another batch size, a round of `warm_up_batch` that is not timed comes first,
 * which must be ready too: after a large batch weights and code are in no cache any more. No
 * instance is idle before all have been timed.
 */
qb_status qb__sampler_visit(qb__sampler *sampler, uint32_t batch, uint32_t rounds,
                            uint32_t warm_up_batch, qb__visit *visit);

#endif
