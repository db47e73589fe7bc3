/* SPDX-License-Identifier: Apache-2.0 */
/* Policies by name, with default settings or the best of those their manuals name. */
#ifndef QB_SIMULATE_CONTEST_H
#define QB_SIMULATE_CONTEST_H

#include "simulate/simulation.h"

#include <qosbatch/simulate.h>

typedef struct qb__contest {
  qb_profile *profile;
  qb_configuration configuration;
  qb_qos qos;
  qb__service service;
} qb__contest;

/* In the order of qb_policy_name(). */
typedef enum qb__policy_kind {
  QB__POLICY_QOSBATCH,           /* qb_optimize() */
  QB__POLICY_EXHAUSTIVE,         /* largest batch and longest wait, the best of all of them */
  QB__POLICY_NO_BATCHING,        /* one sample a round */
  QB__POLICY_FIXED_BATCH,        /* always the same batch, however long it takes to fill */
  QB__POLICY_TENSORFLOW_SERVING, /* largest batch and timeout */
  QB__POLICY_TRITON,             /* preferred batch sizes and a delay */
  QB__POLICY_BENTOML,            /* dispatcher with regression online */
  QB__POLICY_CLIPPER_AIMD,       /* batch grows by addition and shrinks by a factor */
  QB__POLICY_CLIPPER_DEADLINE    /* throughput times what is left until the deadline */
} qb__policy_kind;

/* What a policy made of it, and the settings it did that with. */
typedef struct qb__result {
  qb__outcome outcome;
  uint32_t batch;
  int64_t max_wait_ns;
} qb__result;

qb_status qb__contest_run(const qb__contest *contest, qb__policy_kind policy, bool tuned,
                          qb__result *result);

#endif
