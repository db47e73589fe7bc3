/* SPDX-License-Identifier: Apache-2.0 */
#include "model/saturation.h"

#include "model/graph_edit.h"

#include <math.h>

/* Whether all weights are whole multiples of a step that 8 bits with a sign hold. */
static bool are_multiples(const float *weights, size_t count, double step)
{
  for (size_t i = 0; i < count; i++) {
    const double steps = (double)weights[i] / step, whole = nearbyint(steps);
    if (fabs(steps - whole) > fabs(whole) * 0x1p-22 || whole < INT8_MIN || whole > INT8_MAX)
      return false;
  }
  return true;
}

bool qb__weight_step(const float *weights, size_t count, float *step)
{
  double most = 0;
  for (size_t i = 0; i < count; i++)
    most = fmax(most, fabs((double)weights[i]));
  for (int steps = 1; most > 0 && isfinite(most) && steps <= -INT8_MIN; steps++)
    if (are_multiples(weights, count, most / steps)) {
      *step = (float)(most / steps);
      return true;
    }
  return false;
}

/* The step of an output's weights: those of integers are what they are. */
static bool step_of(const qb__operator *op, const float *weights, size_t count, float *step)
{
  bool zeros = true;
  for (size_t i = 0; zeros && i < count; i++)
    zeros = weights[i] == 0;
  *step = 1;
  return op->integer_limit != 0 || zeros ? are_multiples(weights, count, 1)
                                         : qb__weight_step(weights, count, step);
}

bool qb__layer_steps(const qb__graph *graph, const qb__operator *op, float *steps)
{
  const qb__tensor *w = &graph->tensors[op->weights];
  const size_t outputs = (size_t)w->dims[0], each = w->elements / outputs;
  bool found = true;
  for (size_t o = 0; found && o < outputs; o++)
    found = step_of(op, w->constant + o * each, each, &steps[o]);
  return found;
}

const qb__operator *qb__integers_read(const qb__graph *graph, const qb__operator *layer)
{
  const bool is_layer = layer->kind == QB__OP_CONVOLUTION || layer->kind == QB__OP_DENSE ||
                        layer->kind == QB__OP_LINEAR;
  const qb__operator *op = is_layer ? qb__maker(graph, layer->input) : NULL;
  while (op && (op->kind == QB__OP_MAX_POOL || op->kind == QB__OP_FLATTEN ||
                op->kind == QB__OP_TRANSPOSE))
    op = qb__maker(graph, op->input);
  return op && (op->kind == QB__OP_QUANTIZE || op->kind == QB__OP_DEQUANTIZE) ? op : NULL;
}

/* Products of weights, in steps, with the largest input: the largest sum of two of each sign. */
typedef struct extremes {
  double high[2], low[2];
} extremes;

static void note(extremes *e, double product)
{
  if (product > e->high[0]) {
    e->high[1] = e->high[0];
    e->high[0] = product;
  } else if (product > e->high[1]) {
    e->high[1] = product;
  }
  if (product < e->low[0]) {
    e->low[1] = e->low[0];
    e->low[0] = product;
  } else if (product < e->low[1]) {
    e->low[1] = product;
  }
}

static bool fits(const extremes *e)
{
  return e->high[0] + e->high[1] <= INT16_MAX && e->low[0] + e->low[1] >= INT16_MIN;
}

/* Of one output: `taps` weights are between those of neighbouring inputs. */
static bool can_saturate(const float *weights, size_t inputs, size_t taps, float step, float most,
                         bool in_order)
{
  static const extremes none = {{0, 0}, {0, 0}};
  extremes e = none;
  for (size_t tap = 0; tap < taps; tap++)
    for (size_t i = 0; i < inputs; i++) {
      e = in_order && i % 2 == 0 ? none : e;
      note(&e, (double)most * nearbyint((double)weights[i * taps + tap] / (double)step));
      if (!fits(&e))
        return true;
    }
  return false;
}

qb__saturation qb__unsigned_saturation(const qb__graph *graph, const qb__operator *op, float most)
{
  const bool convolves = op->kind == QB__OP_CONVOLUTION;
  const qb__tensor *w = &graph->tensors[op->weights];
  const size_t outputs = (size_t)w->dims[0], each = w->elements / outputs;
  const size_t inputs = convolves ? (size_t)w->dims[1] : each;
  /* Kernels by way of a matrix product pair the last of odd channels with the next window element. */
  const bool in_order = convolves && inputs % 2 == 0;
  bool can = false;
  for (size_t o = 0; o < outputs; o++) {
    const float *weights = w->constant + o * each;
    float step;
    if (!step_of(op, weights, each, &step))
      return QB__NOT_OF_INTEGERS;
    can = can || can_saturate(weights, inputs, each / inputs, step, most, in_order);
  }
  return can ? QB__CAN_SATURATE : QB__CANNOT_SATURATE;
}

qb__saturation qb__layer_saturation(const qb__graph *graph, const qb__operator *op)
{
  const qb__operator *converter = qb__integers_read(graph, op);
  if (!converter || converter->beta > UINT8_MAX || converter->alpha < INT8_MIN)
    return QB__NOT_OF_INTEGERS;
  return qb__unsigned_saturation(graph, op, converter->beta - fminf(converter->alpha, 0));
}
