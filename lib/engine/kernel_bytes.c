/* SPDX-License-Identifier: Apache-2.0 */
/* Reals to bytes that stand for them by one scale and zero point, and back. */
#include "core/alloc.h"
#include "engine/kernel_impl.h"

#include <math.h>

typedef struct bytes_kernel {
  qb__kernel base;
  bool is_signed;
  float scale, zero_point, low, high;
  int64_t count;             /* elements, in whichever order both lie */
  int64_t channels, columns; /* of a sample: quantized from row-major to channels last */
} bytes_kernel;

/* A NaN becomes `low`: who looks for it sees it before. Bytes of either sign have the same bits. */
QB__VECTORISED static void quantize(const float *restrict x, int64_t count, float scale,
                                    float zero_point, float low, float high, uint8_t *restrict y)
{
  for (int64_t i = 0; i < count; i++) {
    const float rounded = nearbyintf(x[i] / scale) + zero_point;
    const float bounded = rounded > low ? rounded : low;
    y[i] = (uint8_t)(int32_t)(bounded < high ? bounded : high);
  }
}

QB__VECTORISED static void from_unsigned(const uint8_t *restrict x, int64_t count, float scale,
                                         float zero_point, float *restrict y)
{
  for (int64_t i = 0; i < count; i++)
    y[i] = ((float)x[i] - zero_point) * scale;
}

QB__VECTORISED static void from_signed(const int8_t *restrict x, int64_t count, float scale,
                                       float zero_point, float *restrict y)
{
  for (int64_t i = 0; i < count; i++)
    y[i] = ((float)x[i] - zero_point) * scale;
}

static void run_quantize(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const bytes_kernel *self = (const bytes_kernel *)kernel;
  const float *from = arguments[QB__ARG_SOURCE];
  uint8_t *to = (uint8_t *)arguments[QB__ARG_DESTINATION];
#pragma omp parallel for schedule(static) if (self->count > 2 * QB__GRAIN)
  for (int64_t i = 0; i < self->count; i += QB__GRAIN)
    quantize(from + i, self->count - i < QB__GRAIN ? self->count - i : QB__GRAIN, self->scale,
             self->zero_point, self->low, self->high, to + i);
}

enum { PIXELS = 256 /* turned at a time */ };

/* Some pixels of all channels. */
static void turn_pixels(const bytes_kernel *self, const float *from, int64_t pixels, uint8_t *to)
{
  uint8_t bytes[PIXELS];
  for (int64_t c = 0; c < self->channels; c++) {
    quantize(from + c * self->columns, pixels, self->scale, self->zero_point, self->low, self->high,
             bytes);
    for (int64_t i = 0; i < pixels; i++)
      to[i * self->channels + c] = bytes[i];
  }
}

static void run_turn(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const bytes_kernel *self = (const bytes_kernel *)kernel;
  const int64_t parts = (self->columns + PIXELS - 1) / PIXELS;
  const int64_t sample = self->channels * self->columns;
  const float *from = arguments[QB__ARG_SOURCE];
  uint8_t *to = (uint8_t *)arguments[QB__ARG_DESTINATION];
#pragma omp parallel for schedule(static) if (self->count > 2 * QB__GRAIN)
  for (int64_t i = 0; i < self->count / sample * parts; i++) {
    const int64_t first = i % parts * PIXELS, left = self->columns - first;
    const int64_t start = i / parts * sample;
    turn_pixels(self, from + start + first, left < PIXELS ? left : PIXELS,
                to + start + first * self->channels);
  }
}

static void run_dequantize(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const bytes_kernel *self = (const bytes_kernel *)kernel;
  const void *from = arguments[QB__ARG_SOURCE];
  float *to = arguments[QB__ARG_DESTINATION];
#pragma omp parallel for schedule(static) if (self->count > 2 * QB__GRAIN)
  for (int64_t i = 0; i < self->count; i += QB__GRAIN) {
    const int64_t count = self->count - i < QB__GRAIN ? self->count - i : QB__GRAIN;
    if (self->is_signed)
      from_signed((const int8_t *)from + i, count, self->scale, self->zero_point, to + i);
    else
      from_unsigned((const uint8_t *)from + i, count, self->scale, self->zero_point, to + i);
  }
}

qb_status qb__kernel_bytes(const qb_context *context, const qb__graph *graph,
                           const qb__operator *op, const qb__dims *dims, bool turns,
                           qb__kernel **kernel)
{
  bytes_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.run = op->kind == QB__OP_DEQUANTIZE ? run_dequantize : turns ? run_turn : run_quantize;
  self->is_signed = graph->tensors[op->input].type == QB__TYPE_S8;
  self->scale = op->weights == QB__NONE ? 1 : *graph->tensors[op->weights].constant;
  self->zero_point = op->bias == QB__NONE ? 0 : *graph->tensors[op->bias].constant;
  self->low = op->alpha;
  self->high = op->beta;
  self->count = qb__span(dims, 0, dims->count);
  self->channels = dims->count > 1 ? dims->at[1] : 1;
  self->columns = qb__span(dims, 2, dims->count);
  *kernel = &self->base;
  return QB_OK;
}

typedef struct fill_kernel {
  qb__kernel base;
  int64_t count;
  uint8_t value;
} fill_kernel;

static void run_fill(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const fill_kernel *self = (const fill_kernel *)kernel;
  uint8_t *to = (uint8_t *)arguments[QB__ARG_DESTINATION];
  for (int64_t i = 0; i < self->count; i++)
    to[i] = self->value;
}

qb_status qb__kernel_fill_bytes(const qb_context *context, size_t count, float value,
                                qb__kernel **kernel)
{
  fill_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  *self = (fill_kernel){{run_fill}, (int64_t)count, (uint8_t)(int32_t)value};
  *kernel = &self->base;
  return QB_OK;
}
