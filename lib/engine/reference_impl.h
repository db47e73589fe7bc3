/* SPDX-License-Identifier: Apache-2.0 */
/* The plain loops of each operator, for one sample. */
#ifndef QB_ENGINE_REFERENCE_IMPL_H
#define QB_ENGINE_REFERENCE_IMPL_H

#include "engine/reference.h"

/* What qb__operator_input() names, in its order. */
typedef struct qb__reference_inputs {
  size_t count;
  const float **values;
} qb__reference_inputs;

/* The position in a tensor of its element `index`. */
static inline void qb__reference_position(const qb__tensor *t, size_t index, int64_t *at)
{
  for (uint32_t d = t->rank; d-- > 0;) {
    at[d] = (int64_t)(index % (size_t)t->dims[d]);
    index /= (size_t)t->dims[d];
  }
}

/* The element that a tensor, repeated along its dimensions of 1, has at a position. */
static inline size_t qb__reference_repeated(const qb__tensor *t, const int64_t *at)
{
  size_t index = 0;
  for (uint32_t d = 0; d < t->rank; d++)
    index = index * (size_t)t->dims[d] + (t->dims[d] == 1 ? 0 : (size_t)at[d]);
  return index;
}

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
