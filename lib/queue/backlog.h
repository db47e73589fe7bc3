/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of a path of bursty arrivals comes at which backlog, by theory.
 *
 * Were samples a fluid that is drained at the capacity, bursts beyond it would leave a backlog x of
 * known distribution (D. Anick, D. Mitra and M. M. Sondhi, "Stochastic theory of a data-handling
 * system with multiple sources", Bell Syst. Tech. J. 61, 1982; two phases): it grows with r in a
 * burst and falls with f between bursts, and with the rates of leaving both
 *
 * P(in a burst, backlog > x)      = P(in a burst) exp(-d x)        d = leave[1] / r - leave[0] / f
 * P(between bursts, backlog > x)  = P(in a burst) exp(-d x) r / f
 *
 * A path's tail is mostly as good as its few longest backlogs happen to be. Its samples are
 * therefore sorted into strata by the backlog that they find, and each stratum is given the share
 * that it has by theory (post-stratification: W. G. Cochran, "Sampling Techniques", 1977, 5A.9).
 * The backlog depends on the arrivals alone, so that this is right for any queue, and the more the
 * queue is like the fluid the less chance is left.
 */
#ifndef QB_QUEUE_BACKLOG_H
#define QB_QUEUE_BACKLOG_H

#include "queue/arrivals.h"

/* No backlog, and half octaves of exp(-d x). */
enum { QB__BACKLOG_STRATA = 21 };

typedef struct qb__backlog {
  uint32_t strata;     /* 1: bursts are not beyond the capacity, and leave none */
  double steps_per_ns; /* strata by backlog */
  double over;         /* share of the samples that find any */
} qb__backlog;

/* Has arrivals that were just started follow their backlog. */
qb__backlog qb__backlog_follow(qb__arrivals *arrivals, double capacity_per_s);

/* The stratum of the last arrival. */
static inline uint32_t qb__backlog_stratum(const qb__backlog *backlog, const qb__arrivals *arrivals)
{
  if (arrivals->backlog_ns <= 0)
    return 0;
  const double stratum = 1 + backlog->steps_per_ns * arrivals->backlog_ns;
  const uint32_t last = backlog->strata - 1;
  return stratum < last ? (uint32_t)stratum : last;
}

/*
 * Weights of the samples of each stratum, from how many arrived in each. Strata that few came to
 * are one with the next less deep one.
 */
void qb__backlog_weights(const qb__backlog *backlog, const uint64_t *arrived, double *weights);

#endif
