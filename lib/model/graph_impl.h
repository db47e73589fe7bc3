/* SPDX-License-Identifier: Apache-2.0 */
/* What the building functions of a graph share. */
#ifndef QB_MODEL_GRAPH_IMPL_H
#define QB_MODEL_GRAPH_IMPL_H

#include "model/graph.h"

/* Sets graph->status. @return QB__NONE */
int32_t qb__graph_fail(qb__graph *graph, qb_status status);

/* Fails because tensor `found`, the operator's `what`, has not the shape `expected`. */
int32_t qb__graph_wrong_shape(qb__graph *graph, const char *name, const char *what, int32_t found,
                              const char *expected);

/* An operator with nothing but its kind and input set. */
qb__operator qb__operator_blank(qb__op_kind kind, int32_t x);

/*
 * Puts an operator, of which all but the name is taken over also on failure, behind those there
 * are. @return its output
 */
int32_t qb__graph_append(qb__graph *graph, const char *name, qb__operator op, uint32_t rank,
                         const int64_t *output_dims);

/*
 * The dimensions of what is computed from `a` and `b`, each repeated where it has 1: `dims` may be
 * one of them. False where they differ otherwise.
 */
bool qb__broadcast(uint32_t rank, const int64_t *a, const int64_t *b, int64_t *dims);

#endif
