/* SPDX-License-Identifier: Apache-2.0 */
/* Where the elements of a sample's tensors are, for the plain loops. */
#ifndef QB_ENGINE_REFERENCE_ELEMENT_H
#define QB_ENGINE_REFERENCE_ELEMENT_H

#include "model/graph.h"

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

#endif
