/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers for tests, and where they begin. */
#ifndef QB_SUPPORT_RANDOM_H
#define QB_SUPPORT_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Where a test's numbers begin, printed: the same each run, so that no run fails by the draw alone.
 * QB_TEST_SEED names another place, or "any": a new one each run, as the slow suite asks for.
 */
uint64_t random_start(void);

/*
 * How many random cases a test tries: `few`, or QB_TEST_CASES, which is a number or a part of `few`
 * ("25%").
 */
int random_cases(int few);

/* Whether random_cases(few) is half of `few` at least, so that each kind of case has to come up. */
bool random_kinds_come_up(int few);

/* The next of a sequence (xorshift64*); *seed is not 0. */
uint64_t random_bits(uint64_t *seed);

/* Uniform in [least, most]. */
uint64_t random_int(uint64_t *seed, uint64_t least, uint64_t most);

/* Uniform in [0, 1). */
double random_unit(uint64_t *seed);

/* Standard normal (Box and Muller, 1958). */
double random_normal(uint64_t *seed);

#endif
