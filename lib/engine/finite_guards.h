/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a network's values are looked at so that no NaN and no overflow stays unseen. From one such
 * place to the next the operators' bounds rule both out: a guard that holds proves all that lies
 * before the next one to be finite.
 */
#ifndef QB_ENGINE_FINITE_GUARDS_H
#define QB_ENGINE_FINITE_GUARDS_H

#include "model/magnitude.h"

/* A limit that every value, also a NaN, keeps. */
enum { QB__NO_GUARD = INT32_MAX };

typedef struct qb__finite_guards {
  qb__factor *factors; /* by operator */
  double *bounds;      /* by tensor: absolute values of what keeps all limits */
  int32_t *limits;     /* by tensor: what qb__largest_bits() may be at most */
} qb__finite_guards;

qb_status qb__finite_guards_new(const qb__graph *graph, qb__finite_guards *guards);
void qb__finite_guards_clear(const qb_context *context, qb__finite_guards *guards);

#endif
