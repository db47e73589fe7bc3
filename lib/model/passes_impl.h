/* SPDX-License-Identifier: Apache-2.0 */
/* What the rewrites of a graph share: passes.c and patterns.c. */
#ifndef QB_MODEL_PASSES_IMPL_H
#define QB_MODEL_PASSES_IMPL_H

#include "model/graph.h"

/* How often operators read a tensor; being an output of the graph counts as once more. */
uint32_t qb__readers(const qb__graph *graph, int32_t tensor);

/* Index of the operator that writes a tensor, or QB__NONE for inputs and constants. */
int32_t qb__producer(const qb__graph *graph, int32_t tensor);

/* The operator that writes a tensor, or NULL. */
const qb__operator *qb__maker(const qb__graph *graph, int32_t tensor);

void qb__remove_operator(qb__graph *graph, size_t index);

/* Tries a rewrite on each operator of a kind; it says whether the operator is gone. */
void qb__apply(qb__graph *graph, qb__op_kind kind, bool (*pass)(qb__graph *, size_t));

/* Removes operators that nothing reads. */
void qb__drop_unread(qb__graph *graph);

/*
 * Finds what is one operator of ours but several of a file's: activations and layer norms (patterns.c).
 * What they were made of stays where something else reads it.
 */
void qb__recognise(qb__graph *graph);

/* The same of shuffled channels, transpositions of transpositions, means of whole images. */
void qb__recognise_moves(qb__graph *graph);

#endif
