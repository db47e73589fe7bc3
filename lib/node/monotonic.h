/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of measurements; the context's clock may be a simulated one. */
#ifndef QB_NODE_MONOTONIC_H
#define QB_NODE_MONOTONIC_H

#include <stdint.h>
#include <time.h>

static inline int64_t qb__monotonic_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#endif
