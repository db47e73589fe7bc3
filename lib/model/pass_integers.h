/* SPDX-License-Identifier: Apache-2.0 */
/* Makes two layers of a layer of integers whose sums 32-bit floats do not hold, where that helps. */
#ifndef QB_MODEL_PASS_INTEGERS_H
#define QB_MODEL_PASS_INTEGERS_H

#include "model/graph.h"

/* For qb__apply(). */
bool qb__split_integers(qb__graph *graph, size_t index);

#endif
