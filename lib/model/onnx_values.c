/* SPDX-License-Identifier: Apache-2.0 */
/* Values by name, and constants on their way from the file to the graph. */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "model/onnx_impl.h"

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

bool qb__onnx_make(qb__onnx *im, qb__onnx_value *value, int32_t type, uint32_t rank,
                   const int64_t *dims)
{
  int64_t elements = 1;
  for (uint32_t i = 0; i < rank; i++)
    if (dims[i] < 0 || !qb__mul_i64(elements, dims[i], &elements))
      elements = INT64_MAX;
  void *data = qb__calloc(im->context, (size_t)elements, qb__onnx_width(type));
  if (!data) {
    im->status = QB_ERROR_NO_MEMORY;
    return false;
  }
  value->kind = QB__ONNX_CONSTANT;
  value->type = type;
  value->rank = rank;
  memcpy(value->dims, dims, rank * sizeof *dims);
  value->elements = (size_t)elements;
  value->data = data;
  value->owned = true;
  return true;
}

bool qb__onnx_mark_open(qb__onnx *im, qb__onnx_value *value)
{
  const int64_t *elements = value->data;
  for (size_t i = 0; im->symbolic && i < value->elements; i++)
    if (elements[i] && elements[i] % QB__ONNX_SYMBOLIC == 0) {
      if (!value->open && !(value->open = qb__calloc(im->context, value->elements, 1))) {
        im->status = QB_ERROR_NO_MEMORY;
        return false;
      }
      value->open[i] = 1;
    }
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
  char *data = value->data;
  if (value->kind != QB__ONNX_CONSTANT || value->type != QB__ONNX_TYPE(DOUBLE))
    return;
  for (size_t i = 0; i < value->elements; i++) {
    double wide;
    memcpy(&wide, data + i * sizeof wide, sizeof wide);
    const float narrow = (float)wide;
    memcpy(data + i * sizeof narrow, &narrow, sizeof narrow);
  }
  value->type = QB__ONNX_TYPE(FLOAT);
}

bool qb__onnx_is_float(const qb__onnx_value *v)
{
  return v && v->kind == QB__ONNX_CONSTANT &&
         (v->type == QB__ONNX_TYPE(FLOAT) || v->type == QB__ONNX_TYPE(FLOAT16) ||
          v->type == QB__ONNX_TYPE(BFLOAT16));
}

bool qb__onnx_is_integer(const qb__onnx_value *v)
{
  return v && v->kind == QB__ONNX_CONSTANT && v->type != QB__ONNX_TYPE(DOUBLE) &&
         !qb__onnx_is_float(v);
}

bool qb__onnx_number(const qb__onnx_value *v, float *number)
{
  if (!v || v->kind != QB__ONNX_CONSTANT || v->elements != 1 || qb__onnx_is_integer(v))
    return false;
  *number = qb__onnx_is_float(v) ? *(const float *)v->data : (float)*(const double *)v->data;
  return true;
}

size_t qb__onnx_width(int32_t type)
{
  return type == QB__ONNX_TYPE(FLOAT) || type == QB__ONNX_TYPE(FLOAT16) ||
                 type == QB__ONNX_TYPE(BFLOAT16)
             ? sizeof(float)
             : sizeof(int64_t);
}

int32_t qb__onnx_constant(qb__onnx *im, qb__onnx_value *value, uint32_t rank, const int64_t *dims)
{
  if (im->graph->status)
    return QB__NONE;
  size_t elements = 1;
  for (uint32_t i = 0; i < rank; i++)
    if (!qb__mul_size(elements, (size_t)dims[i], &elements))
      elements = SIZE_MAX;
  if (!qb__onnx_is_float(value) || elements != value->elements) {
    im->graph->status = qb__fail(QB_ERROR_INVALID_ARGUMENT, "'%.64s' is not %zu 32-bit floats",
                                 value->name, elements);
    return QB__NONE;
  }
  if (value->tensor != QB__NONE) {
    const qb__tensor *t = &im->graph->tensors[value->tensor];
    if (t->rank == rank && !memcmp(t->dims, dims, rank * sizeof *dims))
      return value->tensor;
  }
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
