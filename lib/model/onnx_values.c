/* SPDX-License-Identifier: Apache-2.0 */
/* Values by name, and constants on their way from the file to the graph. */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "model/onnx_constant.h"
#include "model/onnx_map.h"

#include <string.h>

qb_status qb__onnx_values_init(qb__onnx *im, size_t most)
{
  im->slot_count = 16;
  while (im->slot_count < 2 * most)
    im->slot_count *= 2;
  im->value_capacity = most;
  im->values = qb__calloc(im->context, most, sizeof *im->values);
  im->slots = qb__calloc(im->context, im->slot_count, sizeof *im->slots);
  return im->values && im->slots ? QB_OK : QB_ERROR_NO_MEMORY;
}

void qb__onnx_values_clear(qb__onnx *im)
{
  for (size_t i = 0; i < im->value_count; i++)
    if (im->values[i].owned)
      qb__onnx_release(im, &im->values[i]);
  qb__free(im->context, im->values);
  qb__free(im->context, im->slots);
}

/* The slot of a name, or the free one where it belongs; slots hold the value's index + 1. */
static int32_t *slot_of(const qb__onnx *im, const char *name)
{
  uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
  for (const char *c = name; *c; c++)
    hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
  size_t i = (size_t)(hash ^ hash >> 32) & (im->slot_count - 1);
  while (im->slots[i] && strcmp(im->values[im->slots[i] - 1].name, name) != 0)
    i = (i + 1) & (im->slot_count - 1);
  return &im->slots[i];
}

qb__onnx_value *qb__onnx_find(const qb__onnx *im, const char *name)
{
  const int32_t slot = *slot_of(im, name);
  return slot ? &im->values[slot - 1] : NULL;
}

qb__onnx_value *qb__onnx_add(qb__onnx *im, const char *name)
{
  int32_t *slot = slot_of(im, name);
  if (*slot) {
    im->status = qb__fail(QB_ERROR_FORMAT, "the value '%.64s' is written twice", name);
    return NULL;
  }
  qb__onnx_value *value = &im->values[im->value_count];
  value->name = name;
  value->tensor = value->writer = QB__NONE;
  *slot = (int32_t)++im->value_count;
  return value;
}

/* Integers and booleans as floats, which have all integers up to 2^24. */
static int32_t converted(qb__onnx *im, const qb__onnx_value *value, uint32_t rank,
                         const int64_t *dims)
{
  const int64_t most = (int64_t)1 << 24;
  const int32_t tensor = qb__graph_constant(im->graph, value->name, rank, dims);
  for (size_t i = 0; tensor != QB__NONE && i < value->elements; i++) {
    const int64_t integer = qb__onnx_int_at(value, i);
    if (integer < -most || integer > most) {
      im->graph->status =
          qb__fail(QB_ERROR_UNSUPPORTED,
                   "'%.64s' has the integer %lld, which a 32-bit float cannot represent",
                   value->name, (long long)integer);
      return QB__NONE;
    }
    im->graph->tensors[tensor].constant[i] = (float)integer;
  }
  return tensor;
}

int32_t qb__onnx_constant(qb__onnx *im, qb__onnx_value *value, uint32_t rank, const int64_t *dims)
{
  if (im->graph->status)
    return QB__NONE;
  size_t elements = 1;
  for (uint32_t i = 0; i < rank; i++)
    if (!qb__mul_size(elements, (size_t)dims[i], &elements))
      elements = SIZE_MAX;
  if (elements != value->elements || qb__onnx_has_open(value)) {
    im->graph->status =
        qb__fail(QB_ERROR_INVALID_ARGUMENT, "'%.64s' has %zu elements%s, not %zu", value->name,
                 value->elements, qb__onnx_has_open(value) ? " that depend on the open batch" : "",
                 elements);
    return QB__NONE;
  }
  if (value->tensor != QB__NONE) {
    const qb__tensor *t = &im->graph->tensors[value->tensor];
    if (t->rank == rank && !memcmp(t->dims, dims, rank * sizeof *dims))
      return value->tensor;
  }
  if (!qb__onnx_is_float(value))
    return converted(im, value, rank, dims);
  if (value->owned) {
    const int32_t tensor = qb__graph_adopt(im->graph, value->name, rank, dims, value->data);
    if (tensor != QB__NONE) {
      value->owned = false;
      value->tensor = tensor;
    }
    return tensor;
  }
  const int32_t tensor = qb__graph_constant(im->graph, value->name, rank, dims);
  if (tensor != QB__NONE)
    memcpy(im->graph->tensors[tensor].constant, value->data, value->elements * sizeof(float));
  return tensor;
}

int32_t qb__onnx_transposed(qb__onnx *im, const qb__onnx_value *value, int64_t rows,
                            int64_t columns)
{
  enum { BLOCK = 16 }; /* a cache line of either side at a time */
  const int64_t dims[2] = {columns, rows};
  const int32_t tensor = qb__graph_constant(im->graph, value->name, 2, dims);
  if (tensor == QB__NONE)
    return QB__NONE;
  const float *from = value->data;
  float *to = im->graph->tensors[tensor].constant;
  for (int64_t row = 0; row < rows; row += BLOCK)
    for (int64_t column = 0; column < columns; column += BLOCK)
      for (int64_t r = row; r < rows && r < row + BLOCK; r++)
        for (int64_t c = column; c < columns && c < column + BLOCK; c++)
          to[c * rows + r] = from[r * columns + c];
  return tensor;
}
