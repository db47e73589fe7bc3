/* SPDX-License-Identifier: Apache-2.0 */
#include "core/alloc.h"
#include "engine/kernel_impl.h"

#include <math.h>

typedef struct arg_kernel {
  qb__kernel base;
  bool largest, last;
  int64_t outer, size, inner; /* elements before the axis, along it and behind it */
} arg_kernel;

/* As numpy does: the first NaN, where there is one, is the largest and the smallest. */
static int64_t find(const arg_kernel *self, const float *x)
{
  int64_t best = 0;
  float found = x[0];
  for (int64_t i = 1; i < self->size && !isnan(found); i++) {
    const float next = x[i * self->inner];
    const bool beyond = self->largest ? next > found : next < found;
    if (beyond || isnan(next) || (self->last && next == found)) {
      found = next;
      best = i;
    }
  }
  return best;
}

static void run(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const arg_kernel *self = (const arg_kernel *)kernel;
  const float *x = arguments[QB__ARG_SOURCE];
  float *y = arguments[QB__ARG_DESTINATION];
#pragma omp parallel for schedule(static) if (self->outer * self->size * self->inner > QB__GRAIN)
  for (int64_t o = 0; o < self->outer * self->inner; o++)
    y[o] = (float)find(self, x + o / self->inner * self->size * self->inner + o % self->inner);
}

qb_status qb__kernel_arg(const qb_context *context, const qb__operator *op, const qb__dims *source,
                         qb__kernel **kernel)
{
  arg_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  const int axis = (int)op->axis + 1;
  *self = (arg_kernel){{run},
                       op->largest,
                       op->last,
                       qb__span(source, 0, axis),
                       source->at[axis],
                       qb__span(source, axis + 1, source->count)};
  *kernel = &self->base;
  return QB_OK;
}
