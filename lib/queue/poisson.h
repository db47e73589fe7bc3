/* SPDX-License-Identifier: Apache-2.0 */
/* Probabilities of the number of Poisson arrivals in some time, cut off where they vanish. */
#ifndef QB_QUEUE_POISSON_H
#define QB_QUEUE_POISSON_H

#include <math.h>
#include <stdint.h>

enum { QB__POISSON_MOST = 320 };

/* probability[k] is that of first + k arrivals. */
typedef struct qb__poisson {
  uint32_t first;
  uint32_t count;
  float probability[QB__POISSON_MOST];
} qb__poisson;

/* Means beyond half the room are as good as that half. */
static inline void qb__poisson_fill(double mean, qb__poisson *p)
{
  static const double cut = 1e-5;
  mean = fmin(fmax(mean, 1e-12), QB__POISSON_MOST / 2);
  const double reach = 4.5 * sqrt(mean) + 3;
  p->first = mean > reach ? (uint32_t)(mean - reach) : 0;
  p->count = 0;
  int sign; /* lgamma() would write it to a global that other threads share */
  double sum = 0, term = exp(p->first * log(mean) - mean - lgamma_r(p->first + 1.0, &sign));
  while (p->first + p->count < mean || term > cut) {
    p->probability[p->count++] = (float)term;
    sum += term;
    term *= mean / (p->first + p->count);
  }
  for (uint32_t k = 0; k < p->count; k++)
    p->probability[k] = (float)(p->probability[k] / sum);
}

#endif
