/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers for property tests; a run is repeated with QB_TEST_SEED set to the seed it
 * printed.
 */
#ifndef QB_SUPPORT_RANDOM_H
#define QB_SUPPORT_RANDOM_H

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct test_random {
  uint64_t state;
} test_random;

/*
 * Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8(14), 2003, with a multiplication.
 */
static inline uint64_t random_bits(test_random *random)
{
  random->state ^= random->state >> 12;
  random->state ^= random->state << 25;
  random->state ^= random->state >> 27;
  return random->state * UINT64_C(0x2545f4914f6cdd1d);
}

/* A seed of its own for each run, printed. */
static inline test_random random_start(void)
{
  const char *given = getenv("QB_TEST_SEED");
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const uint64_t seed =
      given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_sec * 1000003 + (uint64_t)now.tv_nsec;
  fprintf(stderr, "# QB_TEST_SEED=%" PRIu64 "\n", seed);
  test_random random = {(seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1};
  for (int i = 0; i < 8; i++)
    random_bits(&random);
  return random;
}

/* An integer in least..most. */
static inline int64_t random_int(test_random *random, int64_t least, int64_t most)
{
  return least + (int64_t)(random_bits(random) % (uint64_t)(most - least + 1));
}

/* In [0, 1). */
static inline double random_unit(test_random *random)
{
  return (double)(random_bits(random) >> 11) * 0x1p-53;
}

/* Standard normal (Box and Muller, 1958). */
static inline double random_normal(test_random *random)
{
  return sqrt(-2 * log(1 - random_unit(random))) * cos(6.283185307179586 * random_unit(random));
}

#endif
