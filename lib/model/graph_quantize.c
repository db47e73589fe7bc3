/* SPDX-License-Identifier: Apache-2.0 */
/* Building: integers that stand for reals, and arithmetic on them. */
#include "core/error.h"
#include "model/graph_impl.h"

#include <math.h>

/* Integers of larger absolute value are not all floats. */
static const double LARGEST_INTEGER = 0x1p24;

/* Whether a constant has one element, or one for each along an axis. */
static bool fits(const qb__graph *graph, const qb__tensor *x, int32_t constant, uint32_t axis)
{
  const size_t count = constant == QB__NONE ? 1 : graph->tensors[constant].elements;
  return count == 1 || (axis < x->rank && count == (size_t)x->dims[axis]);
}

static int32_t convert(qb__graph *graph, const char *name, qb__operator op, int32_t scale,
                       int32_t zero_point)
{
  const int32_t constants[2] = {scale, zero_point};
  if (graph->status)
    return QB__NONE;
  const qb__tensor *x = &graph->tensors[op.input];
  for (int i = 0; i < 2; i++)
    if (!fits(graph, x, constants[i], op.axis))
      return qb__graph_wrong_shape(graph, name, i ? "zero point" : "scale", constants[i],
                                   "one element, or one for each along its axis");
  op.weights = scale;
  op.bias = zero_point;
  return qb__graph_append(graph, name, op, x->rank, x->dims);
}

int32_t qb__graph_quantize(qb__graph *graph, const char *name, int32_t x, int32_t scale,
                           int32_t zero_point, uint32_t axis, float low, float high)
{
  qb__operator op = qb__operator_blank(QB__OP_QUANTIZE, x);
  op.axis = axis;
  op.alpha = low;
  op.beta = high;
  return convert(graph, name, op, scale, zero_point);
}

int32_t qb__graph_dequantize(qb__graph *graph, const char *name, int32_t x, int32_t scale,
                             int32_t zero_point, uint32_t axis, float low, float high)
{
  qb__operator op = qb__operator_blank(QB__OP_DEQUANTIZE, x);
  op.axis = axis;
  op.alpha = low;
  op.beta = high;
  return convert(graph, name, op, scale, zero_point);
}

static bool adds_products(qb__op_kind kind)
{
  return kind == QB__OP_CONVOLUTION || kind == QB__OP_DENSE || kind == QB__OP_LINEAR ||
         kind == QB__OP_MATMUL;
}

void qb__graph_mark_integers(qb__graph *graph, size_t before, float x, float y)
{
  for (size_t i = before; i < graph->operator_count && !graph->status; i++) {
    qb__operator *op = &graph->operators[i];
    if (adds_products(op->kind))
      op->integer_limit = op->kind == QB__OP_MATMUL ? x * y : x;
  }
}

/* The largest sum of the absolute weights of an output; all weights are added to `bits`. */
static double largest_gain(const qb__tensor *weights, uint32_t *bits)
{
  const size_t outputs = (size_t)weights->dims[0], each = weights->elements / outputs;
  double most = 0;
  for (size_t o = 0; o < outputs; o++) {
    uint64_t sum = 0;
    for (size_t i = 0; i < each; i++) {
      const uint32_t weight = (uint32_t)fabsf(weights->constant[o * each + i]);
      sum += weight;
      *bits |= weight;
    }
    most = fmax(most, (double)sum);
  }
  return most;
}

static double largest_bias(const qb__tensor *bias, uint32_t *bits)
{
  double most = 0;
  for (size_t i = 0; i < bias->elements; i++) {
    const double value = fabs((double)bias->constant[i]);
    *bits |= value > UINT32_MAX ? 1 : (uint32_t)value;
    most = fmax(most, value);
  }
  return most;
}

/* What all sums are multiples of need not be held. */
bool qb__sums_fit_floats(const qb__graph *graph, const qb__operator *op)
{
  const qb__tensor *x = &graph->tensors[op->input];
  const bool product = op->kind == QB__OP_MATMUL;
  uint32_t bits = product;
  double most = op->integer_limit;
  most *=
      product ? (double)x->dims[x->rank - 1] : largest_gain(&graph->tensors[op->weights], &bits);
  if (op->bias != QB__NONE)
    most += largest_bias(&graph->tensors[op->bias], &bits);
  const uint32_t unit = bits & (~bits + 1);
  return most <= LARGEST_INTEGER * (unit ? unit : 1);
}
