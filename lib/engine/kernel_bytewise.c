/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LRN and average pools between bytes whose channels are last: one pass reads bytes, computes in floats
 * and writes bytes.
 */
#include "core/alloc.h"
#include "engine/kernel_impl.h"
#include "engine/kernel_math.h"
#include "engine/window_reach.h"

enum { CHANNELS = 256 /* computed at a time */, SIGN = 128 };

/* Bytes with a sign are those without one that are SIGN more, with another highest bit. */
typedef struct bytes {
  uint8_t read_flip, write_flip; /* SIGN where bytes have a sign */
  float zero;                    /* of what is read, in steps */
  float factor, offset;          /* steps of the result for one of the input; its zero point */
} bytes;

static inline float steps_of(uint8_t byte, uint8_t flip, float zero)
{
  return (float)(byte ^ flip) - zero;
}

static inline uint8_t byte_of(float steps, float offset, uint8_t flip)
{
  const float rounded = nearbyintf(steps) + offset;
  const float bounded = rounded > 0 ? rounded : 0;
  return (uint8_t)((int32_t)(bounded < 255 ? bounded : 255) ^ flip);
}

static bytes bytes_of(const qb__graph *graph, const qb__operator *op)
{
  const qb__requantize *r = &op->requantize;
  const uint8_t read_flip = graph->tensors[op->input].type == QB__TYPE_S8 ? SIGN : 0;
  const uint8_t write_flip = graph->tensors[op->output].type == QB__TYPE_S8 ? SIGN : 0;
  return (bytes){read_flip, write_flip, r->offset + (float)read_flip, r->step * r->last_step,
                 r->last_offset + (float)write_flip};
}

static int64_t least(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

typedef struct lrn_kernel {
  qb__kernel base;
  bytes bytes;
  int64_t pixels, channels, half; /* pixels: of all samples; half: channels on either side */
  float k, alpha, beta;           /* alpha: of a square in steps */
} lrn_kernel;

QB__VECTORISED static void normalise(const lrn_kernel *self, const uint8_t *restrict x,
                                     int64_t pixels, uint8_t *restrict y)
{
  const bytes b = self->bytes;
  const float k = self->k, alpha = self->alpha, beta = self->beta;
  const int64_t channels = self->channels, half = self->half;
  for (int64_t i = 0; i < pixels * channels; i += channels)
    for (int64_t first = 0; first < channels; first += CHANNELS) {
      const int64_t count = least(channels - first, CHANNELS);
      const uint8_t *from = x + i + first;
      float squares[CHANNELS];
      for (int64_t c = 0; c < count; c++)
        squares[c] = 0;
      for (int64_t shift = most(-half, 1 - first - count); shift <= half; shift++) {
        const int64_t end = least(count, channels - first - shift);
        for (int64_t c = most(0, -shift - first); c < end; c++) {
          const float steps = steps_of(from[c + shift], b.read_flip, b.zero);
          squares[c] += steps * steps;
        }
      }
      for (int64_t c = 0; c < count; c++) {
        const float power = qb__expf(-beta * qb__logf(k + alpha * squares[c]));
        const float steps = steps_of(from[c], b.read_flip, b.zero);
        y[i + first + c] = byte_of(steps * power * b.factor, b.offset, b.write_flip);
      }
    }
}

static void run_lrn(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const lrn_kernel *self = (const lrn_kernel *)kernel;
  const uint8_t *from = (const uint8_t *)arguments[QB__ARG_SOURCE];
  uint8_t *to = (uint8_t *)arguments[QB__ARG_DESTINATION];
  const int64_t channels = self->channels, part = QB__GRAIN / channels + 1;
#pragma omp parallel for schedule(static) if (self->pixels * channels > 2 * QB__GRAIN)
  for (int64_t i = 0; i < self->pixels; i += part)
    normalise(self, from + i * channels, least(part, self->pixels - i), to + i * channels);
}

static qb_status make_lrn(const qb_context *context, const qb__graph *graph, const qb__operator *op,
                          uint32_t batch, qb__kernel **kernel)
{
  const qb__tensor *in = &graph->tensors[op->input];
  const double step = op->requantize.step;
  lrn_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.run = run_lrn;
  self->bytes = bytes_of(graph, op);
  self->channels = in->dims[0];
  self->pixels = batch * ((int64_t)in->elements / self->channels);
  self->half = least(op->lrn_size / 2, self->channels - 1);
  self->k = op->lrn_k;
  self->alpha = (float)(op->lrn_alpha / (double)op->lrn_size * step * step);
  self->beta = op->lrn_beta;
  *kernel = &self->base;
  return QB_OK;
}

typedef struct pool_kernel {
  qb__kernel base;
  bytes bytes;
  qb__volume in, out;
  qb__window3 window;
  bool include_padding;
  int64_t batch;
} pool_kernel;

QB__VECTORISED static void add_bytes(const uint8_t *restrict x, uint8_t flip, int64_t count,
                                     int32_t *restrict sums)
{
  for (int64_t i = 0; i < count; i++)
    sums[i] += x[i] ^ flip;
}

QB__VECTORISED static void write_sums(const int32_t *restrict sums, float zero, float factor,
                                      float offset, uint8_t flip, int64_t count,
                                      uint8_t *restrict y)
{
  for (int64_t i = 0; i < count; i++)
    y[i] = byte_of(((float)sums[i] - zero) * factor, offset, flip);
}

/* The pixel that a tap of the window reads if its first one reads `start`; -1 in the padding. */
static int64_t pixel(const pool_kernel *self, const int64_t *start, const int64_t *tap)
{
  int64_t index = 0;
  for (int d = 0; d < 3; d++) {
    const int64_t at = start[d] + tap[d] * self->window.dilations[d];
    if (at < 0 || at >= self->in.size[d])
      return -1;
    index = index * self->in.size[d] + at;
  }
  return index;
}

/* Adds what the window reads of `count` channels at a place of the result. @return how many pixels */
static int64_t add_window(const pool_kernel *self, const uint8_t *x, int64_t place, int64_t count,
                          int32_t *sums)
{
  const qb__window3 *w = &self->window;
  int64_t start[3], tap[3], pixels = 0;
  for (int d = 2; d >= 0; d--) {
    start[d] = place % self->out.size[d] * w->strides[d] - w->pad_before[d];
    place /= self->out.size[d];
  }
  for (tap[0] = 0; tap[0] < w->kernel[0]; tap[0]++)
    for (tap[1] = 0; tap[1] < w->kernel[1]; tap[1]++)
      for (tap[2] = 0; tap[2] < w->kernel[2]; tap[2]++) {
        const int64_t at = pixel(self, start, tap);
        if (at < 0)
          continue;
        add_bytes(x + at * self->in.channels, self->bytes.read_flip, count, sums);
        pixels++;
      }
  return pixels;
}

static void run_pool(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const pool_kernel *self = (const pool_kernel *)kernel;
  const bytes *b = &self->bytes;
  const int64_t channels = self->in.channels, places = self->out.elements;
  const int64_t blocks = (channels + CHANNELS - 1) / CHANNELS;
#pragma omp parallel for schedule(static) if (self->batch * self->in.elements * channels >         \
                                              2 * QB__GRAIN)
  for (int64_t i = 0; i < self->batch * places * blocks; i++) {
    const int64_t first = i % blocks * CHANNELS, at = i / blocks, sample = at / places;
    const int64_t count = least(channels - first, CHANNELS);
    const uint8_t *from = (const uint8_t *)arguments[QB__ARG_SOURCE];
    uint8_t *to = (uint8_t *)arguments[QB__ARG_DESTINATION];
    int32_t sums[CHANNELS] = {0};
    const int64_t pixels = add_window(self, from + sample * self->in.elements * channels + first,
                                      at % places, count, sums);
    const float divisor = (float)(self->include_padding ? self->window.elements : pixels);
    write_sums(sums, b->zero * (float)pixels, b->factor / divisor, b->offset, b->write_flip, count,
               to + at * channels + first);
  }
}

static qb_status make_pool(const qb_context *context, const qb__graph *graph,
                           const qb__operator *op, uint32_t batch, qb__kernel **kernel)
{
  const qb__tensor *in = &graph->tensors[op->input];
  pool_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.run = run_pool;
  self->bytes = bytes_of(graph, op);
  self->in = qb__volume_of(in);
  self->out = qb__volume_of(&graph->tensors[op->output]);
  self->window = qb__window3_of(&op->window, in->rank);
  self->include_padding = op->include_padding;
  self->batch = batch;
  *kernel = &self->base;
  return QB_OK;
}

bool qb__kernel_computes_bytewise(const qb__operator *op, uint32_t rank, float step)
{
  const double squares = (double)op->lrn_alpha * (double)step * (double)step;
  if (op->kind == QB__OP_AVERAGE_POOL)
    return qb__window3_of(&op->window, rank).elements <= INT32_MAX / UINT8_MAX;
  return op->kind == QB__OP_LRN && op->lrn_k > 0 && op->lrn_alpha >= 0 && op->lrn_beta >= 0 &&
         squares <= FLT_MAX;
}

qb_status qb__kernel_bytewise(const qb_context *context, const qb__graph *graph,
                              const qb__operator *op, uint32_t batch, qb__kernel **kernel)
{
  return (op->kind == QB__OP_LRN ? make_lrn : make_pool)(context, graph, op, batch, kernel);
}
