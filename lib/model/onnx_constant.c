/* SPDX-License-Identifier: Apache-2.0 */
#include "model/onnx_constant.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define TYPE QB__ONNX_TYPE

/* By data type. `digits` and `least_exponent` are those of reals narrower than floats. */
static const struct {
  const char *name;
  uint8_t bits;
  bool is_signed;
  int16_t digits, least_exponent;
} types[] = {
    [TYPE(FLOAT)] = {"float", 32, true, 24, -126},
    [TYPE(UINT8)] = {"uint8", 8, false, 0, 0},
    [TYPE(INT8)] = {"int8", 8, true, 0, 0},
    [TYPE(UINT16)] = {"uint16", 16, false, 0, 0},
    [TYPE(INT16)] = {"int16", 16, true, 0, 0},
    [TYPE(INT32)] = {"int32", 32, true, 0, 0},
    [TYPE(INT64)] = {"int64", 64, true, 0, 0},
    [TYPE(BOOL)] = {"bool", 8, false, 0, 0},
    [TYPE(FLOAT16)] = {"float16", 16, true, 11, -14},
    [TYPE(DOUBLE)] = {"double", 64, true, 53, -1022},
    [TYPE(UINT32)] = {"uint32", 32, false, 0, 0},
    [TYPE(UINT64)] = {"uint64", 64, false, 0, 0},
    [TYPE(BFLOAT16)] = {"bfloat16", 16, true, 8, -126},
};

static bool is_number(int32_t type)
{
  return type >= 0 && (size_t)type < sizeof types / sizeof *types && types[type].bits;
}

const char *qb__onnx_type_name(int32_t type)
{
  return is_number(type) ? types[type].name : "?";
}

unsigned qb__onnx_type_bits(int32_t type)
{
  return is_number(type) ? types[type].bits : 0;
}

bool qb__onnx_is_real_type(int32_t type)
{
  return is_number(type) && types[type].digits;
}

size_t qb__onnx_width(int32_t type)
{
  return qb__onnx_is_real_type(type) && type != TYPE(DOUBLE) ? sizeof(float) : sizeof(int64_t);
}

int64_t qb__onnx_wrap(int32_t type, int64_t value)
{
  if (type == TYPE(BOOL))
    return value != 0;
  const unsigned unused = 64 - types[type].bits;
  const uint64_t high = (uint64_t)value << unused;
  return types[type].is_signed ? (int64_t)high >> unused : (int64_t)(high >> unused);
}

double qb__onnx_round(int32_t type, double value)
{
  if (type == TYPE(DOUBLE) || value == 0 || !isfinite(value))
    return value;
  if (type == TYPE(FLOAT))
    return (float)value;
  const int least = types[type].least_exponent, exponent = ilogb(value);
  const int unit = (exponent < least ? least : exponent) - types[type].digits + 1;
  const double rounded = ldexp(nearbyint(ldexp(value, -unit)), unit);
  const double limit = type == TYPE(FLOAT16) ? 65504 : FLT_MAX;
  return fabs(rounded) > limit ? copysign(HUGE_VAL, value) : rounded;
}

int64_t qb__onnx_truncate(int32_t type, double value)
{
  if (type == TYPE(BOOL))
    return value != 0;
  if (type == TYPE(UINT64) && value >= 0x1p63 && value < 0x1p64)
    return (int64_t)(uint64_t)value;
  return qb__onnx_wrap(type, value >= -0x1p63 && value < 0x1p63 ? (int64_t)value : INT64_MIN);
}

double qb__onnx_real_at(const qb__onnx_value *v, size_t i)
{
  if (v->type == TYPE(DOUBLE))
    return ((const double *)v->data)[i];
  if (qb__onnx_is_real_type(v->type))
    return ((const float *)v->data)[i];
  if (v->type == TYPE(UINT64))
    return (double)((const uint64_t *)v->data)[i];
  return (double)((const int64_t *)v->data)[i];
}

void qb__onnx_set_real(qb__onnx_value *v, size_t i, double value)
{
  if (v->type == TYPE(DOUBLE))
    ((double *)v->data)[i] = value;
  else
    ((float *)v->data)[i] = (float)qb__onnx_round(v->type, value);
}

bool qb__onnx_is_repeated(const qb__onnx *im, const qb__onnx_value *v)
{
  bool repeated = false;
  for (uint32_t i = 0; i < v->rank; i++)
    repeated = repeated || qb__onnx_is_open(im, v->dims[i]);
  return repeated;
}

bool qb__onnx_unrepeated(qb__onnx *im, const qb__onnx_node *node)
{
  for (size_t i = 0; i < node->input_count; i++) {
    const qb__onnx_value *v = node->inputs[i];
    if (v && v->kind == QB__ONNX_CONSTANT && qb__onnx_is_repeated(im, v)) {
      qb__onnx_problem(im, node,
                       "its input '%.64s' is a constant repeated along the batch, which is open; "
                       "export the model with a fixed batch size",
                       v->name);
      return false;
    }
  }
  return true;
}

bool qb__onnx_has_open(const qb__onnx_value *v)
{
  return v->open && memchr(v->open, 1, v->elements);
}

bool qb__onnx_make(qb__onnx *im, qb__onnx_value *value, int32_t type, uint32_t rank,
                   const int64_t *dims)
{
  int64_t elements = 1;
  for (uint32_t i = 0; i < rank; i++)
    if (dims[i] < 0 || !qb__mul_i64(elements, qb__onnx_stored(im, dims[i]), &elements))
      elements = INT64_MAX;
  size_t bytes;
  if (!qb__mul_size((size_t)elements, qb__onnx_width(type), &bytes))
    bytes = SIZE_MAX; /* which is refused as what it is */
  void *data = qb__alloc_aligned(im->context, bytes, 64);
  if (!data) {
    im->status = QB_ERROR_NO_MEMORY;
    return false;
  }
  value->kind = QB__ONNX_CONSTANT;
  value->type = type;
  value->rank = rank;
  memmove(value->dims, dims, rank * sizeof *dims);
  value->elements = (size_t)elements;
  value->data = data;
  value->owned = true;
  return true;
}

bool qb__onnx_may_open(qb__onnx *im, qb__onnx_value *value)
{
  value->open = qb__calloc(im->context, value->elements, 1);
  if (!value->open)
    im->status = QB_ERROR_NO_MEMORY;
  return value->open;
}

bool qb__onnx_mark_open(qb__onnx *im, qb__onnx_value *value)
{
  if (!im->symbolic)
    return true;
  if (!qb__onnx_may_open(im, value))
    return false;
  for (size_t i = 0; i < value->elements; i++)
    value->open[i] = qb__onnx_is_open(im, qb__onnx_int_at(value, i));
  return true;
}

void qb__onnx_release(qb__onnx *im, qb__onnx_value *value)
{
  qb__free(im->context, value->data);
  qb__free(im->context, value->open);
  value->data = NULL;
  value->open = NULL;
  value->owned = false;
  value->kind = QB__ONNX_UNKNOWN;
}

void qb__onnx_narrow(qb__onnx_value *value)
{
  if (value->kind != QB__ONNX_CONSTANT || value->type != TYPE(DOUBLE))
    return;
  char *data = value->data;
  for (size_t i = 0; i < value->elements; i++) {
    double wide;
    memcpy(&wide, data + i * sizeof wide, sizeof wide);
    const float narrow = (float)wide;
    memcpy(data + i * sizeof narrow, &narrow, sizeof narrow);
  }
  value->type = TYPE(FLOAT);
}

bool qb__onnx_is_float(const qb__onnx_value *v)
{
  return v && v->kind == QB__ONNX_CONSTANT && v->type != TYPE(DOUBLE) &&
         qb__onnx_is_real_type(v->type);
}

bool qb__onnx_is_integer(const qb__onnx_value *v)
{
  return v && v->kind == QB__ONNX_CONSTANT && !qb__onnx_is_real_type(v->type);
}

bool qb__onnx_number(const qb__onnx_value *v, float *number)
{
  if (!v || v->kind != QB__ONNX_CONSTANT || v->elements != 1 || !qb__onnx_is_real_type(v->type))
    return false;
  *number = (float)qb__onnx_real_at(v, 0);
  return true;
}

bool qb__onnx_number_like(const qb__onnx_value *v, const qb__onnx_value *activation, float *number)
{
  if (qb__onnx_is_real_type(activation->type))
    return qb__onnx_number(v, number);
  if (!qb__onnx_is_integer(v) || v->elements != 1 || v->type != activation->type)
    return false;
  *number = (float)qb__onnx_real_at(v, 0);
  return true;
}
