/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules for rounds, tried on a path of arrivals with every instance for itself.
 *
 * The decision process takes several instances as one that is free that much more often. What that
 * cannot see is how they get in step: an instance that is late for its turn finds more samples,
 * takes a longer round and is later still, until all become free at about the same time and then
 * none for long. Smaller rounds at even distances prevent that. So each rate's table is compared
 * with plain rules, a largest batch and a longest wait, and the best of them is kept. All are tried
 * by the decision itself (round_decide.h).
 */
#ifndef QB_OPTIMIZE_ROUND_SEARCH_H
#define QB_OPTIMIZE_ROUND_SEARCH_H

#include "optimize/round_tables.h"

/* Improves the solved policy of `tables`; on failure (QB_ERROR_NO_MEMORY) it stays as solved. */
qb_status qb__round_search(const qb_context *context, qb__round_tables *tables);

#endif
