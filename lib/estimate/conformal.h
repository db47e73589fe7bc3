/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intervals that hold what they promise while rounds run: adaptive conformal inference (Gibbs and
 * Candès, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS 2021). An interval is the
 * predicted one, widened or narrowed by a factor that is a quantile of how far recent rounds were
 * from their predictions. Which quantile follows from how many were outside: of any 200 rounds
 * about 5 % are, whatever the prediction was worth.
 */
#ifndef QB_ESTIMATE_CONFORMAL_H
#define QB_ESTIMATE_CONFORMAL_H

#include <stdbool.h>
#include <stdint.h>

enum { QB__CONFORMAL_ROUNDS = 200 };

/* Flat and of constant size. Not thread-safe. */
typedef struct qb__conformal {
  double width;                         /* of intervals, over that of the predicted ones */
  double miss;                          /* share of scores that are to be beyond it */
  double scores[QB__CONFORMAL_ROUNDS];  /* the last ones, a ring */
  double sorted[QB__CONFORMAL_ROUNDS];  /* the same, ascending */
  uint32_t first, count;                /* of the ring */
  bool is_inside[QB__CONFORMAL_ROUNDS]; /* round i's at i % QB__CONFORMAL_ROUNDS */
  uint32_t recent_inside;               /* how many of these are */
  uint64_t rounds, inside;              /* of all */
} qb__conformal;

/* Predicted intervals are taken to hold 95 % of normal errors until rounds say otherwise. */
void qb__conformal_init(qb__conformal *conformal);

/*
 * Takes a round. `score` >= 0 is how far it was from its prediction, over the half-width that was
 * predicted for the side it lies on: it was inside if that is at most `width`.
 */
void qb__conformal_add(qb__conformal *conformal, double score);

/*
 * Takes the scores of the last rounds back, some of the oldest ones always excepted: they were of
 * predictions that are now known to be wrong for another reason. Those outside stay counted.
 */
void qb__conformal_forget(qb__conformal *conformal, uint32_t rounds);

/* The share of the last QB__CONFORMAL_ROUNDS rounds, or of all so far, that were inside; 0: none. */
double qb__conformal_coverage(const qb__conformal *conformal);

#endif
