/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large the values of a network can get, so that an overflow can be ruled out without looking
 * at them: bounds on absolute values that hold whatever the signs are and in whichever order is
 * added.
 */
#ifndef QB_MODEL_MAGNITUDE_H
#define QB_MODEL_MAGNITUDE_H

#include "model/graph.h"

/* What of an operator's constants its bounds depend on. */
typedef struct qb__factor {
  double gain;   /* the largest sum of the absolute weights of an output */
  double offset; /* the largest absolute bias */
  double least;  /* the smallest absolute value of a second input that is constant */
} qb__factor;

/* One element an operator; qb__free() them. */
qb_status qb__factors_new(const qb__graph *graph, qb__factor **factors);

/* The largest absolute value; infinite or NaN if there is such a one. */
double qb__largest_constant(const qb__tensor *tensor);

typedef struct qb__magnitude {
  double peak;   /* of what the arithmetic meets on its way: no overflow up to QB__LARGEST_SUM */
  double result; /* infinite where infinite constants are handed on */
} qb__magnitude;

/* What rounds to the largest 32-bit float at most. */
#define QB__LARGEST_SUM 0x1.fffffe8p127

/*
 * Bounds of an operator whose inputs are at most bounds[tensor], activations also at most `cap`. An
 * infinite peak: finite inputs can give an infinity or a NaN, however small they are.
 */
qb__magnitude qb__operator_magnitude(const qb__graph *graph, const qb__operator *op,
                                     const qb__factor *factor, const double *bounds, double cap);

/*
 * Whether oneDNN's result may be finite although an input, or what it was rounded to on the way, is
 * not, where the standard's result is not.
 */
bool qb__operator_hides(const qb__operator *op);

#endif
