/* SPDX-License-Identifier: Apache-2.0 */
/* A service, event by event: samples arrive, a policy decides, rounds end. */
#ifndef QB_SIMULATE_SIMULATION_H
#define QB_SIMULATE_SIMULATION_H

#include "queue/arrivals.h"
#include "simulate/policy.h"

#include <qosbatch/context.h>

typedef struct qb__service {
  qb__arrival_law arrivals;
  uint32_t instances;
  uint32_t batch;            /* the largest that any round may have */
  const int64_t *latency_ns; /* median of rounds of 0..batch samples */
  const double *spread;      /* standard deviation of their logarithm; NULL: none */
  uint64_t queue_most;       /* 0: no bound */
  int64_t target_ns;         /* latency promised */
  int64_t expire_ns;         /* older samples are refused before a decision; 0: none are */
  double percentile;
  uint64_t samples;
  uint64_t seed;
} qb__service;

/* Of the samples after the warm-up. */
typedef struct qb__outcome {
  uint64_t arrived, answered, within, events;
  uint64_t rounds, run; /* while samples arrived, and the samples in them */
  double span_ns;       /* in which they arrived */
  double busy_ns;       /* of all instances together, in that time */
  double mean_ns;
  int64_t p50_ns, p95_ns, p99_ns, latency_ns;
} qb__outcome;

/* Fails with QB_ERROR_NO_MEMORY only. */
qb_status qb__simulation_run(const qb_context *context, const qb__service *service,
                             qb__policy *policy, qb__outcome *outcome);

#endif
