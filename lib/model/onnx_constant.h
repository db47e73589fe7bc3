/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constants from inside: elements of every type, and what depends on an open batch.
 *
 * Where the size of the batch is open, it counts as QB__ONNX_SYMBOLIC while shapes are computed,
 * and two things may depend on it. An element of integers that is marked in value->open is k times
 * the batch, stored as k * QB__ONNX_SYMBOLIC with k >= 1. A dimension of a constant of any type
 * that is k * QB__ONNX_SYMBOLIC says that the constant is repeated along it: all is the same there,
 * and the data, which value->elements counts, have it once. So a token that is expanded to "N, 1,
 * 768" has these dimensions and 768 elements.
 */
#ifndef QB_MODEL_ONNX_CONSTANT_H
#define QB_MODEL_ONNX_CONSTANT_H

#include "model/onnx_impl.h"

/* Whether a dimension or an element is a multiple of the open batch. */
static inline bool qb__onnx_is_open(const qb__onnx *im, int64_t amount)
{
  return im->symbolic && amount > 0 && amount % QB__ONNX_SYMBOLIC == 0;
}

/* A dimension as it is in the data. */
static inline int64_t qb__onnx_stored(const qb__onnx *im, int64_t dim)
{
  return qb__onnx_is_open(im, dim) ? 1 : dim;
}

/* Whether a constant is repeated along the batch. */
bool qb__onnx_is_repeated(const qb__onnx *im, const qb__onnx_value *value);

/* Whether no constant that a node reads is repeated along the batch; a problem otherwise. */
bool qb__onnx_unrepeated(qb__onnx *im, const qb__onnx_node *node);

/* Room for marks, none of them set; false without memory. */
bool qb__onnx_may_open(qb__onnx *im, qb__onnx_value *value);
/* Whether any element depends on the open batch. */
bool qb__onnx_has_open(const qb__onnx_value *value);

/* Types: "int32", or "?" for those that are no numbers; bits of an element in a file, or 0. */
const char *qb__onnx_type_name(int32_t type);
unsigned qb__onnx_type_bits(int32_t type);
bool qb__onnx_is_real_type(int32_t type);

/* What arithmetic gives in a type: integers wrap, reals are rounded. */
int64_t qb__onnx_wrap(int32_t type, int64_t value);
double qb__onnx_round(int32_t type, double value);
/* A number of any type cast to one of integers: see docs/onnx.md. */
int64_t qb__onnx_truncate(int32_t type, double value);

/* Elements of any constant as real numbers. */
double qb__onnx_real_at(const qb__onnx_value *v, size_t i);
/* Sets an element of floats or doubles. */
void qb__onnx_set_real(qb__onnx_value *v, size_t i, double value);

/*
 * Elements of any constant as integers. Callers refuse reals, which have elements of another size;
 * where one does not, they are cast instead of read beyond their end.
 */
static inline int64_t qb__onnx_int_at(const qb__onnx_value *v, size_t i)
{
  return qb__onnx_is_real_type(v->type)
             ? qb__onnx_truncate(QB__ONNX_TYPE(INT64), qb__onnx_real_at(v, i))
             : ((const int64_t *)v->data)[i];
}

static inline void qb__onnx_set_int(qb__onnx_value *v, size_t i, int64_t value)
{
  if (qb__onnx_is_real_type(v->type))
    qb__onnx_set_real(v, i, (double)value);
  else
    ((int64_t *)v->data)[i] = qb__onnx_wrap(v->type, value);
}

#endif
