/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds and normal numbers beside those of random_profile.h. */
#ifndef QB_SUPPORT_RANDOM_H
#define QB_SUPPORT_RANDOM_H

#include "support/random_profile.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A new seed each run, printed; a run is repeated with QB_TEST_SEED set to it. */
static inline uint64_t random_start(void)
{
  const char *given = getenv("QB_TEST_SEED");
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t seed =
      given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
  fprintf(stderr, "# QB_TEST_SEED=%" PRIu64 "\n", seed);
  seed = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
  for (int i = 0; i < 8; i++)
    random_bits(&seed);
  return seed;
}

/* Standard normal (Box and Muller, 1958). */
static inline double random_normal(uint64_t *seed)
{
  return sqrt(-2 * log(1 - random_unit(seed))) * cos(6.283185307179586 * random_unit(seed));
}

#endif
