/* SPDX-License-Identifier: Apache-2.0 */
#include "support/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const uint64_t EACH_TIME_THE_SAME = 20261127;

static uint64_t chosen_seed(void)
{
  const char *given = getenv("QB_TEST_SEED");
  if (!given)
    return EACH_TIME_THE_SAME;
  if (strcmp(given, "any"))
    return strtoull(given, NULL, 10);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t random_start(void)
{
  uint64_t seed = chosen_seed();
  fprintf(stderr, "# QB_TEST_SEED=%" PRIu64 "\n", seed);
  seed = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
  for (int i = 0; i < 8; i++) /* seeds next to each other give sequences that are alike at first */
    random_bits(&seed);
  return seed;
}

int random_cases(int few)
{
  const char *given = getenv("QB_TEST_CASES");
  if (!given)
    return few;
  if (!strchr(given, '%'))
    return atoi(given);
  const int part = few * atoi(given) / 100;
  return part ? part : 1;
}

bool random_kinds_come_up(int few)
{
  return 2 * random_cases(few) >= few;
}

uint64_t random_bits(uint64_t *seed)
{
  *seed ^= *seed >> 12;
  *seed ^= *seed << 25;
  *seed ^= *seed >> 27;
  return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t random_int(uint64_t *seed, uint64_t least, uint64_t most)
{
  return least + random_bits(seed) % (most - least + 1);
}

double random_unit(uint64_t *seed)
{
  return (double)(random_bits(seed) >> 11) / 9007199254740992.0;
}

double random_normal(uint64_t *seed)
{
  return sqrt(-2 * log(1 - random_unit(seed))) * cos(6.283185307179586 * random_unit(seed));
}
