/* SPDX-License-Identifier: Apache-2.0 */
/* The values of one sample of a round, in whichever layout they lie. */
#ifndef QB_ENGINE_ROW_VALUES_H
#define QB_ENGINE_ROW_VALUES_H

#include "engine/onednn.h"

/*
 * The bits of a magnitude, which are ordered like it: infinity behind all numbers, NaNs behind
 * infinity.
 */
int32_t qb__magnitude_bits(float value);
float qb__magnitude_of(int32_t bits);

/* The largest of them (kernel_magnitude.c). */
int32_t qb__largest_bits(const float *values, size_t count);
/* The same of bfloat16 numbers, which are the upper halves of floats. */
int32_t qb__largest_half_bits(const uint16_t *values, size_t count);

/* A tensor of a round whose first dimension is the batch. */
typedef struct qb__rows {
  const qb__dims *dims;
  void *data;          /* floats or bfloat16 numbers: dims->type */
  bool whole;          /* a row lies in one piece of `row_elements`, padding included */
  size_t row_elements; /* from one row to the next */
  qb__blocking blocking;
} qb__rows;

/* Fails with QB_ERROR_UNSUPPORTED for a layout that only oneDNN understands. */
qb_status qb__rows_of(const qb__dims *dims, const qb__layout *layout, void *data, qb__rows *rows);

int32_t qb__rows_largest_bits(const qb__rows *rows, uint32_t row);

/* Whether any value of any row is above `limit`. */
bool qb__rows_exceed(const qb__rows *rows, int32_t limit);

/* Copies one row from or to row-major `values`. */
void qb__rows_get(const qb__rows *rows, uint32_t row, float *values);
void qb__rows_set(const qb__rows *rows, uint32_t row, const float *values);

#endif
