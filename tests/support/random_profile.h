/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles as machines might give them: flat, U-shaped, with cliffs, of several configurations. */
#ifndef QB_TESTS_RANDOM_PROFILE_H
#define QB_TESTS_RANDOM_PROFILE_H

#include "support/random.h"

#include <qosbatch/profile.h>

/* A profile of 1..3 configurations measured at some of 1..max_batch, on a node with a price. */
qb_profile *random_profile(qb_context *context, uint64_t *seed, uint32_t max_batch);

#endif
