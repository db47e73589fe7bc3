/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/reference_impl.h"

#include "core/alloc.h"
#include "core/error.h"

#include <math.h>
#include <string.h>

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

static void normalise(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *t = &g->tensors[op->output];
  const int64_t channels = t->dims[0], plane = (int64_t)t->elements / channels,
                half = op->lrn_size / 2;
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

static void softmax(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *t = &g->tensors[op->output];
  int64_t inner = 1;
  for (uint32_t i = op->axis + 1; i < t->rank; i++)
    inner *= t->dims[i];
  const int64_t size = t->dims[op->axis], outer = (int64_t)t->elements / (inner * size);
  for (int64_t o = 0; o < outer; o++)
    for (int64_t i = 0; i < inner; i++) {
      const float *from = x + o * size * inner + i;
      float *to = y + o * size * inner + i;
      double largest = from[0], sum = 0;
      for (int64_t n = 1; n < size; n++)
        largest = from[n * inner] > largest ? from[n * inner] : largest;
      for (int64_t n = 0; n < size; n++)
        sum += exp(from[n * inner] - largest);
      for (int64_t n = 0; n < size; n++)
        to[n * inner] = (float)(exp(from[n * inner] - largest) / sum);
    }
}

static double activate(const qb__operator *op, double x)
{
  switch (op->activation) {
  case QB__ACTIVATION_NONE: break;
  case QB__ACTIVATION_RELU: return x > 0 ? x : op->alpha * x;
  case QB__ACTIVATION_CLIP: return fmin(fmax(x, op->alpha), op->beta);
  case QB__ACTIVATION_SIGMOID: return 1 / (1 + exp(-x));
  case QB__ACTIVATION_TANH: return tanh(x);
  case QB__ACTIVATION_HARD_SWISH: return x * fmin(fmax(x / 6 + 0.5, 0), 1);
  case QB__ACTIVATION_LINEAR: return op->alpha * x + op->beta;
  case QB__ACTIVATION_POWER: return op->alpha * pow(x, op->beta);
  }
  return x;
}

static double combine(qb__op_kind kind, double a, double b)
{
  switch (kind) {
  case QB__OP_SUBTRACT: return a - b;
  case QB__OP_MULTIPLY: return a * b;
  case QB__OP_DIVIDE: return a / b;
  default: return a + b; /* also what is fused */
  }
}

/* y = x with `second` beside it, repeated along its dimensions of 1. */
static void binary(const qb__graph *g, const qb__operator *op, const float *second, float *y)
{
  const qb__tensor *t = &g->tensors[op->output], *s = &g->tensors[op->addend];
  int64_t at[QB_MAX_DIMS];
  for (size_t i = 0; i < t->elements; i++) {
    qb__reference_position(t, i, at);
    size_t from = 0;
    for (uint32_t d = 0; d < t->rank; d++)
      from = from * (size_t)s->dims[d] + (s->dims[d] == 1 ? 0 : (size_t)at[d]);
    y[i] = (float)combine(op->kind, y[i], second[from]);
  }
}

static void matmul(const qb__graph *g, const qb__operator *op, const float *x, const float *second,
                   float *y)
{
  const qb__tensor *a = &g->tensors[op->input], *b = &g->tensors[op->addend];
  const qb__tensor *t = &g->tensors[op->output];
  const uint32_t rank = t->rank;
  const size_t depth = (size_t)a->dims[rank - 1], columns = (size_t)b->dims[rank - 1];
  int64_t at[QB_MAX_DIMS];
  for (size_t i = 0; i < t->elements; i++) {
    qb__reference_position(t, i, at);
    size_t matrix = 0;
    for (uint32_t d = 0; d + 2 < rank; d++)
      matrix = matrix * (size_t)b->dims[d] + (b->dims[d] == 1 ? 0 : (size_t)at[d]);
    const float *row = x + i / columns * depth;
    const float *column = second + matrix * depth * columns + i % columns;
    double sum = 0;
    for (size_t k = 0; k < depth; k++)
      sum += (double)row[k] * column[k * columns];
    y[i] = (float)sum;
  }
}

static qb_status run_operator(const qb__graph *g, const qb__operator *op,
                              const qb__reference_inputs *in, float *y)
{
  const size_t count = g->tensors[op->output].elements;
  const float *x = in->values[0], *second = op->addend == QB__NONE ? NULL : in->values[1];
  qb_status status = QB_OK;
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
  case QB__OP_DECONVOLUTION: status = qb__reference_convolve(g, op, x, y); break;
  case QB__OP_MAX_POOL:
  case QB__OP_AVERAGE_POOL: qb__reference_pool(g, op, x, y); break;
  case QB__OP_DENSE: dense(g, op, x, y); break;
  case QB__OP_MATMUL:
    matmul(g, op, x, second, y);
    second = NULL;
    break;
  case QB__OP_BATCH_NORM: batch_norm(g, op, x, y); break;
  case QB__OP_LRN: normalise(g, op, x, y); break;
  case QB__OP_SOFTMAX: softmax(g, op, x, y); break;
  case QB__OP_MEAN:
  case QB__OP_RESIZE:
  case QB__OP_CONCAT:
  case QB__OP_PAD:
  case QB__OP_TRANSPOSE: qb__reference_rearrange(g, op, in, y); break;
  case QB__OP_ACTIVATION:
  case QB__OP_ADD:
  case QB__OP_SUBTRACT:
  case QB__OP_MULTIPLY:
  case QB__OP_DIVIDE:
  case QB__OP_FLATTEN: memcpy(y, x, count * sizeof *y); break;
  }
  if (second)
    binary(g, op, second, y);
  for (size_t i = 0; op->activation && i < count; i++)
    y[i] = (float)activate(op, y[i]);
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

static qb_status run_batch(const qb__graph *g, const qb__operator *op, uint32_t batch,
                           float *const *values)
{
  qb__reference_inputs in = {0, NULL};
  while (qb__operator_input(op, in.count) != QB__NONE)
    in.count++;
  in.values = qb__calloc(g->context, in.count, sizeof *in.values);
  qb_status status = in.values ? QB_OK : QB_ERROR_NO_MEMORY;
  for (uint32_t b = 0; b < batch && !status; b++) {
    for (size_t i = 0; i < in.count; i++) {
      const int32_t tensor = qb__operator_input(op, i);
      const qb__tensor *t = &g->tensors[tensor];
      in.values[i] = t->constant ? t->constant : values[tensor] + b * t->elements;
    }
    status = run_operator(g, op, &in, values[op->output] + b * g->tensors[op->output].elements);
  }
  qb__free(g->context, in.values);
  return status;
}

qb_status qb__reference_run(const qb__graph *graph, uint32_t batch, const float *const *inputs,
                            float *const *outputs, qb__range *ranges)
{
  float **values = qb__calloc(graph->context, graph->tensor_count, sizeof *values);
  qb_status status = values ? QB_OK : QB_ERROR_NO_MEMORY;
  for (size_t t = 0; values && t < graph->tensor_count && !status; t++) {
    if (graph->tensors[t].constant)
      continue;
    values[t] = qb__calloc(graph->context, graph->tensors[t].elements * batch, sizeof(float));
    status = values[t] ? QB_OK : QB_ERROR_NO_MEMORY;
  }
  for (size_t i = 0; i < graph->input_count && !status; i++)
    memcpy(values[graph->inputs[i]], inputs[i],
           graph->tensors[graph->inputs[i]].elements * batch * sizeof(float));
  for (size_t i = 0; i < graph->operator_count && !status; i++) {
    const qb__operator *op = &graph->operators[i];
    status = run_batch(graph, op, batch, values);
    if (ranges && !status)
      look_at(&ranges[op->output], values[op->output], graph->tensors[op->output].elements * batch);
  }
  for (size_t i = 0; i < graph->output_count && !status; i++)
    memcpy(outputs[i], values[graph->outputs[i]],
           graph->tensors[graph->outputs[i]].elements * batch * sizeof(float));
  for (size_t t = 0; values && t < graph->tensor_count; t++)
    qb__free(graph->context, values[t]);
  qb__free(graph->context, values);
  return status;
}
