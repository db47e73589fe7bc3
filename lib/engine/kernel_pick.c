/* SPDX-License-Identifier: Apache-2.0 */
/* One axis anew from elements of it: copies and interpolations. */
#include "core/alloc.h"
#include "engine/kernel_impl.h"

#include <string.h>

/* With fewer elements behind the axis, whole rows along it are computed at a time. */
enum { SHORT = 16 };

typedef struct pick_kernel {
  qb__kernel base;
  const qb__operator *op;
  int64_t outer, from, to, inner; /* elements before the axis, along it and behind it */
} pick_kernel;

QB__VECTORISED static void scale(const float *restrict x, float factor, int64_t count,
                                 float *restrict y)
{
  for (int64_t i = 0; i < count; i++)
    y[i] = factor * x[i];
}

QB__VECTORISED static void add_scaled(const float *restrict x, float factor, int64_t count,
                                      float *restrict y)
{
  for (int64_t i = 0; i < count; i++)
    y[i] += factor * x[i];
}

QB__VECTORISED static void add_value(float value, int64_t count, float *y)
{
  for (int64_t i = 0; i < count; i++)
    y[i] += value;
}

/* Element `at` along the axis of what x begins, for all that is behind the axis. */
static void mix(const pick_kernel *self, const float *x, int64_t at, float *y)
{
  const qb__operator *op = self->op;
  for (uint32_t t = 0; t < op->taps; t++) {
    const int64_t tap = at * op->taps + t, index = op->indices[tap];
    const float factor = op->factors ? op->factors[tap] : 1;
    if (index < 0 && t == 0)
      memset(y, 0, (size_t)self->inner * sizeof *y);
    if (index < 0)
      add_value(factor * op->value, self->inner, y);
    else if (t == 0)
      scale(x + index * self->inner, factor, self->inner, y);
    else
      add_scaled(x + index * self->inner, factor, self->inner, y);
  }
}

static void copy(const pick_kernel *self, const float *x, int64_t at, float *y)
{
  const int64_t index = self->op->indices[at];
  if (index >= 0)
    memcpy(y, x + index * self->inner, (size_t)self->inner * sizeof *y);
  else
    for (int64_t i = 0; i < self->inner; i++)
      y[i] = self->op->value;
}

static void run_long(const pick_kernel *self, const float *x, float *y)
{
  const bool copies = self->op->taps == 1 && !self->op->factors;
#pragma omp parallel for schedule(static) if (self->outer * self->to * self->inner > 4 * QB__GRAIN)
  for (int64_t i = 0; i < self->outer * self->to; i++) {
    const float *from = x + i / self->to * self->from * self->inner;
    (copies ? copy : mix)(self, from, i % self->to, y + i * self->inner);
  }
}

static void copy_row(const pick_kernel *self, const float *x, float *y)
{
  const int64_t *indices = self->op->indices;
  for (int64_t i = 0; i < self->to; i++)
    for (int64_t j = 0; j < self->inner; j++)
      *y++ = indices[i] < 0 ? self->op->value : x[indices[i] * self->inner + j];
}

static void mix_row(const pick_kernel *self, const float *x, float *y)
{
  const qb__operator *op = self->op;
  for (int64_t i = 0; i < self->to; i++)
    for (int64_t j = 0; j < self->inner; j++) {
      float sum = 0;
      for (uint32_t t = 0; t < op->taps; t++) {
        const int64_t tap = i * op->taps + t, index = op->indices[tap];
        const float value = index < 0 ? op->value : x[index * self->inner + j];
        sum += (op->factors ? op->factors[tap] : 1) * value;
      }
      *y++ = sum;
    }
}

static void run_short(const pick_kernel *self, const float *x, float *y)
{
  const bool copies = self->op->taps == 1 && !self->op->factors;
#pragma omp parallel for schedule(static) if (self->outer * self->to * self->inner > 2 * QB__GRAIN)
  for (int64_t i = 0; i < self->outer; i++)
    (copies ? copy_row : mix_row)(self, x + i * self->from * self->inner,
                                  y + i * self->to * self->inner);
}

static void run(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const pick_kernel *self = (const pick_kernel *)kernel;
  (self->inner < SHORT ? run_short : run_long)(self, arguments[QB__ARG_SOURCE],
                                               arguments[QB__ARG_DESTINATION]);
}

qb_status qb__kernel_pick(const qb_context *context, const qb__operator *op, const qb__dims *source,
                          const qb__dims *to, qb__kernel **kernel)
{
  pick_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  const int axis = (int)op->axis + 1;
  *self = (pick_kernel){{run},
                        op,
                        qb__span(source, 0, axis),
                        source->at[axis],
                        to->at[axis],
                        qb__span(source, axis + 1, source->count)};
  *kernel = &self->base;
  return QB_OK;
}
