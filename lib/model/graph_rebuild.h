/* SPDX-License-Identifier: Apache-2.0 */
/* One graph built from another, operator by operator, with constants of its own. */
#ifndef QB_MODEL_GRAPH_REBUILD_H
#define QB_MODEL_GRAPH_REBUILD_H

#include "model/graph.h"

typedef struct qb__rebuild {
  const qb__graph *from;
  qb__graph *to;
  int32_t *map; /* by tensor of `from`: what it is in `to`, or QB__NONE; owned */
} qb__rebuild;

/* Makes `to`, and in it the inputs of `from`. Failures are in to->status. */
void qb__rebuild_begin(qb__rebuild *r, const qb__graph *from, qb__graph *to);
void qb__rebuild_end(qb__rebuild *r);

/* What a tensor is in the new graph: a constant is copied when it is first asked for. */
int32_t qb__rebuild_tensor(qb__rebuild *r, int32_t tensor);

/* A copy of an operator behind those there are, which reads what the map says. @return its output */
int32_t qb__rebuild_operator(qb__rebuild *r, const qb__operator *op);

#endif
