/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles that were measured in several precisions. */
#ifndef QB_TESTS_PRECISE_PROFILE_H
#define QB_TESTS_PRECISE_PROFILE_H

#include "support/random.h"

#include <qosbatch/accuracy.h>

/*
 * A random profile in 32-bit floats, and *all: the same with bfloat16 and 8-bit points beside, each
 * 0.2 to 1.2 times as long, and with accuracies of both, on a node with VNNI and BF16.
 */
qb_profile *precise_profile(qb_context *context, uint64_t *seed, uint32_t max_batch,
                            qb_profile **all);

#endif
