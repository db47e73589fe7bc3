/* SPDX-License-Identifier: Apache-2.0 */
/* Elements from two or three arrays, each repeated along its dimensions of 1. */
#include "core/alloc.h"
#include "engine/kernel_impl.h"

#include <math.h>

/* Elements that are computed at a time: a repeated one is written out for as many. */
enum { BLOCK = 256 };

typedef struct binary_kernel {
  qb__kernel base;
  qb__op_kind kind;
  int arrays;
  qb__nest nest;
  int64_t parts; /* of a row, for threads */
} binary_kernel;

static inline float floor_modulo(float a, float b)
{
  const float rest = fmodf(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* A result may lie where an input lies. */
#define EACH(expression)                                                                           \
  _Pragma("GCC ivdep") for (int64_t i = 0; i < count; i++)                                         \
  {                                                                                                \
    const float a = x[i], b = y[i];                                                                \
    z[i] = (expression);                                                                           \
  }                                                                                                \
  break

QB__VECTORISED static void combine(qb__op_kind kind, const float *x, const float *y, int64_t count,
                                   float *z)
{
  switch (kind) {
  case QB__OP_ADD: EACH(a + b);
  case QB__OP_SUBTRACT: EACH(a - b);
  case QB__OP_MULTIPLY: EACH(a * b);
  case QB__OP_DIVIDE: EACH(a / b);
  case QB__OP_MAXIMUM: EACH((a > b) | (a != a) ? a : b);
  case QB__OP_MINIMUM: EACH((a < b) | (a != a) ? a : b);
  case QB__OP_POWER: EACH(powf(a, b));
  case QB__OP_MODULO: EACH(fmodf(a, b));
  case QB__OP_FLOOR_MODULO: EACH(floor_modulo(a, b));
  case QB__OP_PRELU: EACH(a < 0 ? b * a : a);
  case QB__OP_EQUAL: EACH(a == b ? 1.0f : 0.0f);
  case QB__OP_LESS: EACH(a < b ? 1.0f : 0.0f);
  case QB__OP_LESS_EQUAL: EACH(a <= b ? 1.0f : 0.0f);
  case QB__OP_GREATER: EACH(a > b ? 1.0f : 0.0f);
  case QB__OP_GREATER_EQUAL: EACH(a >= b ? 1.0f : 0.0f);
  default: break;
  }
}

QB__VECTORISED static void choose(const float *restrict condition, const float *restrict x,
                                  const float *restrict y, int64_t count, float *restrict z)
{
  for (int64_t i = 0; i < count; i++) {
    const float a = x[i], b = y[i];
    z[i] = condition[i] != 0 ? a : b;
  }
}

/* Elements `first` to before `end` of a row. */
static void run_part(const binary_kernel *self, const float *const from[QB__MOST_REPEATED],
                     int64_t first, int64_t end, float *to)
{
  float repeated[QB__MOST_REPEATED][BLOCK];
  for (int a = 0; a < self->arrays; a++)
    for (int64_t i = 0; !self->nest.whole[a] && i < BLOCK && i < end - first; i++)
      repeated[a][i] = *from[a];
  for (int64_t i = first; i < end; i += BLOCK) {
    const int64_t count = end - i < BLOCK ? end - i : BLOCK;
    const float *x[QB__MOST_REPEATED];
    for (int a = 0; a < self->arrays; a++)
      x[a] = self->nest.whole[a] ? from[a] + i : repeated[a];
    if (self->arrays == 3)
      choose(x[0], x[1], x[2], count, to + i);
    else
      combine(self->kind, x[0], x[1], count, to + i);
  }
}

static void run(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  static const qb__argument names[QB__MOST_REPEATED] = {QB__ARG_SOURCE, QB__ARG_ADDEND,
                                                        QB__ARG_WEIGHTS};
  const binary_kernel *self = (const binary_kernel *)kernel;
  const int64_t row = self->nest.row, parts = self->parts;
  float *to = arguments[QB__ARG_DESTINATION];
#pragma omp parallel for schedule(static) if (self->nest.rows * row > 2 * QB__GRAIN)
  for (int64_t i = 0; i < self->nest.rows * parts; i++) {
    int64_t offsets[QB__MOST_REPEATED];
    const float *from[QB__MOST_REPEATED];
    qb__nest_offsets(&self->nest, self->arrays, i / parts, offsets);
    for (int a = 0; a < self->arrays; a++)
      from[a] = arguments[names[a]] + offsets[a];
    const int64_t first = i % parts * QB__GRAIN;
    run_part(self, from, first, row - first < QB__GRAIN ? row : first + QB__GRAIN,
             to + i / parts * row);
  }
}

typedef struct channel_kernel {
  qb__kernel base;
  qb__op_kind kind;
  int64_t blocks, block, places; /* of a sample, in the order they lie in */
  int64_t samples, factors_step; /* from a sample's factors to the next ones */
  int64_t part, parts;           /* places of a block, for threads */
} channel_kernel;

/* Elements of one block of channels, by the block's factors: several times over where it is small. */
static void run_block(const channel_kernel *self, const float *x, const float *factors,
                      int64_t count, float *z)
{
  float tiled[BLOCK];
  int64_t length = self->block;
  if (2 * length <= BLOCK) {
    length = BLOCK / length * length;
    length = count < length ? count : length;
    for (int64_t i = 0; i < length; i++)
      tiled[i] = i < self->block ? factors[i] : tiled[i - self->block];
    factors = tiled;
  }
  for (int64_t i = 0; i < count; i += length)
    combine(self->kind, x + i, factors, count - i < length ? count - i : length, z + i);
}

static void run_by_channel(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const channel_kernel *self = (const channel_kernel *)kernel;
  const int64_t blocks = self->samples * self->blocks, size = self->places * self->block;
#pragma omp parallel for schedule(static) if (blocks * size > 2 * QB__GRAIN)
  for (int64_t i = 0; i < blocks * self->parts; i++) {
    const int64_t at = i / self->parts, first = i % self->parts * self->part;
    const int64_t places = self->places - first < self->part ? self->places - first : self->part;
    const int64_t offset = at * size + first * self->block;
    run_block(self, arguments[QB__ARG_SOURCE] + offset,
              arguments[QB__ARG_ADDEND] + at / self->blocks * self->factors_step +
                  at % self->blocks * self->block,
              places * self->block, arguments[QB__ARG_DESTINATION] + offset);
  }
}

qb_status qb__kernel_by_channel(const qb_context *context, qb__op_kind kind, const qb__dims *dims,
                                int64_t block, bool each_sample, qb__kernel **kernel)
{
  channel_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  const int64_t places = qb__span(dims, 2, dims->count);
  const int64_t part = QB__GRAIN > block ? QB__GRAIN / block : 1;
  *self = (channel_kernel){.base.run = run_by_channel,
                           .kind = kind,
                           .blocks = dims->at[1] / block,
                           .block = block,
                           .places = places,
                           .samples = dims->at[0],
                           .factors_step = each_sample ? dims->at[1] : 0,
                           .part = part,
                           .parts = (places + part - 1) / part};
  *kernel = &self->base;
  return QB_OK;
}

static qb_status make(const qb_context *context, qb__op_kind kind, int arrays,
                      const qb__dims *const *from, const qb__dims *to, qb__kernel **kernel)
{
  binary_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.run = run;
  self->kind = kind;
  self->arrays = arrays;
  qb__nest_make(&self->nest, to, from, arrays);
  self->parts = (self->nest.row + QB__GRAIN - 1) / QB__GRAIN;
  *kernel = &self->base;
  return QB_OK;
}

qb_status qb__kernel_binary(const qb_context *context, qb__op_kind kind, const qb__dims *source,
                            const qb__dims *addend, const qb__dims *to, qb__kernel **kernel)
{
  const qb__dims *const from[2] = {source, addend};
  return make(context, kind, 2, from, to, kernel);
}

qb_status qb__kernel_select(const qb_context *context, const qb__dims *source,
                            const qb__dims *addend, const qb__dims *weights, const qb__dims *to,
                            qb__kernel **kernel)
{
  const qb__dims *const from[3] = {source, addend, weights};
  return make(context, QB__OP_SELECT, 3, from, to, kernel);
}
