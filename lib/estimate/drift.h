/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows a node whose compute power changes: frequency, quota, neighbours. Fed with measured and
 * predicted times of rounds, it tells noise from a change of regime and keeps the factor of the
 * present one, T = factor * predicted, which is c / c_now; p and its dependence on the batch stay.
 */
#ifndef QB_ESTIMATE_DRIFT_H
#define QB_ESTIMATE_DRIFT_H

#include <stdbool.h>
#include <stdint.h>

enum { QB__DRIFT_RECENT = 5 };

/* One side of the change-point test: what came since it last saw no evidence. */
typedef struct qb__cusum {
  double evidence; /* in standard deviations */
  uint32_t rounds;
} qb__cusum;

/* Flat and of constant size: copied by assignment. Not thread-safe. */
typedef struct qb__drift {
  double level;                    /* mean of log(measured / predicted) in this regime */
  double weight;                   /* rounds that the mean stands for */
  double noise;                    /* standard deviation of a round around it */
  double recent[QB__DRIFT_RECENT]; /* the last logarithms: round i's at i % QB__DRIFT_RECENT */
  uint64_t rounds;                 /* observed */
  uint32_t regimes;                /* changes seen */
  qb__cusum up, down;
} qb__drift;

/*
 * A node that is as it was profiled. `noise` is the standard deviation expected of
 * log(measured / predicted); 0: 5 %. It adapts to what is observed.
 */
void qb__drift_init(qb__drift *drift, double noise);

/*
 * Takes one round; times must be positive, others are ignored. Returns true when the round brought
 * certainty that another regime has begun: the factor is then that of the last rounds, 5 at most.
 */
bool qb__drift_add(qb__drift *drift, double measured_ns, double predicted_ns);

/* Measured over predicted in the present regime, about 1 on a node as it was profiled. */
double qb__drift_factor(const qb__drift *drift);

#endif
