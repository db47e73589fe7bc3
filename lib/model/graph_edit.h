/* SPDX-License-Identifier: Apache-2.0 */
/* Who writes and reads a tensor of a graph, and what rewrites of a graph have in common. */
#ifndef QB_MODEL_GRAPH_EDIT_H
#define QB_MODEL_GRAPH_EDIT_H

#include "model/graph.h"

/* Whether a tensor is among an operator's inputs. */
bool qb__reads(const qb__operator *op, int32_t tensor);

/* How often operators read a tensor; being an output of the graph counts as once more. */
uint32_t qb__readers(const qb__graph *graph, int32_t tensor);

/* Whether callers of the network get a tensor. */
bool qb__is_output(const qb__graph *graph, int32_t tensor);

/* How many operators have a tensor among their constants or inputs. */
uint32_t qb__users(const qb__graph *graph, int32_t tensor);

/* Index of the operator that writes a tensor, or QB__NONE for inputs and constants. */
int32_t qb__producer(const qb__graph *graph, int32_t tensor);

/* The operator that writes a tensor, or NULL. */
const qb__operator *qb__maker(const qb__graph *graph, int32_t tensor);

/* The operator that alone reads a tensor, and once; NULL if it is an output of the graph, too. */
qb__operator *qb__only_reader(const qb__graph *graph, int32_t tensor);

void qb__remove_operator(qb__graph *graph, size_t index);

/* Moves the last operator to before `index`. */
void qb__move_last(qb__graph *graph, size_t index);

/* Lets all that reads a tensor, callers of the network too, read another one. */
void qb__replace_tensor(qb__graph *graph, int32_t tensor, int32_t other);

/* Tries a rewrite on each operator of a kind; it says whether the operator is gone. */
void qb__apply(qb__graph *graph, qb__op_kind kind, bool (*pass)(qb__graph *, size_t));

/* Removes operators that nothing reads. */
void qb__drop_unread(qb__graph *graph);

#endif
