/* SPDX-License-Identifier: Apache-2.0 */
/* Values, repeated arrays and whole tensors written out. */
#include "core/alloc.h"
#include "core/error.h"
#include "engine/elements.h"
#include "engine/kernel_impl.h"

#include <string.h>

typedef struct fill_kernel {
  qb__kernel base;
  size_t count;
  float value;
} fill_kernel;

QB__VECTORISED static void fill(float *to, int64_t count, float value)
{
  for (int64_t i = 0; i < count; i++)
    to[i] = value;
}

static void run_fill(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const fill_kernel *self = (const fill_kernel *)kernel;
  const int64_t count = (int64_t)self->count;
  float *to = arguments[QB__ARG_DESTINATION];
#pragma omp parallel for schedule(static) if (count > 4 * QB__GRAIN)
  for (int64_t i = 0; i < count; i += QB__GRAIN)
    fill(to + i, count - i < QB__GRAIN ? count - i : QB__GRAIN, self->value);
}

qb_status qb__kernel_fill(const qb_context *context, size_t count, float value, qb__kernel **kernel)
{
  fill_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  *self = (fill_kernel){{run_fill}, count, value};
  *kernel = &self->base;
  return QB_OK;
}

typedef struct repeat_kernel {
  qb__kernel base;
  qb__nest nest;
} repeat_kernel;

static void run_repeat(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const qb__nest *nest = &((const repeat_kernel *)kernel)->nest;
  const float *from = arguments[QB__ARG_SOURCE];
  float *to = arguments[QB__ARG_DESTINATION];
#pragma omp parallel for schedule(static) if (nest->rows * nest->row > 4 * QB__GRAIN)
  for (int64_t i = 0; i < nest->rows; i++) {
    int64_t offset;
    qb__nest_offsets(nest, 1, i, &offset);
    if (nest->whole[0])
      memcpy(to + i * nest->row, from + offset, (size_t)nest->row * sizeof *to);
    else
      fill(to + i * nest->row, nest->row, from[offset]);
  }
}

qb_status qb__kernel_repeat(const qb_context *context, const qb__dims *from, const qb__dims *to,
                            qb__kernel **kernel)
{
  repeat_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.run = run_repeat;
  qb__nest_make(&self->nest, to, &from, 1);
  *kernel = &self->base;
  return QB_OK;
}

typedef struct move_kernel {
  qb__kernel base;
  qb__dims dims, room; /* room: padding to whole blocks included */
  qb__blocking from, to;
  qb__type from_type, to_type;
} move_kernel;

static void move_row(const move_kernel *self, const void *from, void *to, int64_t row)
{
  const int last = self->dims.count - 1;
  int64_t at[QB__ONEDNN_DIMS] = {0};
  bool inside = true;
  for (int d = last - 1; d >= 0; row /= self->room.at[d], d--) {
    at[d] = row % self->room.at[d];
    inside = inside && at[d] < self->dims.at[d];
  }
  for (; at[last] < self->room.at[last]; at[last]++) {
    const float value = inside && at[last] < self->dims.at[last]
                            ? qb__load(self->from_type, from, qb__blocked_offset(&self->from, at))
                            : 0;
    qb__store(self->to_type, value, to, qb__blocked_offset(&self->to, at));
  }
}

static void run_move(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const move_kernel *self = (const move_kernel *)kernel;
  const int64_t rows = qb__span(&self->room, 0, self->room.count - 1);
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; row++)
    move_row(self, arguments[QB__ARG_SOURCE], arguments[QB__ARG_DESTINATION], row);
}

qb_status qb__kernel_move(const qb_context *context, const qb__dims *dims, const qb__layout *from,
                          const qb__layout *to, qb__kernel **kernel)
{
  move_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.run = run_move;
  self->dims = self->room = *dims;
  self->from_type = qb__layout_type(from);
  self->to_type = qb__layout_type(to);
  if (!qb__layout_blocking(from, &self->from) || !qb__layout_blocking(to, &self->to)) {
    qb__free(context, self);
    return qb__fail(QB_ERROR_UNSUPPORTED, "a tensor is in a layout that only oneDNN can read");
  }
  qb__blocking_room(&self->to, &self->room);
  *kernel = &self->base;
  return QB_OK;
}
