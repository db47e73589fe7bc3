/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of other servers, as they document them. What a poll or a thread of theirs would add
 * to a delay is left out, in their favour.
 */
#ifndef QB_SIMULATE_RIVALS_H
#define QB_SIMULATE_RIVALS_H

#include "simulate/policy.h"

/* Settings; each rule uses some. */
typedef struct qb__rival_settings {
  uint32_t batch;      /* the largest */
  int64_t max_wait_ns; /* timeout, queue delay, batch delay */
  int64_t target_ns;   /* the latency that the server is told to keep */
  int64_t timeout_ns;  /* Triton: refuses what waited longer; 0: never */
  bool preferred;      /* Triton: powers of two are preferred sizes */
  uint64_t queue_most; /* TensorFlow Serving: 0: no bound */
  int64_t expire_ns;   /* a front end before the server refuses older ones; 0: none does */
} qb__rival_settings;

/* Runs one sample (batch 1), or what waits once `batch` do or the oldest has waited max_wait_ns. */
typedef struct qb__batch_and_wait {
  qb__policy policy;
  qb__rival_settings settings;
} qb__batch_and_wait;

void qb__batch_and_wait_init(qb__batch_and_wait *self, const qb__rival_settings *settings);

/* Triton Inference Server: https://docs.nvidia.com/deeplearning/triton-inference-server, batchers.
 */
void qb__triton_init(qb__batch_and_wait *self, const qb__rival_settings *settings);

enum { QB__BENTOML_KEPT = 50, QB__CLIPPER_KEPT = 100 };

/*
 * BentoML's dispatcher (src/bentoml/_internal/marshal/dispatcher.py of version 1): it fits
 * duration = a n + b and the mean wait to its last 50 rounds, at most every 5 s.
 */
typedef struct qb__bentoml {
  qb__policy policy;
  qb__rival_settings settings;
  double a_ns, b_ns, wait_ns;
  int64_t refreshed_ns;
  double pending_wait_ns[64]; /* of rounds under way, in the order they started */
  uint32_t pending_first, pending_count;
  uint32_t kept, at; /* rounds */
  double batch[QB__BENTOML_KEPT], duration_ns[QB__BENTOML_KEPT], waited_ns[QB__BENTOML_KEPT];
} qb__bentoml;

/* `trained_ns`: durations of the rounds of 1, 2 and 3 that it begins with. */
void qb__bentoml_init(qb__bentoml *self, const qb__rival_settings *settings,
                      const int64_t *trained_ns);

/*
 * Clipper (D. Crankshaw et al., "Clipper: a low-latency online prediction serving system", NSDI
 * 2017, section 4.3): a batch size that grows by one while rounds keep the latency objective and
 * shrinks by 10 % when one does not; or, in its code, mean throughput times the time left to the
 * earliest deadline. Samples past their deadline are given up.
 */
typedef struct qb__clipper {
  qb__policy policy;
  qb__rival_settings settings;
  double batch;
  uint32_t kept, at; /* rounds */
  double throughput_sum;
  double throughput[QB__CLIPPER_KEPT]; /* samples per nanosecond */
} qb__clipper;

void qb__clipper_aimd_init(qb__clipper *self, const qb__rival_settings *settings);
void qb__clipper_deadline_init(qb__clipper *self, const qb__rival_settings *settings);

#endif
