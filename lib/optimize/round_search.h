/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules for rounds, tried on a path of arrivals with every instance for itself.
 *
 * The decision process takes several instances as one that is free that much more often. What that
 * cannot see is how they get in step: an instance that is late for its turn finds more samples,
 * takes a longer round and is later still, until all become free at about the same time and then
 * none for long. Smaller rounds at even distances prevent that. So each level's rule is compared
 * with plain ones, a largest batch and a longest wait, and the best of them is kept.
 */
#ifndef QB_OPTIMIZE_ROUND_SEARCH_H
#define QB_OPTIMIZE_ROUND_SEARCH_H

#include "optimize/round_policy.h"

/* Improves a solved policy; on failure (QB_ERROR_NO_MEMORY) it stays as solved. */
qb_status qb__round_search(const qb_context *context, const qb__round_model *model,
                           qb__round_policy *policy);

#endif
