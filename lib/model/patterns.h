/* SPDX-License-Identifier: Apache-2.0 */
/* Finds what is one operator of ours but several of a file's. */
#ifndef QB_MODEL_PATTERNS_H
#define QB_MODEL_PATTERNS_H

#include "model/graph.h"

/*
 * Activations and layer norms (patterns.c). The operators that they replace stay where something
 * else reads their results.
 */
void qb__recognise(qb__graph *graph);

/* Shuffled channels, transpositions of transpositions, means of whole images (patterns_move.c). */
void qb__recognise_moves(qb__graph *graph);

#endif
