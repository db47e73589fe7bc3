/* SPDX-License-Identifier: Apache-2.0 */
/* Layer norm and group norm. */
#include "core/alloc.h"
#include "engine/kernel_impl.h"

#include <math.h>

typedef struct norm_kernel {
  qb__kernel base;
  float epsilon;
  int64_t rows, row; /* of what has a mean and a variance of its own */
  int64_t channels;  /* group norm: in a row; 0: layer norm */
  int64_t groups;    /* group norm */
} norm_kernel;

/* The mean, and what differences from it are multiplied with. */
QB__VECTORISED static void measure(const float *x, int64_t count, float epsilon, float *mean,
                                   float *factor)
{
  float sums[QB__LANES] = {0}, squares[QB__LANES] = {0};
  int64_t i = 0;
  for (; i + QB__LANES <= count; i += QB__LANES)
    for (int l = 0; l < QB__LANES; l++)
      sums[l] += x[i + l];
  for (; i < count; i++)
    sums[0] += x[i];
  for (int l = 1; l < QB__LANES; l++)
    sums[0] += sums[l];
  const float middle = sums[0] / (float)count;
  for (i = 0; i + QB__LANES <= count; i += QB__LANES)
    for (int l = 0; l < QB__LANES; l++)
      squares[l] += (x[i + l] - middle) * (x[i + l] - middle);
  for (; i < count; i++)
    squares[0] += (x[i] - middle) * (x[i] - middle);
  for (int l = 1; l < QB__LANES; l++)
    squares[0] += squares[l];
  *mean = middle;
  *factor = 1 / sqrtf(squares[0] / (float)count + epsilon);
}

/* y = (x - mean) * factor * scale + shift, either of them NULL where there is none. */
QB__VECTORISED static void apply(const float *restrict x, int64_t count, float mean, float factor,
                                 const float *restrict scale, const float *restrict shift,
                                 float *restrict y)
{
  if (scale && shift)
    for (int64_t i = 0; i < count; i++)
      y[i] = (x[i] - mean) * factor * scale[i] + shift[i];
  else if (scale)
    for (int64_t i = 0; i < count; i++)
      y[i] = (x[i] - mean) * factor * scale[i];
  else if (shift)
    for (int64_t i = 0; i < count; i++)
      y[i] = (x[i] - mean) * factor + shift[i];
  else
    for (int64_t i = 0; i < count; i++)
      y[i] = (x[i] - mean) * factor;
}

QB__VECTORISED static void apply_one(const float *restrict x, int64_t count, float mean,
                                     float factor, float shift, float *restrict y)
{
  for (int64_t i = 0; i < count; i++)
    y[i] = (x[i] - mean) * factor + shift;
}

static void apply_channels(const norm_kernel *self, const float *x, int64_t first, float mean,
                           float factor, const float *scale, const float *shift, float *y)
{
  const int64_t plane = self->row / self->channels;
  for (int64_t c = 0; c < self->channels; c++)
    apply_one(x + c * plane, plane, mean, scale ? factor * scale[first + c] : factor,
              shift ? shift[first + c] : 0, y + c * plane);
}

static void run(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const norm_kernel *self = (const norm_kernel *)kernel;
  const float *scale = arguments[QB__ARG_WEIGHTS], *shift = arguments[QB__ARG_BIAS];
#pragma omp parallel for schedule(static) if (self->rows * self->row > QB__GRAIN)
  for (int64_t r = 0; r < self->rows; r++) {
    const float *x = arguments[QB__ARG_SOURCE] + r * self->row;
    float *y = arguments[QB__ARG_DESTINATION] + r * self->row;
    float mean, factor;
    measure(x, self->row, self->epsilon, &mean, &factor);
    if (self->channels)
      apply_channels(self, x, r % self->groups * self->channels, mean, factor, scale, shift, y);
    else
      apply(x, self->row, mean, factor, scale, shift, y);
  }
}

qb_status qb__kernel_norm(const qb_context *context, const qb__operator *op, const qb__dims *source,
                          qb__kernel **kernel)
{
  norm_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.run = run;
  self->epsilon = op->epsilon;
  if (op->kind == QB__OP_GROUP_NORM) {
    self->groups = op->groups;
    self->channels = source->at[1] / op->groups;
    self->rows = source->at[0] * op->groups;
  } else {
    self->rows = qb__span(source, 0, (int)op->axis + 1);
  }
  self->row = qb__span(source, 0, source->count) / self->rows;
  *kernel = &self->base;
  return QB_OK;
}
