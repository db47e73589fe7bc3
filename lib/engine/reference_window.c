/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/reference_impl.h"

#include "core/alloc.h"

#include <math.h>

/* An image of any number of dimensions as channels of depth x rows x columns. */
typedef struct volume {
  int64_t channels, size[3], elements; /* elements: of a channel */
} volume;

static volume volume_of(const qb__tensor *t)
{
  volume v = {t->dims[0], {1, 1, 1}, 1};
  for (uint32_t i = 1; i < t->rank; i++) {
    v.size[2 - (t->rank - 1 - i)] = t->dims[i];
    v.elements *= t->dims[i];
  }
  return v;
}

/* The same of a window: dimensions an image does not have slide over 1. */
typedef struct window3 {
  int64_t kernel[3], strides[3], dilations[3], pad_before[3], elements;
} window3;

static window3 window_of(const qb__window *w, uint32_t rank)
{
  window3 v = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, 1};
  for (uint32_t i = 1; i < rank; i++) {
    const uint32_t to = 2 - (rank - 1 - i);
    v.kernel[to] = w->kernel[i - 1];
    v.strides[to] = w->strides[i - 1];
    v.dilations[to] = w->dilations[i - 1];
    v.pad_before[to] = w->pad_before[i - 1];
    v.elements *= w->kernel[i - 1];
  }
  return v;
}

/*
 * The element of `image` that element `tap` of the window reads at element `place` of what it
 * slides to; -1 in the padding.
 */
static int64_t reach(const volume *image, const volume *places, const window3 *w, int64_t place,
                     int64_t tap)
{
  int64_t index = 0, step = 1;
  for (int i = 2; i >= 0; i--) {
    const int64_t at = place % places->size[i] * w->strides[i] +
                       tap % w->kernel[i] * w->dilations[i] - w->pad_before[i];
    if (at < 0 || at >= image->size[i])
      return -1;
    index += at * step;
    step *= image->size[i];
    place /= places->size[i];
    tap /= w->kernel[i];
  }
  return index;
}

/* Sums are doubles: the reference is the truth. */
qb_status qb__reference_convolve(const qb__graph *g, const qb__operator *op, const float *x,
                                 float *y)
{
  const qb__tensor *weights = &g->tensors[op->weights];
  const volume in = volume_of(&g->tensors[op->input]), out = volume_of(&g->tensors[op->output]);
  const window3 w = window_of(&op->window, g->tensors[op->input].rank);
  const bool transposed = op->kind == QB__OP_DECONVOLUTION;
  /* A deconvolution is a convolution whose window slides over the output. */
  const volume *slid = transposed ? &out : &in, *places = transposed ? &in : &out;
  const int64_t per_group = weights->dims[1], outputs = weights->dims[0] / op->groups;
  double *sums = qb__calloc(g->context, (size_t)out.elements, sizeof *sums);
  int64_t *reached = qb__calloc(g->context, (size_t)places->elements, sizeof *reached);
  for (int64_t o = 0; sums && reached && o < out.channels; o++) {
    for (int64_t i = 0; i < out.elements; i++)
      sums[i] = op->bias == QB__NONE ? 0 : g->tensors[op->bias].constant[o];
    for (int64_t tap = 0; tap < w.elements; tap++) {
      for (int64_t i = 0; i < places->elements; i++)
        reached[i] = reach(slid, places, &w, i, tap);
      for (int64_t c = 0; c < per_group; c++) {
        const float *plane = x + (o / outputs * per_group + c) * in.elements;
        const double weight = weights->constant[(o * per_group + c) * w.elements + tap];
        for (int64_t i = 0; i < places->elements; i++)
          if (reached[i] >= 0)
            sums[transposed ? reached[i] : i] += weight * plane[transposed ? i : reached[i]];
      }
    }
    for (int64_t i = 0; i < out.elements; i++)
      *y++ = (float)sums[i];
  }
  const qb_status status = sums && reached ? QB_OK : QB_ERROR_NO_MEMORY;
  qb__free(g->context, sums);
  qb__free(g->context, reached);
  return status;
}

void qb__reference_pool(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const volume in = volume_of(&g->tensors[op->input]), out = volume_of(&g->tensors[op->output]);
  const window3 w = window_of(&op->window, g->tensors[op->input].rank);
  for (int64_t c = 0; c < out.channels; c++)
    for (int64_t i = 0; i < out.elements; i++) {
      double sum = 0, largest = -INFINITY;
      int64_t count = 0;
      for (int64_t tap = 0; tap < w.elements; tap++) {
        const int64_t from = reach(&in, &out, &w, i, tap);
        if (from < 0)
          continue;
        const double value = x[c * in.elements + from];
        sum += value;
        largest = value > largest || isnan(value) ? value : largest;
        count++;
      }
      *y++ = (float)(op->kind == QB__OP_MAX_POOL
                         ? largest
                         : sum / (double)(op->include_padding ? w.elements : count));
    }
}
