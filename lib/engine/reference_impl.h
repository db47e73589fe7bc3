/* SPDX-License-Identifier: Apache-2.0 */
/* The plain loops of each operator, for one sample. */
#ifndef QB_ENGINE_REFERENCE_IMPL_H
#define QB_ENGINE_REFERENCE_IMPL_H

#include "engine/reference.h"
#include "engine/reference_element.h"

/* One operator, what is fused behind it included (reference.c). */
qb_status qb__reference_operator(const qb__graph *g, const qb__operator *op,
                                 const qb__reference_inputs *in, float *y);

/* The activation of an operator, or x if it has none (reference_elementwise.c). */
double qb__reference_activate(const qb__operator *op, double x);

/* Quantize and dequantize. */
void qb__reference_convert(const qb__graph *g, const qb__operator *op, const float *x, float *y);

/* Binary operators and select. */
void qb__reference_combine(const qb__graph *g, const qb__operator *op,
                           const qb__reference_inputs *in, float *y);

/* Dense and linear layers, and products of two activations (reference_matrix.c). */
void qb__reference_multiply(const qb__graph *g, const qb__operator *op,
                            const qb__reference_inputs *in, float *y);

/* Norms, softmax, reductions, arg (reference_reduce.c). */
void qb__reference_reduce(const qb__graph *g, const qb__operator *op, const float *x, float *y);

/* Windows over images (reference_window.c). */
qb_status qb__reference_convolve(const qb__graph *g, const qb__operator *op, const float *x,
                                 float *y);
void qb__reference_pool(const qb__graph *g, const qb__operator *op, const float *x, float *y);

/* What moves elements: resize, concat, pad, pick, transpose. */
void qb__reference_rearrange(const qb__graph *g, const qb__operator *op,
                             const qb__reference_inputs *in, float *y);

#endif
