/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/reference.h"

#include "core/alloc.h"
#include "core/error.h"

#include <float.h>
#include <math.h>
#include <string.h>

/*
 * One output channel of a convolution of one sample. Sums are doubles: the reference is the truth.
 */
static void convolve_channel(const qb__graph *g, const qb__operator *op, const float *x, int64_t o,
                             double *sums, float *y)
{
  const qb__tensor *in = &g->tensors[op->input], *w = &g->tensors[op->weights];
  const qb__tensor *out = &g->tensors[op->output];
  const qb__window *win = &op->window;
  const int64_t ih = in->dims[1], iw = in->dims[2], oh = out->dims[1], ow = out->dims[2];
  const int64_t per_group = w->dims[1], group = o / (w->dims[0] / op->groups);
  for (int64_t i = 0; i < oh * ow; i++)
    sums[i] = op->bias == QB__NONE ? 0 : g->tensors[op->bias].constant[o];
  for (int64_t c = 0; c < per_group; c++) {
    const float *plane = x + (group * per_group + c) * ih * iw;
    for (int64_t ky = 0; ky < win->kernel[0]; ky++)
      for (int64_t kx = 0; kx < win->kernel[1]; kx++) {
        const float weight =
            w->constant[((o * per_group + c) * win->kernel[0] + ky) * win->kernel[1] + kx];
        for (int64_t row = 0; row < oh; row++) {
          const int64_t sy = row * win->strides[0] + ky * win->dilations[0] - win->pad_before[0];
          if (sy < 0 || sy >= ih)
            continue;
          const int64_t shift = kx * win->dilations[1] - win->pad_before[1];
          for (int64_t col = 0; col < ow; col++) {
            const int64_t sx = col * win->strides[1] + shift;
            if (sx >= 0 && sx < iw)
              sums[row * ow + col] += (double)weight * plane[sy * iw + sx];
          }
        }
      }
  }
  for (int64_t i = 0; i < oh * ow; i++)
    y[o * oh * ow + i] = (float)sums[i];
}

static qb_status convolve(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *out = &g->tensors[op->output];
  double *sums = qb__calloc(g->context, (size_t)(out->dims[1] * out->dims[2]), sizeof *sums);
  if (!sums)
    return QB_ERROR_NO_MEMORY;
  for (int64_t o = 0; o < out->dims[0]; o++)
    convolve_channel(g, op, x, o, sums, y);
  qb__free(g->context, sums);
  return QB_OK;
}

static void dense(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *w = &g->tensors[op->weights];
  for (int64_t o = 0; o < w->dims[0]; o++) {
    double sum = op->bias == QB__NONE ? 0 : g->tensors[op->bias].constant[o];
    for (int64_t i = 0; i < w->dims[1]; i++)
      sum += (double)w->constant[o * w->dims[1] + i] * x[i];
    y[o] = (float)sum;
  }
}

static void pool(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *in = &g->tensors[op->input], *out = &g->tensors[op->output];
  const qb__window *win = &op->window;
  for (int64_t c = 0; c < out->dims[0]; c++)
    for (int64_t row = 0; row < out->dims[1]; row++)
      for (int64_t col = 0; col < out->dims[2]; col++) {
        double sum = 0, largest = -DBL_MAX;
        int64_t count = 0;
        for (int64_t ky = 0; ky < win->kernel[0]; ky++)
          for (int64_t kx = 0; kx < win->kernel[1]; kx++) {
            const int64_t sy = row * win->strides[0] + ky * win->dilations[0] - win->pad_before[0];
            const int64_t sx = col * win->strides[1] + kx * win->dilations[1] - win->pad_before[1];
            if (sy < 0 || sy >= in->dims[1] || sx < 0 || sx >= in->dims[2])
              continue;
            const double value = x[(c * in->dims[1] + sy) * in->dims[2] + sx];
            sum += value;
            largest = value > largest ? value : largest;
            count++;
          }
        *y++ = (float)(op->kind == QB__OP_MAX_POOL ? largest : sum / (double)count);
      }
}

static void normalise(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *t = &g->tensors[op->output];
  const int64_t channels = t->dims[0], plane = t->dims[1] * t->dims[2], half = op->lrn_size / 2;
  for (int64_t c = 0; c < channels; c++)
    for (int64_t i = 0; i < plane; i++) {
      double squares = 0;
      for (int64_t n = c - half; n <= c + half; n++)
        if (n >= 0 && n < channels)
          squares += (double)x[n * plane + i] * x[n * plane + i];
      const double scale = op->lrn_k + op->lrn_alpha / (double)op->lrn_size * squares;
      y[c * plane + i] = (float)(x[c * plane + i] * pow(scale, -op->lrn_beta));
    }
}

static void batch_norm(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *t = &g->tensors[op->output];
  const size_t plane = t->elements / (size_t)t->dims[0];
  for (size_t c = 0; c < (size_t)t->dims[0]; c++) {
    const double scale = g->tensors[op->weights].constant[c] /
                         sqrt((double)g->tensors[op->variance].constant[c] + op->epsilon);
    for (size_t i = c * plane; i < (c + 1) * plane; i++)
      y[i] = (float)((x[i] - (double)g->tensors[op->mean].constant[c]) * scale +
                     g->tensors[op->bias].constant[c]);
  }
}

static void softmax(const float *x, float *y, size_t count)
{
  double largest = x[0], sum = 0;
  for (size_t i = 0; i < count; i++)
    largest = x[i] > largest ? x[i] : largest;
  for (size_t i = 0; i < count; i++)
    sum += exp(x[i] - largest);
  for (size_t i = 0; i < count; i++)
    y[i] = (float)(exp(x[i] - largest) / sum);
}

static qb_status run_operator(const qb__graph *g, const qb__operator *op, const float *x,
                              const float *addend, float *y)
{
  const size_t count = g->tensors[op->output].elements;
  qb_status status = QB_OK;
  switch (op->kind) {
  case QB__OP_CONVOLUTION: status = convolve(g, op, x, y); break;
  case QB__OP_DENSE: dense(g, op, x, y); break;
  case QB__OP_BATCH_NORM: batch_norm(g, op, x, y); break;
  case QB__OP_MAX_POOL:
  case QB__OP_AVERAGE_POOL: pool(g, op, x, y); break;
  case QB__OP_LRN: normalise(g, op, x, y); break;
  case QB__OP_SOFTMAX: softmax(x, y, count); break;
  case QB__OP_ACTIVATION:
  case QB__OP_ADD:
  case QB__OP_FLATTEN: memcpy(y, x, count * sizeof *y); break;
  }
  for (size_t i = 0; addend && i < count; i++)
    y[i] += addend[i];
  for (size_t i = 0; op->activation && i < count; i++)
    y[i] = y[i] > 0 ? y[i] : 0;
  return status;
}

static void look_at(qb__range *range, const float *values, size_t count)
{
  double sum = 0, squares = 0;
  memset(range, 0, sizeof *range);
  for (size_t i = 0; i < count; i++) {
    sum += values[i];
    squares += (double)values[i] * values[i];
    range->denormals += fpclassify(values[i]) == FP_SUBNORMAL;
    range->not_finite += !isfinite(values[i]);
  }
  const double mean = sum / (double)count;
  range->deviation = sqrt(fmax(0, squares / (double)count - mean * mean));
}

qb_status qb__reference_run(const qb__graph *graph, uint32_t batch, const float *input,
                            float *output, qb__range *ranges)
{
  float **values = qb__calloc(graph->context, graph->tensor_count, sizeof *values);
  qb_status status = values ? QB_OK : QB_ERROR_NO_MEMORY;
  for (size_t t = 0; values && t < graph->tensor_count && !status; t++) {
    if (graph->tensors[t].constant)
      continue;
    values[t] = qb__calloc(graph->context, graph->tensors[t].elements * batch, sizeof(float));
    status = values[t] ? QB_OK : QB_ERROR_NO_MEMORY;
  }
  if (!status)
    memcpy(values[graph->input], input,
           graph->tensors[graph->input].elements * batch * sizeof *input);
  for (size_t i = 0; i < graph->operator_count && !status; i++) {
    const qb__operator *op = &graph->operators[i];
    const size_t in = graph->tensors[op->input].elements;
    const size_t out = graph->tensors[op->output].elements;
    for (uint32_t b = 0; b < batch && !status; b++)
      status = run_operator(graph, op, values[op->input] + b * in,
                            op->addend == QB__NONE ? NULL : values[op->addend] + b * out,
                            values[op->output] + b * out);
    if (ranges)
      look_at(&ranges[op->output], values[op->output], out * batch);
  }
  if (!status)
    memcpy(output, values[graph->output],
           graph->tensors[graph->output].elements * batch * sizeof *output);
  for (size_t t = 0; values && t < graph->tensor_count; t++)
    qb__free(graph->context, values[t]);
  qb__free(graph->context, values);
  return status;
}
