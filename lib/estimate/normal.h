/* SPDX-License-Identifier: Apache-2.0 */
/* Quantiles of the standard normal distribution. */
#ifndef QB_ESTIMATE_NORMAL_H
#define QB_ESTIMATE_NORMAL_H

#include <math.h>

/* Exceeded with a probability of 5 %, and of 2.5 %: the ends of a 95 % interval lie there. */
#define QB__NORMAL_P95   1.6448536269514722
#define QB__NORMAL_P97_5 1.9599639845400545

/* The value exceeded with probability `tail` <= 0.5: Newton's method on log(tail). */
static inline double qb__normal_quantile(double tail)
{
  double z = sqrt(-2 * log(tail));
  for (int i = 0; i < 8; i++) {
    const double q = 0.5 * erfc(z * M_SQRT1_2);
    const double density = exp(-0.5 * z * z) * 0.3989422804014327;
    z += (log(q) - log(tail)) * q / density;
  }
  return z;
}

#endif
