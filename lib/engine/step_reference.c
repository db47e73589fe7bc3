/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/step_reference.h"

#include "engine/reference_impl.h"

#include <math.h>
#include <string.h>

/*
 * How far a result may be off, as a share of the sum of its absolute terms. This is far more than
 * rounding causes, Winograd's included. Terms of bfloat16 numbers have rounded weights; sums of
 * integers are exact, but what they are multiplied by is rounded.
 */
static const double TOLERANCE = 1e-4, BFLOAT16_TOLERANCE = 1.0 / 128, INTEGER_TOLERANCE = 1e-6;

/* Of a result's step: what lies nearer to the middle between two steps may be rounded to either. */
static const double HALFWAY = 1.0 / 64;

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

/* What weights of an output are divided by to become bytes; 0 where they stay what they are. */
static double step_of(const qb__step_values *v, int64_t output)
{
  const qb__tensor *w = &v->graph->tensors[v->op->weights];
  return w->steps == QB__NONE ? 0 : v->graph->tensors[w->steps].constant[output];
}

/* A weight as it is packed. */
static double weight_of(float weight, double step)
{
  return step == 0 ? weight : nearbyint((float)(weight / step));
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
  const double step = step_of(v, at[1]);
  sum s = {0, 0};
  for (int64_t tap = 0; tap < all_taps; tap++) {
    int64_t base = x->first + x->offsets[0][at[0]];
    if (!reach(v, at, tap, &base))
      continue;
    const float *weights = w->constant + at[1] * per_group * all_taps + tap;
    for (int64_t c = 0; c < per_group; c++)
      add(&s, weight_of(weights[c * all_taps], step) * qb__element_there(x, base + channels[c]));
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
    add(&s, qb__element_there(x, offset));
    largest = fmax(largest, qb__element_there(x, offset));
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
  const double step = step_of(v, at[1]);
  sum s = {0, 0};
  for (int64_t i = 0; i < w->dims[1]; i++)
    add(&s, weight_of(weights[i], step) * qb__element_there(x, row + x->offsets[1][i]));
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

static double constant_at(const qb__step_values *v, int32_t constant, int64_t index)
{
  const qb__tensor *t = &v->graph->tensors[constant];
  return t->constant[t->elements == 1 ? 0 : index];
}

/* Scales a sum of integers; the bias is in it, or comes behind. */
static sum scale(const qb__step_values *v, sum s, int64_t output)
{
  const double factor = constant_at(v, v->op->requantize.factors, output);
  return (sum){s.value * factor, s.magnitude * fabs(factor)};
}

static sum layer(const qb__step_values *v, const int64_t *at)
{
  const qb__operator *op = v->op;
  const bool scaled = op->requantize.applies, biased = op->bias != QB__NONE;
  const bool before = !scaled || qb__sums_take_bias();
  sum s = compute(v, at);
  if (biased && before)
    add(&s, constant_at(v, op->bias, at[1]));
  if (scaled)
    s = scale(v, s, at[1]);
  if (biased && !before)
    add(&s, constant_at(v, op->bias, at[1]));
  return s;
}

/* What follows a sum: see qb__requantize. */
static double finish(const qb__step_values *v, double y, double addend)
{
  const qb__requantize *r = &v->op->requantize;
  if (r->applies && r->rounds)
    y = nearbyint(fmin(fmax(y, r->low), r->high)) * r->step + r->offset;
  y = qb__reference_activate(v->op, y + addend);
  return r->applies ? y * r->last_step + r->last_offset : y;
}

/* As the type of the result holds it. */
static qb__bounds store(const qb__step_values *v, double low, double high)
{
  const double size = fmax(fabs(low), fabs(high));
  const double least = v->destination.dims.type == QB__TYPE_U8 ? 0 : -128, most = least + 255;
  double slack = 0;
  switch (v->destination.dims.type) {
  case QB__TYPE_U8:
  case QB__TYPE_S8:
    return (qb__bounds){fmin(fmax(nearbyint(low - HALFWAY), least), most),
                        fmin(fmax(nearbyint(high + HALFWAY), least), most)};
  case QB__TYPE_BF16: slack = BFLOAT16_TOLERANCE * (size + 0.1); break;
  case QB__TYPE_F32: slack = v->op ? TOLERANCE * (size + 0.1) : 0; break;
  }
  return (qb__bounds){low - slack, high + slack};
}

static double tolerance(const qb__step_values *v)
{
  const qb__type from = v->source.dims.type, to = v->destination.dims.type;
  return from == QB__TYPE_BF16 || to == QB__TYPE_BF16 ? BFLOAT16_TOLERANCE
         : from != QB__TYPE_F32                       ? INTEGER_TOLERANCE
                                                      : TOLERANCE;
}

qb__bounds qb__step_bounds(const qb__step_values *v, const int64_t *at)
{
  if (!v->op) {
    const double x = qb__element(&v->source, at);
    return store(v, x, x);
  }
  sum s = v->op->weights == QB__NONE ? compute(v, at) : layer(v, at);
  const qb__requantize *r = &v->op->requantize;
  const double old = v->adds_destination ? qb__element(&v->destination, at) : 0;
  const double addend = r->applies ? old * r->addend_step : old;
  if (!r->applies)
    s.magnitude += fabs(addend);
  const double slack = tolerance(v) * s.magnitude;
  const double y[3] = {finish(v, s.value - slack, addend), finish(v, s.value, addend),
                       finish(v, s.value + slack, addend)};
  if (!isfinite(y[0]) || !isfinite(y[1]) || !isfinite(y[2]))
    return (qb__bounds){-INFINITY, INFINITY};
  const double low = fmin(fmin(y[0], y[1]), y[2]), high = fmax(fmax(y[0], y[1]), y[2]);
  return store(v, low, high);
}
