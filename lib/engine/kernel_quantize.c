/* SPDX-License-Identifier: Apache-2.0 */
/* Reals to integers of a scale and a zero point, and back. */
#include "core/alloc.h"
#include "engine/kernel_impl.h"

#include <math.h>

/* Elements that are computed at a time: a scale of all is written out for as many. */
enum { BLOCK = 256, ARRAYS = 3 /* source, scales, zero points */ };

typedef struct convert_kernel {
  qb__kernel base;
  bool quantizes;
  float low, high;
  qb__nest nest;
  int64_t parts; /* of a row, for threads */
} convert_kernel;

bool qb__kernel_converts_all_alike(const qb__graph *graph, const qb__operator *op)
{
  const int32_t constants[2] = {op->weights, op->bias};
  if (op->kind != QB__OP_QUANTIZE && op->kind != QB__OP_DEQUANTIZE)
    return false;
  for (int i = 0; i < 2; i++)
    if (constants[i] != QB__NONE && graph->tensors[constants[i]].elements > 1)
      return false;
  return true;
}

/* A NaN stays what it is. */
QB__VECTORISED static void quantize(const float *restrict x, const float *restrict scale,
                                    const float *restrict zero_point, int64_t count, float low,
                                    float high, float *restrict y)
{
  for (int64_t i = 0; i < count; i++) {
    const float rounded = nearbyintf(x[i] / scale[i]) + zero_point[i];
    const float bounded = rounded < low ? low : rounded;
    y[i] = bounded > high ? high : bounded;
  }
}

QB__VECTORISED static void dequantize(const float *restrict x, const float *restrict scale,
                                      const float *restrict zero_point, int64_t count,
                                      float *restrict y)
{
  for (int64_t i = 0; i < count; i++)
    y[i] = (x[i] - zero_point[i]) * scale[i];
}

/* Elements `first` to before `end` of a row. */
static void run_part(const convert_kernel *self, const float *const from[ARRAYS], int64_t first,
                     int64_t end, float *to)
{
  float repeated[ARRAYS][BLOCK];
  for (int a = 1; a < ARRAYS; a++)
    for (int64_t i = 0; !self->nest.whole[a] && i < BLOCK && i < end - first; i++)
      repeated[a][i] = *from[a];
  for (int64_t i = first; i < end; i += BLOCK) {
    const int64_t count = end - i < BLOCK ? end - i : BLOCK;
    const float *scale = self->nest.whole[1] ? from[1] + i : repeated[1];
    const float *zero_point = self->nest.whole[2] ? from[2] + i : repeated[2];
    if (self->quantizes)
      quantize(from[0] + i, scale, zero_point, count, self->low, self->high, to + i);
    else
      dequantize(from[0] + i, scale, zero_point, count, to + i);
  }
}

static void run(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  static const float one = 1, zero = 0;
  const convert_kernel *self = (const convert_kernel *)kernel;
  const int64_t row = self->nest.row, parts = self->parts;
  const float *const arrays[ARRAYS] = {
      arguments[QB__ARG_SOURCE], arguments[QB__ARG_WEIGHTS] ? arguments[QB__ARG_WEIGHTS] : &one,
      arguments[QB__ARG_BIAS] ? arguments[QB__ARG_BIAS] : &zero};
  float *to = arguments[QB__ARG_DESTINATION];
#pragma omp parallel for schedule(static) if (self->nest.rows * row > 2 * QB__GRAIN)
  for (int64_t i = 0; i < self->nest.rows * parts; i++) {
    int64_t offsets[ARRAYS];
    const float *from[ARRAYS];
    qb__nest_offsets(&self->nest, ARRAYS, i / parts, offsets);
    for (int a = 0; a < ARRAYS; a++)
      from[a] = arrays[a] + offsets[a];
    const int64_t first = i % parts * QB__GRAIN;
    run_part(self, from, first, row - first < QB__GRAIN ? row : first + QB__GRAIN,
             to + i / parts * row);
  }
}

/* The dimensions of a scale or zero point: 1 but along the axis. */
static qb__dims dims_of(const qb__graph *graph, const qb__operator *op, int32_t constant, int count)
{
  qb__dims dims = {count, {0}};
  for (int i = 0; i < count; i++)
    dims.at[i] = 1;
  if (constant != QB__NONE && graph->tensors[constant].elements > 1)
    dims.at[op->axis + 1] = (int64_t)graph->tensors[constant].elements;
  return dims;
}

qb_status qb__kernel_convert(const qb_context *context, const qb__graph *graph,
                             const qb__operator *op, const qb__dims *source, qb__kernel **kernel)
{
  const bool alike = qb__kernel_converts_all_alike(graph, op);
  const qb__dims whole = alike ? (qb__dims){1, {qb__span(source, 0, source->count)}} : *source;
  const qb__dims scale = dims_of(graph, op, alike ? QB__NONE : op->weights, whole.count);
  const qb__dims zero_point = dims_of(graph, op, alike ? QB__NONE : op->bias, whole.count);
  const qb__dims *const from[ARRAYS] = {&whole, &scale, &zero_point};
  convert_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.run = run;
  self->quantizes = op->kind == QB__OP_QUANTIZE;
  self->low = op->alpha;
  self->high = op->beta;
  qb__nest_make(&self->nest, &whole, from, ARRAYS);
  self->parts = (self->nest.row + QB__GRAIN - 1) / QB__GRAIN;
  *kernel = &self->base;
  return QB_OK;
}
