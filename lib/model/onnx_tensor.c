/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of a file: raw, typed, or in a file of their own. */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "model/onnx_constant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TYPE QB__ONNX_TYPE

static size_t element_bytes(int32_t type)
{
  return qb__onnx_type_bits(type) / 8;
}

static float from_bits(uint32_t bits)
{
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* IEEE 754 binary16. */
static float from_half(uint16_t half)
{
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const float magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                          : exponent     ? ldexpf((float)(1024 + fraction), exponent - 25)
                                         : ldexpf((float)fraction, -24);
  return half >> 15 ? -magnitude : magnitude;
}

/* Element `i` of little-endian data that are half floats. */
static float half_at(int32_t type, const uint8_t *data, size_t i)
{
  uint16_t half;
  memcpy(&half, data + 2 * i, 2);
  return type == TYPE(FLOAT16) ? from_half(half) : from_bits((uint32_t)half << 16);
}

/* Whether data lie in a file as they do in a constant. */
static bool is_direct(int32_t type)
{
  return type == TYPE(FLOAT) || type == TYPE(DOUBLE) || type == TYPE(INT64) || type == TYPE(UINT64);
}

static int64_t integer_at(int32_t type, const uint8_t *data, size_t i)
{
  int64_t element = 0;
  const size_t bytes = element_bytes(type);
  memcpy(&element, data + i * bytes, bytes);
  return qb__onnx_wrap(type, element);
}

static const char *name_of(const Onnx__TensorProto *t)
{
  return t->name && *t->name ? t->name : "(unnamed)";
}

static void fail_bytes(qb__onnx *im, const Onnx__TensorProto *t, size_t found, size_t expected)
{
  im->status =
      qb__fail(QB_ERROR_FORMAT, "tensor '%.64s' has %zu bytes of data and its dimensions need %zu",
               name_of(t), found, expected);
}

static bool allocate(qb__onnx *im, qb__onnx_value *value)
{
  size_t bytes;
  if (!qb__mul_size(value->elements, qb__onnx_width(value->type), &bytes))
    bytes = SIZE_MAX;
  value->data = qb__alloc_aligned(im->context, bytes, 64);
  value->owned = value->data != NULL;
  if (!value->owned)
    im->status = QB_ERROR_NO_MEMORY;
  return value->owned;
}

static void convert(qb__onnx *im, int32_t type, const uint8_t *data, qb__onnx_value *value)
{
  if (!allocate(im, value))
    return;
  for (size_t i = 0; i < value->elements; i++)
    if (qb__onnx_is_float(value))
      ((float *)value->data)[i] = half_at(type, data, i);
    else
      ((int64_t *)value->data)[i] = integer_at(type, data, i);
}

/* The parser's memory is the context's, so values that need no conversion move. */
static void take_over(qb__onnx_value *value, void **data)
{
  value->data = *data;
  value->owned = true;
  *data = NULL;
}

static void read_raw(qb__onnx *im, Onnx__TensorProto *t, qb__onnx_value *value)
{
  const size_t bytes = value->elements * element_bytes(t->data_type);
  if (t->raw_data.len != bytes) {
    fail_bytes(im, t, t->raw_data.len, bytes);
    return;
  }
  void *data = t->raw_data.data;
  if (bytes && is_direct(t->data_type)) {
    take_over(value, &data);
    t->raw_data.data = NULL;
    t->raw_data.len = 0;
  } else {
    convert(im, t->data_type, data, value);
  }
}

/* Fields of elements: half floats and small integers lie in 32-bit integers. */
static void read_typed(qb__onnx *im, Onnx__TensorProto *t, qb__onnx_value *value)
{
  void *data;
  size_t count = 0;
  switch (t->data_type) {
  case TYPE(FLOAT): count = t->n_float_data; break;
  case TYPE(DOUBLE): count = t->n_double_data; break;
  case TYPE(INT64): count = t->n_int64_data; break;
  case TYPE(UINT32):
  case TYPE(UINT64): count = t->n_uint64_data; break;
  default: count = t->n_int32_data; break;
  }
  if (count != value->elements) {
    fail_bytes(im, t, count * element_bytes(t->data_type),
               value->elements * element_bytes(t->data_type));
    return;
  }
  if (count && t->data_type == TYPE(FLOAT)) {
    data = t->float_data;
    take_over(value, &data);
    t->float_data = NULL;
    t->n_float_data = 0;
  } else if (count && t->data_type == TYPE(INT64)) {
    data = t->int64_data;
    take_over(value, &data);
    t->int64_data = NULL;
    t->n_int64_data = 0;
  } else if (allocate(im, value)) {
    for (size_t i = 0; i < count; i++)
      switch (t->data_type) {
      case TYPE(DOUBLE): ((double *)value->data)[i] = t->double_data[i]; break;
      case TYPE(FLOAT16): ((float *)value->data)[i] = from_half((uint16_t)t->int32_data[i]); break;
      case TYPE(BFLOAT16):
        ((float *)value->data)[i] = from_bits((uint32_t)t->int32_data[i] << 16);
        break;
      case TYPE(UINT32):
      case TYPE(UINT64): qb__onnx_set_int(value, i, (int64_t)t->uint64_data[i]); break;
      default: qb__onnx_set_int(value, i, t->int32_data[i]); break;
      }
  }
}

static void read_external(qb__onnx *im, const Onnx__TensorProto *t, qb__onnx_value *value)
{
  uint8_t *data = qb__onnx_read_external(im, t, value->elements * element_bytes(t->data_type));
  if (data && is_direct(t->data_type)) {
    value->data = data;
    value->owned = true;
  } else if (data) {
    convert(im, t->data_type, data, value);
    qb__free(im->context, data);
  }
}

void qb__onnx_read_tensor(qb__onnx *im, Onnx__TensorProto *t, qb__onnx_value *value)
{
  size_t elements = 1, bytes;
  bool valid = t->n_dims <= QB__ONNX_RANK;
  for (size_t i = 0; valid && i < t->n_dims; i++) {
    value->dims[i] = t->dims[i];
    valid = t->dims[i] >= 0 && (t->dims[i] == 0 || t->dims[i] % QB__ONNX_SYMBOLIC != 0) &&
            qb__mul_size(elements, (size_t)t->dims[i], &elements);
  }
  if (!valid || !qb__mul_size(elements, 8, &bytes)) {
    im->status = qb__fail(QB_ERROR_FORMAT,
                          "tensor '%.64s': its %zu dimensions are negative, too large, or more "
                          "than %d",
                          name_of(t), t->n_dims, QB__ONNX_RANK);
    return;
  }
  if (!element_bytes(t->data_type) || t->segment) {
    im->status = qb__fail(QB_ERROR_UNSUPPORTED,
                          "tensor '%.64s': %s; floats and integers of 8 to 64 bits, whole, are "
                          "supported",
                          name_of(t),
                          t->segment ? "it is given in segments" : "its data type is not a number");
    return;
  }
  value->rank = (uint32_t)t->n_dims;
  value->elements = elements;
  value->type = t->data_type;
  value->kind = QB__ONNX_CONSTANT;
  if (t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
    read_external(im, t, value);
  else if (t->has_raw_data)
    read_raw(im, t, value);
  else
    read_typed(im, t, value);
}
