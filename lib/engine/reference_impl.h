/* SPDX-License-Identifier: Apache-2.0 */
/* The plain loops of each operator, for one sample. Tests only. */
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

/* Windows over images (reference_window.c). */
qb_status qb__reference_convolve(const qb__graph *g, const qb__operator *op, const float *x,
                                 float *y);
void qb__reference_pool(const qb__graph *g, const qb__operator *op, const float *x, float *y);

/* What moves elements or takes means of them: mean, resize, concat, pad, transpose. */
void qb__reference_rearrange(const qb__graph *g, const qb__operator *op,
                             const qb__reference_inputs *in, float *y);

#endif
