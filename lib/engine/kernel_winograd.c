/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions by minimal filtering, in the layouts of oneDNN's primitives. */
#include "core/alloc.h"
#include "engine/kernel.h"
#include "engine/winograd.h"

#include <math.h>
#include <omp.h>

/*
 * Tiles that a thread computes together: rows of products enough to fill its registers, three times
 * over. Twice or half as many take as long (measured, 64 to 512 channels).
 */
enum { MOST_TILES = 36 };

typedef struct winograd_kernel {
  qb__kernel base;
  qb__winograd_run *run;
  qb__winograd winograd;
  size_t in_first, out_first; /* elements of the memories before the tensors */
  int64_t groups, tiles, blocks;
  size_t scratch; /* elements of a thread */
  int threads;
  bool adds;
} winograd_kernel;

static qb__winograd_run *run_here(void)
{
  return qb__winograd_for(qb__has_avx512(), qb__has_avx2());
}

static bool is_image(const qb__dims *dims, int64_t groups)
{
  return dims->count == 4 && dims->type == QB__TYPE_F32 &&
         dims->at[1] % (groups * QB__WINOGRAD_LANES) == 0;
}

bool qb__winograd_computes(const qb__operator *op, const qb__dims *source,
                           const qb__dims *destination)
{
  const qb__window *w = &op->window;
  bool fits = run_here() && op->kind == QB__OP_CONVOLUTION && op->integer_limit == 0 &&
              !op->requantize.applies && is_image(source, op->groups) &&
              is_image(destination, op->groups);
  for (int i = 0; i < 2; i++)
    fits = fits && w->kernel[i] == 3 && w->strides[i] == 1 && w->dilations[i] == 1;
  return fits && (op->activation == QB__ACTIVATION_NONE || op->activation == QB__ACTIVATION_CLIP ||
                  (op->activation == QB__ACTIVATION_RELU && op->alpha == 0));
}

/* Where channels lie next to each other, in blocks of 16 or all of them. */
static bool read_layout(const qb__layout *layout, const qb__dims *dims, int64_t groups,
                        qb__images *images, size_t *first)
{
  qb__blocking b;
  if (!qb__layout_blocking(layout, &b) || b.count != 4)
    return false;
  const bool blocked =
      b.inner_count == 1 && b.inner_dims[0] == 1 && b.inner_blocks[0] == QB__WINOGRAD_LANES;
  if (!blocked && (b.inner_count != 0 || b.strides[1] != 1))
    return false;
  *first = (size_t)b.first;
  *images = (qb__images){.height = dims->at[2],
                         .width = dims->at[3],
                         .channels = dims->at[1] / groups,
                         .image = b.strides[0],
                         .block = blocked ? b.strides[1] : QB__WINOGRAD_LANES,
                         .row = b.strides[2],
                         .pixel = b.strides[3]};
  return true;
}

bool qb__winograd_reads(const qb__layout *layout, const qb__dims *dims)
{
  qb__images images;
  size_t first;
  return read_layout(layout, dims, 1, &images, &first);
}

void qb__winograd_weights_dims(const qb__dims *weights, qb__dims *transformed)
{
  const bool grouped = weights->count > 4;
  const int64_t *group = &weights->at[grouped]; /* [outputs][inputs][3][3] */
  *transformed = (qb__dims){5,
                            {grouped ? weights->at[0] : 1, QB__WINOGRAD_POINTS,
                             group[0] / QB__WINOGRAD_LANES, group[1], QB__WINOGRAD_LANES},
                            QB__TYPE_F32};
}

/* A group's part of a block of tiles. */
static void run_block(const winograd_kernel *self, int64_t group, int64_t block,
                      float *const arguments[QB__ARG_COUNT])
{
  const qb__winograd *w = &self->winograd;
  const int64_t inputs = w->in.channels, outputs = w->out.channels;
  const int64_t first = self->tiles * block / self->blocks,
                end = self->tiles * (block + 1) / self->blocks;
  const float *bias = arguments[QB__ARG_BIAS];
  self->run(w,
            arguments[QB__ARG_SOURCE] + self->in_first +
                group * inputs / QB__WINOGRAD_LANES * w->in.block,
            arguments[QB__ARG_WEIGHTS] + group * QB__WINOGRAD_POINTS * inputs * outputs,
            bias ? bias + group * outputs : NULL, first, end - first, self->adds,
            arguments[QB__ARG_SCRATCHPAD] + (size_t)omp_get_thread_num() * self->scratch,
            arguments[QB__ARG_DESTINATION] + self->out_first +
                group * outputs / QB__WINOGRAD_LANES * w->out.block);
}

static void run(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const winograd_kernel *self = (const winograd_kernel *)kernel;
#pragma omp parallel for schedule(static) num_threads(self->threads)
  for (int64_t i = 0; i < self->groups * self->blocks; i++)
    run_block(self, i / self->blocks, i % self->blocks, arguments);
}

static float highest(const qb__operator *op)
{
  return op->activation == QB__ACTIVATION_CLIP ? op->beta : INFINITY;
}

static float lowest(const qb__operator *op)
{
  switch (op->activation) {
  case QB__ACTIVATION_CLIP: return op->alpha;
  case QB__ACTIVATION_RELU: return 0;
  default: return -INFINITY;
  }
}

qb_status qb__kernel_winograd(const qb_context *context, const qb__operator *op,
                              const qb__dims *source_dims, const qb__layout *source,
                              const qb__dims *destination_dims, const qb__layout *destination,
                              qb__kernel **kernel, size_t *scratchpad_bytes)
{
  winograd_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  qb__winograd *w = &self->winograd;
  if (!read_layout(source, source_dims, op->groups, &w->in, &self->in_first) ||
      !read_layout(destination, destination_dims, op->groups, &w->out, &self->out_first)) {
    qb__free(context, self);
    return QB_ERROR_UNSUPPORTED;
  }
  self->base.run = run;
  self->run = run_here();
  self->groups = op->groups;
  self->adds = op->addend != QB__NONE;
  self->threads = omp_get_max_threads();
  w->top = op->window.pad_before[0];
  w->left = op->window.pad_before[1];
  w->down = (w->out.height + QB__WINOGRAD_OUT - 1) / QB__WINOGRAD_OUT;
  w->across = (w->out.width + QB__WINOGRAD_OUT - 1) / QB__WINOGRAD_OUT;
  w->low = lowest(op);
  w->high = highest(op);
  self->tiles = source_dims->at[0] * w->down * w->across;
  const int64_t most = (int64_t)MOST_TILES * self->threads;
  self->blocks = (self->tiles + most - 1) / most * self->threads;
  w->scratch_rows = (self->tiles + self->blocks - 1) / self->blocks;
  self->scratch = qb__winograd_scratch(w);
  *scratchpad_bytes = sizeof(float) * self->scratch * (size_t)self->threads;
  *kernel = &self->base;
  return QB_OK;
}
