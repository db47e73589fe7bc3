/* SPDX-License-Identifier: Apache-2.0 */
#include "core/alloc.h"
#include "engine/reference_impl.h"
#include "engine/window_reach.h"

#include <math.h>

/* Sums are doubles: the reference is the truth. */
qb_status qb__reference_convolve(const qb__graph *g, const qb__operator *op, const float *x,
                                 float *y)
{
  const qb__tensor *weights = &g->tensors[op->weights];
  const qb__volume in = qb__volume_of(&g->tensors[op->input]),
                   out = qb__volume_of(&g->tensors[op->output]);
  const qb__window3 w = qb__window3_of(&op->window, g->tensors[op->input].rank);
  const bool transposed = op->kind == QB__OP_DECONVOLUTION;
  /* A deconvolution is a convolution whose window slides over the output. */
  const qb__volume *slid = transposed ? &out : &in, *places = transposed ? &in : &out;
  const int64_t per_group = weights->dims[1], outputs = weights->dims[0] / op->groups;
  double *sums = qb__calloc(g->context, (size_t)out.elements, sizeof *sums);
  int64_t *reached = qb__calloc(g->context, (size_t)places->elements, sizeof *reached);
  for (int64_t o = 0; sums && reached && o < out.channels; o++) {
    for (int64_t i = 0; i < out.elements; i++)
      sums[i] = op->bias == QB__NONE ? 0 : g->tensors[op->bias].constant[o];
    for (int64_t tap = 0; tap < w.elements; tap++) {
      for (int64_t i = 0; i < places->elements; i++)
        reached[i] = qb__reach(slid, places, &w, i, tap);
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
  const qb__volume in = qb__volume_of(&g->tensors[op->input]),
                   out = qb__volume_of(&g->tensors[op->output]);
  const qb__window3 w = qb__window3_of(&op->window, g->tensors[op->input].rank);
  for (int64_t c = 0; c < out.channels; c++)
    for (int64_t i = 0; i < out.elements; i++) {
      double sum = 0, largest = -INFINITY;
      int64_t count = 0;
      for (int64_t tap = 0; tap < w.elements; tap++) {
        const int64_t from = qb__reach(&in, &out, &w, i, tap);
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
