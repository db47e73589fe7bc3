/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles as machines might give them: flat, U-shaped, with cliffs, of several configurations. */
#ifndef QB_TESTS_RANDOM_PROFILE_H
#define QB_TESTS_RANDOM_PROFILE_H

#include <qosbatch/profile.h>

/* The next of a sequence (xorshift64*); *seed is not 0. */
uint64_t random_bits(uint64_t *seed);

/* Uniform in [least, most]. */
uint64_t random_int(uint64_t *seed, uint64_t least, uint64_t most);

/* Uniform in [0, 1). */
double random_unit(uint64_t *seed);

/* A profile of 1..3 configurations measured at some of 1..max_batch, on a node with a price. */
qb_profile *random_profile(qb_context *context, uint64_t *seed, uint32_t max_batch);

#endif
