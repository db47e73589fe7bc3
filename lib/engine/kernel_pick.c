/* SPDX-License-Identifier: Apache-2.0 */
/* One axis anew from elements of it: copies and interpolations. */
#include "core/alloc.h"
#include "engine/kernel_impl.h"

#include <string.h>

/* With fewer elements behind the axis, whole rows along it are computed at a time. */
enum { SHORT = 16, MOST_SOURCES = 2 };

typedef struct pick_kernel {
  qb__kernel base;
  const qb__operator *op;
  int64_t outer, to, inner; /* elements before the axis, along the result's, and behind it */
  int64_t from[MOST_SOURCES];
  bool zipped; /* single elements, by turns of two runs */
} pick_kernel;

/* The same place along all axes before the one in question. */
typedef struct place {
  const float *from[MOST_SOURCES];
  float *to;
} place;

static place place_of(const pick_kernel *self, float *const arguments[QB__ARG_COUNT], int64_t outer)
{
  place p = {{arguments[QB__ARG_SOURCE] + outer * self->from[0] * self->inner, NULL},
             arguments[QB__ARG_DESTINATION] + outer * self->to * self->inner};
  if (self->from[1])
    p.from[1] = arguments[QB__ARG_ADDEND] + outer * self->from[1] * self->inner;
  return p;
}

/* What is behind the axis at one of its elements, along both sources. */
static inline const float *element(const pick_kernel *self, const place *p, int64_t index)
{
  return index < self->from[0] ? p->from[0] + index * self->inner
                               : p->from[1] + (index - self->from[0]) * self->inner;
}

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

/* Element `at` along the axis, for all that is behind it. */
static void mix(const pick_kernel *self, const place *p, int64_t at)
{
  const qb__operator *op = self->op;
  float *y = p->to + at * self->inner;
  for (uint32_t t = 0; t < op->taps; t++) {
    const int64_t tap = at * op->taps + t, index = op->indices[tap];
    const float factor = op->factors ? op->factors[tap] : 1;
    if (index < 0 && t == 0)
      memset(y, 0, (size_t)self->inner * sizeof *y);
    if (index < 0)
      add_value(factor * op->value, self->inner, y);
    else
      (t == 0 ? scale : add_scaled)(element(self, p, index), factor, self->inner, y);
  }
}

static void copy(const pick_kernel *self, const place *p, int64_t at)
{
  const int64_t index = self->op->indices[at];
  float *y = p->to + at * self->inner;
  if (index >= 0)
    memcpy(y, element(self, p, index), (size_t)self->inner * sizeof *y);
  else
    for (int64_t i = 0; i < self->inner; i++)
      y[i] = self->op->value;
}

static void copy_row(const pick_kernel *self, const place *p)
{
  const int64_t *indices = self->op->indices;
  float *y = p->to;
  for (int64_t i = 0; i < self->to; i++) {
    const float *x = indices[i] < 0 ? NULL : element(self, p, indices[i]);
    for (int64_t j = 0; j < self->inner; j++)
      *y++ = x ? x[j] : self->op->value;
  }
}

QB__VECTORISED static void zip(const float *restrict a, const float *restrict b, int64_t pairs,
                               float *restrict y)
{
  for (int64_t i = 0; i < pairs; i++) {
    y[2 * i] = a[i];
    y[2 * i + 1] = b[i];
  }
}

static void zip_row(const pick_kernel *self, const place *p)
{
  const int64_t *indices = self->op->indices;
  zip(element(self, p, indices[0]), element(self, p, indices[1]), self->to / 2, p->to);
  if (self->to % 2)
    p->to[self->to - 1] = *element(self, p, indices[self->to - 1]);
}

/* Whether `count` indices are by turns those of two runs, each within one source. */
static bool is_zip(const int64_t *indices, int64_t count, int64_t first_source)
{
  bool zipped = count >= 2 && indices[0] >= 0 && indices[1] >= 0;
  for (int64_t i = 2; zipped && i < count; i++)
    zipped = indices[i] == indices[i - 2] + 1 && indices[i] != first_source;
  return zipped;
}

static void mix_row(const pick_kernel *self, const place *p)
{
  const qb__operator *op = self->op;
  float *y = p->to;
  for (int64_t i = 0; i < self->to; i++)
    for (int64_t j = 0; j < self->inner; j++) {
      float sum = 0;
      for (uint32_t t = 0; t < op->taps; t++) {
        const int64_t tap = i * op->taps + t, index = op->indices[tap];
        const float value = index < 0 ? op->value : element(self, p, index)[j];
        sum += (op->factors ? op->factors[tap] : 1) * value;
      }
      *y++ = sum;
    }
}

static void run(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const pick_kernel *self = (const pick_kernel *)kernel;
  const bool copies = self->op->taps == 1 && !self->op->factors, rows = self->inner < SHORT;
  const int64_t parts = rows ? 1 : self->to;
#pragma omp parallel for schedule(static) if (self->outer * self->to * self->inner > 2 * QB__GRAIN)
  for (int64_t i = 0; i < self->outer * parts; i++) {
    const place p = place_of(self, arguments, i / parts);
    if (rows)
      (self->zipped ? zip_row : copies ? copy_row : mix_row)(self, &p);
    else
      (copies ? copy : mix)(self, &p, i % parts);
  }
}

qb_status qb__kernel_pick(const qb_context *context, const qb__operator *op,
                          const qb__dims *const *from, const qb__dims *to, bool channels_last,
                          qb__kernel **kernel)
{
  pick_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  const int axis = (int)op->axis + 1, last = to->count;
  *self =
      (pick_kernel){{run}, op, qb__span(to, 0, axis), to->at[axis], qb__span(to, axis + 1, last)};
  if (channels_last && axis == 1) {
    self->outer *= self->inner;
    self->inner = 1;
  } else if (channels_last) {
    self->outer /= to->at[1];
    self->inner *= to->at[1];
  }
  for (size_t i = 0; i <= op->rest_count; i++)
    self->from[i] = from[i]->at[axis];
  self->zipped = self->inner == 1 && op->taps == 1 && !op->factors &&
                 is_zip(op->indices, self->to, self->from[0]);
  *kernel = &self->base;
  return QB_OK;
}
