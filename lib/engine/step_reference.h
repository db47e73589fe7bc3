/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a step of a plan has to compute, by plain loops over what its inputs hold: at single
 * positions, in whichever layouts they lie.
 */
#ifndef QB_ENGINE_STEP_REFERENCE_H
#define QB_ENGINE_STEP_REFERENCE_H

#include "engine/elements.h"

typedef struct qb__step_values {
  const qb__graph *graph;
  const qb__operator *op;                           /* one of oneDNN's; NULL: a change of layout */
  qb__elements source, addend, second, destination; /* dims.count 0: there is no such argument */
  bool adds_destination; /* an addend is fused: the destination has it beforehand */
} qb__step_values;

/* Between which bounds a result is right, rounding errors of any order of sums included. */
typedef struct qb__bounds {
  double low, high;
} qb__bounds;

/* Whether the plain loops know this operator on these dimensions. */
bool qb__step_is_known(const qb__step_values *values);

/* Before the step runs; infinite bounds where any result is right. */
qb__bounds qb__step_bounds(const qb__step_values *values, const int64_t *at);

#endif
