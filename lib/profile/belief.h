/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of the times of rounds at all points together: a Gaussian field, and draws from it.
 */
#ifndef QB_PROFILE_BELIEF_H
#define QB_PROFILE_BELIEF_H

#include <qosbatch/context.h>

#include <stddef.h>

/* As many ways in which the times might be. */
enum { QB__DRAWS = 64 };

/*
 * Standard normal, the same whenever it is asked for. Streams up to 2 * QB__DRAWS are the beliefs'.
 */
double qb__belief_normal(uint64_t stream, uint64_t index);

/* Where a point is: what alike points have in common is the more the nearer they are. */
typedef struct qb__place {
  uint32_t split; /* which configuration it belongs to */
  double threads; /* log2 of an instance's threads, */
  double all;     /* of the threads of all instances, */
  double batch;   /* and of the batch size */
} qb__place;

/* Of logarithms of times over what they are expected to be beforehand. */
typedef struct qb__belief {
  const qb_context *context;
  size_t count;
  double *prior;       /* covariance before anything was seen, count x count */
  double *prior_draws; /* QB__DRAWS x count */
  double *covariance;  /* by now */
  double *draws;
  double *mean;
} qb__belief;

qb_status qb__belief_init(qb__belief *belief, const qb_context *context, const qb__place *places,
                          size_t count);
void qb__belief_clear(qb__belief *belief);

/* Forgets what was seen. */
void qb__belief_reset(qb__belief *belief);

/*
 * Takes a measurement with a standard error above 0 (Rasmussen and Williams, Gaussian Processes for
 * Machine Learning, 2006, section 2.2). Draws follow as Matheron's rule says (Wilson et al.,
 * "Efficiently Sampling Functions from Gaussian Process Posteriors", ICML 2020); the same
 * measurements in the same order give the same draws.
 */
void qb__belief_observe(qb__belief *belief, size_t point, double value, double error);

/* The standard deviation of a point. */
double qb__belief_error(const qb__belief *belief, size_t point);

/*
 * The share of the variance at `other` that a measurement at `point` with this error would take
 * away.
 */
double qb__belief_learnt(const qb__belief *belief, size_t point, double error, size_t other);

#endif
