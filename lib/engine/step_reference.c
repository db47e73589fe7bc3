/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/step_reference.h"

#include "engine/reference_impl.h"

#include <math.h>
#include <string.h>

/* Of the sum of absolute terms: far more than rounding gives, Winograd's included. */
static const double TOLERANCE = 1e-4;

/* A sum and that of its absolute terms, to which rounding errors are in proportion. */
typedef struct sum {
  double value, magnitude;
} sum;

static void add(sum *s, double term)
{
  s->value += term;
  s->magnitude += fabs(term);
}

/*
 * Where tap `tap` of a window reads for the element at `at` of the result: adds to *offset; false
 * in the padding, and between the elements of a deconvolution's input.
 */
static bool reach(const qb__step_values *v, const int64_t *at, int64_t tap, int64_t *offset)
{
  const qb__window *w = &v->op->window;
  const qb__elements *x = &v->source;
  for (int d = x->dims.count - 1; d >= 2; d--) {
    const int i = d - 2;
    const int64_t shift = tap % w->kernel[i] * w->dilations[i] - w->pad_before[i];
    int64_t from = at[d] * w->strides[i] + shift;
    if (v->op->kind == QB__OP_DECONVOLUTION) {
      from = at[d] - shift;
      if (from % w->strides[i])
        return false;
      from /= w->strides[i];
    }
    if (from < 0 || from >= x->dims.at[d])
      return false;
    *offset += x->offsets[d][from];
    tap /= w->kernel[i];
  }
  return true;
}

static int64_t taps(const qb__step_values *v)
{
  int64_t count = 1;
  for (int i = 0; i < v->source.dims.count - 2; i++)
    count *= v->op->window.kernel[i];
  return count;
}

static sum convolve(const qb__step_values *v, const int64_t *at)
{
  const qb__tensor *w = &v->graph->tensors[v->op->weights];
  const qb__elements *x = &v->source;
  const int64_t per_group = w->dims[1], all_taps = taps(v);
  const int64_t *channels = x->offsets[1] + at[1] / (w->dims[0] / v->op->groups) * per_group;
  sum s = {0, 0};
  for (int64_t tap = 0; tap < all_taps; tap++) {
    int64_t base = x->first + x->offsets[0][at[0]];
    if (!reach(v, at, tap, &base))
      continue;
    const float *weights = w->constant + at[1] * per_group * all_taps + tap;
    for (int64_t c = 0; c < per_group; c++)
      add(&s, (double)weights[c * all_taps] * x->data[base + channels[c]]);
  }
  return s;
}

static sum pool(const qb__step_values *v, const int64_t *at)
{
  const qb__elements *x = &v->source;
  const int64_t all_taps = taps(v);
  sum s = {0, 0};
  double largest = -INFINITY;
  int64_t count = 0;
  for (int64_t tap = 0; tap < all_taps; tap++) {
    int64_t offset = x->first + x->offsets[0][at[0]] + x->offsets[1][at[1]];
    if (!reach(v, at, tap, &offset))
      continue;
    add(&s, x->data[offset]);
    largest = fmax(largest, x->data[offset]);
    count++;
  }
  if (v->op->kind == QB__OP_MAX_POOL)
    return (sum){largest, 0};
  const double divisor = (double)(v->op->include_padding ? all_taps : count);
  return (sum){s.value / divisor, s.magnitude / divisor};
}

static sum dense(const qb__step_values *v, const int64_t *at)
{
  const qb__tensor *w = &v->graph->tensors[v->op->weights];
  const qb__elements *x = &v->source;
  const int64_t row = x->first + x->offsets[0][at[0]];
  const float *weights = w->constant + at[1] * w->dims[1];
  sum s = {0, 0};
  for (int64_t i = 0; i < w->dims[1]; i++)
    add(&s, (double)weights[i] * x->data[row + x->offsets[1][i]]);
  return s;
}

static sum multiply(const qb__step_values *v, const int64_t *at)
{
  const int last = v->source.dims.count - 1;
  int64_t left[QB__ONEDNN_DIMS], right[QB__ONEDNN_DIMS];
  memcpy(left, at, sizeof left);
  memcpy(right, at, sizeof right);
  sum s = {0, 0};
  for (int64_t k = 0; k < v->source.dims.at[last]; k++) {
    left[last] = right[last - 1] = k;
    add(&s, qb__element(&v->source, left) * qb__element(&v->second, right));
  }
  return s;
}

static sum combine(const qb__step_values *v, const int64_t *at)
{
  const double x = qb__element(&v->source, at), y = qb__element(&v->addend, at);
  sum s = {x, fabs(x)};
  switch (v->op->kind) {
  case QB__OP_MULTIPLY: return (sum){x * y, fabs(x * y)};
  case QB__OP_DIVIDE: return (sum){x / y, fabs(x / y)};
  case QB__OP_SUBTRACT: add(&s, -y); return s;
  default: add(&s, y); return s;
  }
}

static sum normalise(const qb__step_values *v, const int64_t *at)
{
  const qb__operator *op = v->op;
  const int64_t half = op->lrn_size / 2;
  int64_t from[QB__ONEDNN_DIMS];
  memcpy(from, at, sizeof from);
  double squares = 0;
  for (from[1] = at[1] - half; from[1] <= at[1] + half; from[1]++)
    if (from[1] >= 0 && from[1] < v->source.dims.at[1])
      squares += pow(qb__element(&v->source, from), 2);
  const double scale = op->lrn_k + op->lrn_alpha / (double)op->lrn_size * squares;
  const double value = qb__element(&v->source, at) * pow(scale, -op->lrn_beta);
  return (sum){value, fabs(value)};
}

static sum softmax(const qb__step_values *v, const int64_t *at)
{
  const uint32_t axis = v->op->axis + 1;
  const double x = qb__element(&v->source, at);
  int64_t from[QB__ONEDNN_DIMS];
  memcpy(from, at, sizeof from);
  double all = 0; /* relative to e^x, which is harmless for the values of a check */
  for (from[axis] = 0; from[axis] < v->source.dims.at[axis]; from[axis]++)
    all += exp(qb__element(&v->source, from) - x);
  return v->op->logarithm ? (sum){-log(all), log(all) + 1} : (sum){1 / all, 1 / all};
}

/* The product of the weights of one neighbour in each dimension; *from becomes its position. */
static double neighbour(const qb__step_values *v, const int64_t *at, uint32_t corner, int64_t *from)
{
  double weight = 1;
  for (int d = 2; d < v->source.dims.count; d++) {
    const int64_t size = v->source.dims.at[d];
    const double place =
        ((double)at[d] + 0.5) * (double)size / (double)v->destination.dims.at[d] - 0.5;
    const double upper = corner >> (d - 2) & 1, part = place - floor(place);
    const double chosen = v->op->linear ? floor(place) + upper : round(place);
    weight *= v->op->linear ? upper != 0 ? part : 1 - part : 1 - upper;
    from[d] = (int64_t)fmin(fmax(chosen, 0), (double)size - 1);
  }
  return weight;
}

static sum resize(const qb__step_values *v, const int64_t *at)
{
  int64_t from[QB__ONEDNN_DIMS];
  memcpy(from, at, sizeof from);
  sum s = {0, 0};
  for (uint32_t corner = 0; corner < 1U << (v->source.dims.count - 2); corner++) {
    const double weight = neighbour(v, at, corner, from);
    add(&s, weight * qb__element(&v->source, from));
  }
  return s;
}

bool qb__step_is_known(const qb__step_values *v)
{
  const int count = v->source.dims.count;
  if (!v->op)
    return true;
  switch (v->op->kind) {
  case QB__OP_DENSE:
  case QB__OP_LINEAR: return count == 2;
  case QB__OP_MATMUL: return count >= 2 && v->second.dims.count == count;
  case QB__OP_ADD:
  case QB__OP_SUBTRACT:
  case QB__OP_MULTIPLY:
  case QB__OP_DIVIDE: return v->addend.dims.count == count;
  case QB__OP_CONVOLUTION:
  case QB__OP_DECONVOLUTION:
  case QB__OP_MAX_POOL:
  case QB__OP_AVERAGE_POOL:
  case QB__OP_LRN:
  case QB__OP_RESIZE: return count > 2;
  case QB__OP_SOFTMAX:
  case QB__OP_ACTIVATION: return true;
  default: return false;
  }
}

static sum compute(const qb__step_values *v, const int64_t *at)
{
  switch (v->op->kind) {
  case QB__OP_CONVOLUTION:
  case QB__OP_DECONVOLUTION: return convolve(v, at);
  case QB__OP_MAX_POOL:
  case QB__OP_AVERAGE_POOL: return pool(v, at);
  case QB__OP_DENSE:
  case QB__OP_LINEAR: return dense(v, at);
  case QB__OP_MATMUL: return multiply(v, at);
  case QB__OP_LRN: return normalise(v, at);
  case QB__OP_SOFTMAX: return softmax(v, at);
  case QB__OP_RESIZE: return resize(v, at);
  case QB__OP_ACTIVATION: return (sum){qb__element(&v->source, at), 0};
  default: return combine(v, at);
  }
}

qb__bounds qb__step_bounds(const qb__step_values *v, const int64_t *at)
{
  const qb__operator *op = v->op;
  if (!op) {
    const double x = qb__element(&v->source, at);
    return (qb__bounds){x, x};
  }
  sum s = compute(v, at);
  if (op->weights != QB__NONE && op->bias != QB__NONE)
    add(&s, v->graph->tensors[op->bias].constant[at[1]]);
  if (v->adds_destination)
    add(&s, qb__element(&v->destination, at));
  const double slack = TOLERANCE * s.magnitude;
  const double y[3] = {qb__reference_activate(op, s.value - slack),
                       qb__reference_activate(op, s.value),
                       qb__reference_activate(op, s.value + slack)};
  if (!isfinite(y[0]) || !isfinite(y[1]) || !isfinite(y[2]))
    return (qb__bounds){-INFINITY, INFINITY};
  const double low = fmin(fmin(y[0], y[1]), y[2]), high = fmax(fmax(y[0], y[1]), y[2]);
  const double rounding = TOLERANCE * (fmax(fabs(low), fabs(high)) + 0.1);
  return (qb__bounds){low - rounding, high + rounding};
}
