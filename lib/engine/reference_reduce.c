/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/reference_impl.h"

#include <math.h>
#include <string.h>

/* NaN where either is. */
static double larger(double a, double b)
{
  return isnan(a) || a > b ? a : b;
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
        largest = larger(from[n * inner], largest);
      for (int64_t n = 0; n < size; n++)
        sum += exp(from[n * inner] - largest);
      for (int64_t n = 0; n < size; n++)
        to[n * inner] = (float)(op->logarithm ? from[n * inner] - largest - log(sum)
                                              : exp(from[n * inner] - largest) / sum);
    }
}

/* What an element adds to a reduction. */
static double taken(qb__reduction reduction, double x, double largest)
{
  switch (reduction) {
  case QB__REDUCTION_L1: return fabs(x);
  case QB__REDUCTION_L2:
  case QB__REDUCTION_SUM_SQUARE: return x * x;
  case QB__REDUCTION_LOG_SUM_EXP: return isinf(largest) ? exp(x) : exp(x - largest);
  default: return x;
  }
}

static double finished(qb__reduction reduction, double sum, double largest, size_t count)
{
  switch (reduction) {
  case QB__REDUCTION_MEAN: return sum / (double)count;
  case QB__REDUCTION_L2: return sqrt(sum);
  case QB__REDUCTION_LOG_SUM: return log(sum);
  case QB__REDUCTION_LOG_SUM_EXP: return isinf(largest) ? log(sum) : largest + log(sum);
  default: return sum;
  }
}

static bool is_reduced_to(const qb__operator *op, uint32_t rank, const int64_t *from,
                          const int64_t *at)
{
  for (uint32_t d = 0; d < rank; d++)
    if (!(op->axes >> d & 1) && from[d] != at[d])
      return false;
  return true;
}

/* Over all elements that agree with `at` in the dimensions that stay. */
static double reduce(const qb__operator *op, const qb__tensor *in, const float *x,
                     const int64_t *at)
{
  double sum = 0, product = 1, largest = -INFINITY, smallest = INFINITY;
  size_t count = 0;
  int64_t from[QB_MAX_DIMS];
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < in->elements; i++) {
      qb__reference_position(in, i, from);
      if (!is_reduced_to(op, in->rank, from, at))
        continue;
      if (pass == 0) {
        largest = larger(x[i], largest);
        smallest = -larger(-x[i], -smallest);
        product *= x[i];
        count++;
      } else {
        sum += taken(op->reduction, x[i], largest);
      }
    }
  return op->reduction == QB__REDUCTION_MAX       ? largest
         : op->reduction == QB__REDUCTION_MIN     ? smallest
         : op->reduction == QB__REDUCTION_PRODUCT ? product
                                                  : finished(op->reduction, sum, largest, count);
}

/* numpy's argmax and argmin: the first NaN, where there is one, is the largest and the smallest. */
static double arg(const qb__operator *op, const qb__tensor *in, const float *x, const int64_t *at)
{
  int64_t from[QB_MAX_DIMS], best = 0;
  memcpy(from, at, sizeof from);
  from[op->axis] = 0;
  double found = x[qb__reference_repeated(in, from)];
  for (int64_t i = 1; i < in->dims[op->axis]; i++) {
    from[op->axis] = i;
    const double next = x[qb__reference_repeated(in, from)];
    const bool beyond = op->largest ? next > found : next < found;
    if (!isnan(found) && (isnan(next) || beyond || (op->last && next == found))) {
      found = next;
      best = i;
    }
  }
  return (double)best;
}

/* Scale and shift go on with the element of `x` by `stride`, and repeat. */
static void norm(const qb__graph *g, const qb__operator *op, const float *x, size_t size,
                 size_t stride, float *y)
{
  const qb__tensor *t = &g->tensors[op->output];
  for (size_t first = 0; first < t->elements; first += size) {
    double sum = 0, squares = 0;
    for (size_t i = first; i < first + size; i++)
      sum += x[i];
    const double mean = sum / (double)size;
    for (size_t i = first; i < first + size; i++)
      squares += (x[i] - mean) * (x[i] - mean);
    for (size_t i = first; i < first + size; i++) {
      double value = (x[i] - mean) / sqrt(squares / (double)size + op->epsilon);
      if (op->weights != QB__NONE)
        value *= g->tensors[op->weights].constant[i / stride % g->tensors[op->weights].elements];
      if (op->bias != QB__NONE)
        value += g->tensors[op->bias].constant[i / stride % g->tensors[op->bias].elements];
      y[i] = (float)value;
    }
  }
}

static void layer_norm(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *t = &g->tensors[op->output];
  size_t size = 1;
  for (uint32_t d = op->axis; d < t->rank; d++)
    size *= (size_t)t->dims[d];
  norm(g, op, x, size, 1, y);
}

static void group_norm(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *t = &g->tensors[op->output];
  norm(g, op, x, t->elements / (size_t)op->groups, t->elements / (size_t)t->dims[0], y);
}

void qb__reference_reduce(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *in = &g->tensors[op->input], *out = &g->tensors[op->output];
  int64_t at[QB_MAX_DIMS];
  switch (op->kind) {
  case QB__OP_BATCH_NORM: batch_norm(g, op, x, y); break;
  case QB__OP_LRN: normalise(g, op, x, y); break;
  case QB__OP_SOFTMAX: softmax(g, op, x, y); break;
  case QB__OP_LAYER_NORM: layer_norm(g, op, x, y); break;
  case QB__OP_GROUP_NORM: group_norm(g, op, x, y); break;
  default: /* reduce, arg */
    for (size_t i = 0; i < out->elements; i++) {
      qb__reference_position(out, i, at);
      y[i] = (float)(op->kind == QB__OP_ARG ? arg(op, in, x, at) : reduce(op, in, x, at));
    }
  }
}
