/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers and products of integers whose sums 32-bit floats do not hold. Doubles do, so that each
 * sum is rounded once, when it becomes a float.
 */
#include "core/alloc.h"
#include "engine/kernel_impl.h"
#include "engine/window_reach.h"

enum { BLOCK = 64 /* outputs that are computed at a time */ };

/* Adds `terms` elements of x, each times a row of `count` weights. */
QB__VECTORISED static void add_products(const float *restrict x, int64_t x_stride,
                                        const float *restrict weights, int64_t stride,
                                        int64_t terms, int64_t count, double *restrict sums)
{
  for (int64_t t = 0; t < terms; t++) {
    const double factor = x[t * x_stride];
    for (int64_t i = 0; i < count; i++)
      sums[i] += factor * (double)weights[t * stride + i];
  }
}

static int64_t least(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

/* A linear layer is a convolution of single elements over its rows. */
typedef struct layer_kernel {
  qb__kernel base;
  qb__volume in, out; /* of a sample */
  qb__window3 window;
  int64_t batch, groups, channels, outputs; /* of a group the last two */
  int64_t channel_stride, place_stride, output_stride, result_stride;
} layer_kernel;

/* `count` outputs of a group, from `first` on, at a place. */
static void compute(const layer_kernel *self, const float *source, const float *weights,
                    int64_t first, int64_t place, int64_t count, double *sums)
{
  const int64_t all = self->groups * self->outputs, taps = self->window.elements;
  source += first / self->outputs * self->channels * self->channel_stride;
  for (int64_t tap = 0; tap < taps; tap++) {
    const int64_t at = qb__reach(&self->in, &self->out, &self->window, place, tap);
    if (at >= 0)
      add_products(source + at * self->place_stride, self->channel_stride,
                   weights + tap * all + first, taps * all, self->channels, count, sums);
  }
}

static void run_layer(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const layer_kernel *self = (const layer_kernel *)kernel;
  const float *bias = arguments[QB__ARG_BIAS];
  const int64_t blocks = (self->outputs + BLOCK - 1) / BLOCK, places = self->out.elements;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < self->batch * places * self->groups * blocks; i++) {
    const int64_t block = i % blocks, group = i / blocks % self->groups;
    const int64_t place = i / blocks / self->groups % places;
    const int64_t sample = i / blocks / self->groups / places;
    const int64_t first = group * self->outputs + block * BLOCK;
    const int64_t count = least(self->outputs - block * BLOCK, BLOCK);
    const float *source =
        arguments[QB__ARG_SOURCE] + sample * self->groups * self->channels * self->in.elements;
    float *to = arguments[QB__ARG_DESTINATION] + sample * self->groups * self->outputs * places +
                place * self->result_stride;
    double sums[BLOCK];
    for (int64_t o = 0; o < count; o++)
      sums[o] = bias ? (double)bias[first + o] : 0;
    compute(self, source, arguments[QB__ARG_WEIGHTS], first, place, count, sums);
    for (int64_t o = 0; o < count; o++)
      to[(first + o) * self->output_stride] = (float)sums[o];
  }
}

qb_status qb__kernel_integer_layer(const qb_context *context, const qb__graph *graph,
                                   const qb__operator *op, uint32_t batch, qb__kernel **kernel)
{
  const qb__tensor *weights = &graph->tensors[op->weights], *in = &graph->tensors[op->input];
  const bool image = op->kind == QB__OP_CONVOLUTION;
  layer_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.run = run_layer;
  self->batch = batch;
  self->groups = image ? op->groups : 1;
  self->channels = weights->dims[1];
  self->outputs = weights->dims[0] / self->groups;
  if (image) {
    self->in = qb__volume_of(in);
    self->out = qb__volume_of(&graph->tensors[op->output]);
    self->window = qb__window3_of(&op->window, in->rank);
    self->channel_stride = self->in.elements;
    self->output_stride = self->out.elements;
    self->place_stride = self->result_stride = 1;
  } else {
    const int64_t rows = (int64_t)in->elements / self->channels;
    self->in = self->out = (qb__volume){1, {1, 1, rows}, rows};
    self->window = (qb__window3){{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, 1};
    self->channel_stride = self->output_stride = 1;
    self->place_stride = self->channels;
    self->result_stride = self->outputs;
  }
  *kernel = &self->base;
  return QB_OK;
}

typedef struct matmul_kernel {
  qb__kernel base;
  int64_t rows, depth, columns; /* of a result: rows and columns */
  qb__nest nest;                /* over matrices: first, second */
} matmul_kernel;

static void run_matmul(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const matmul_kernel *self = (const matmul_kernel *)kernel;
  const int64_t columns = self->columns, blocks = (columns + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < self->nest.rows * self->nest.row * self->rows * blocks; i++) {
    const int64_t row = i / blocks, matrix = row / self->rows, within = matrix % self->nest.row;
    const int64_t first = i % blocks * BLOCK, count = least(columns - first, BLOCK);
    int64_t offsets[2];
    double sums[BLOCK] = {0};
    qb__nest_offsets(&self->nest, 2, matrix / self->nest.row, offsets);
    const int64_t a = offsets[0] + (self->nest.whole[0] ? within : 0);
    const int64_t b = offsets[1] + (self->nest.whole[1] ? within : 0);
    add_products(arguments[QB__ARG_SOURCE] + (a * self->rows + row % self->rows) * self->depth, 1,
                 arguments[QB__ARG_WEIGHTS] + b * self->depth * columns + first, columns,
                 self->depth, count, sums);
    for (int64_t o = 0; o < count; o++)
      arguments[QB__ARG_DESTINATION][row * columns + first + o] = (float)sums[o];
  }
}

qb_status qb__kernel_integer_matmul(const qb_context *context, const qb__dims *source,
                                    const qb__dims *weights, const qb__dims *to,
                                    qb__kernel **kernel)
{
  qb__dims matrices[3] = {*source, *weights, *to};
  const qb__dims *const from[2] = {&matrices[0], &matrices[1]};
  matmul_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.run = run_matmul;
  self->rows = source->at[source->count - 2];
  self->depth = source->at[source->count - 1];
  self->columns = weights->at[weights->count - 1];
  for (int i = 0; i < 3; i++)
    matrices[i].count -= 2;
  qb__nest_make(&self->nest, &matrices[2], from, 2);
  *kernel = &self->base;
  return QB_OK;
}
