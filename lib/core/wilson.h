/* SPDX-License-Identifier: Apache-2.0 */
/* How sure a share of samples is. */
#ifndef QB_CORE_WILSON_H
#define QB_CORE_WILSON_H

#include <math.h>
#include <stdint.h>

/*
 * The 95 % score interval of the share that more samples would give (Wilson, Journal of the American
 * Statistical Association 22(158), 1927): it holds for few samples and for shares near 0 and 1. 0 and 1
 * of no samples.
 */
static inline void qb__wilson_interval(uint64_t agreeing, uint64_t samples, double *low,
                                       double *high)
{
  static const double z = 1.959963984540054;
  const double n = (double)samples, share = samples ? (double)agreeing / n : 0;
  const double centre = samples ? (share + z * z / (2 * n)) / (1 + z * z / n) : 0;
  const double half =
      samples ? z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) : 0;
  *low = agreeing ? centre - half : 0;
  *high = agreeing < samples ? centre + half : 1;
}

#endif
