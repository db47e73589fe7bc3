/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of integers in floats. */
#ifndef QB_MODEL_PASS_INTEGERS_H
#define QB_MODEL_PASS_INTEGERS_H

#include "model/graph.h"

/* Makes two layers of each layer of integers whose sums 32-bit floats do not hold, where that helps. */
void qb__split_integers(qb__graph *graph);

#endif
