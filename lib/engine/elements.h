/* SPDX-License-Identifier: Apache-2.0 */
/* The elements of a tensor by position, in whichever layout they lie. */
#ifndef QB_ENGINE_ELEMENTS_H
#define QB_ENGINE_ELEMENTS_H

#include "engine/onednn.h"

#include <string.h>

/* An element is at the sum of its coordinates' offsets. */
typedef struct qb__elements {
  qb__dims dims;
  void *data;                        /* of dims.type */
  bool padded;                       /* blocks are larger than the dimensions */
  int64_t first;                     /* of a part: where the whole begins it */
  int64_t *offsets[QB__ONEDNN_DIMS]; /* by dimension and coordinate; one block, owned */
} qb__elements;

/* Fails with QB_ERROR_UNSUPPORTED for a layout that only oneDNN understands. */
qb_status qb__elements_make(const qb_context *context, const qb__dims *dims,
                            const qb__layout *layout, void *data, qb__elements *elements);
void qb__elements_clear(const qb_context *context, qb__elements *elements);

static inline float qb__bfloat16(uint16_t upper)
{
  const uint32_t bits = (uint32_t)upper << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* An element of an array of a type. */
static inline float qb__load(qb__type type, const void *data, size_t index)
{
  switch (type) {
  case QB__TYPE_U8: return ((const uint8_t *)data)[index];
  case QB__TYPE_S8: return ((const int8_t *)data)[index];
  case QB__TYPE_BF16: return qb__bfloat16(((const uint16_t *)data)[index]);
  case QB__TYPE_F32: break;
  }
  return ((const float *)data)[index];
}

/* The nearest bfloat16 number, halves to even; a NaN stays one. */
static inline uint16_t qb__bfloat16_of(float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return (uint16_t)((value != value ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Writes one; what becomes an integer is whole, and within the type's range. */
static inline void qb__store(qb__type type, float value, void *data, size_t index)
{
  switch (type) {
  case QB__TYPE_F32: ((float *)data)[index] = value; break;
  case QB__TYPE_BF16: ((uint16_t *)data)[index] = qb__bfloat16_of(value); break;
  case QB__TYPE_U8: ((uint8_t *)data)[index] = (uint8_t)value; break;
  case QB__TYPE_S8: ((int8_t *)data)[index] = (int8_t)value; break;
  }
}

/* Where the element at a position is; along dimensions of 1 a tensor is repeated. */
static inline int64_t qb__element_offset(const qb__elements *e, const int64_t *at)
{
  int64_t offset = e->first;
  for (int d = 0; d < e->dims.count; d++)
    offset += e->offsets[d][e->dims.at[d] == 1 ? 0 : at[d]];
  return offset;
}

/* The element at an offset. */
static inline double qb__element_there(const qb__elements *e, int64_t offset)
{
  return (double)qb__load(e->dims.type, e->data, (size_t)offset);
}

static inline double qb__element(const qb__elements *e, const int64_t *at)
{
  return qb__element_there(e, qb__element_offset(e, at));
}

/* Writes a value of -1 to 1, which stands for the range of the type where that has integers. */
void qb__element_set(const qb__elements *e, int64_t offset, float value);

/*
 * A position out of all: half of the time anywhere, each equally likely; else at borders, where a
 * block may begin or end, or where the share of a thread may. Deterministic; *random is not 0.
 */
void qb__draw_position(uint64_t *random, const qb__dims *dims, int threads, int64_t *at);

/* The next position in row-major order; false behind the last one. */
bool qb__next_position(const qb__dims *dims, int64_t *at);

#endif
