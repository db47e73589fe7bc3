/* SPDX-License-Identifier: Apache-2.0 */
#include "model/magnitude.h"

#include "core/alloc.h"

#include <math.h>

/* The larger one; NaN if one is. */
static double larger(double a, double b)
{
  return a > b || isnan(a) ? a : b;
}

static double largest(const float *values, size_t count)
{
  double most = 0;
  for (size_t i = 0; i < count; i++)
    most = larger(fabs((double)values[i]), most);
  return most;
}

double qb__largest_constant(const qb__tensor *tensor)
{
  return largest(tensor->constant, tensor->elements);
}

static bool is_layer(const qb__operator *op)
{
  return op->kind == QB__OP_CONVOLUTION || op->kind == QB__OP_DECONVOLUTION ||
         op->kind == QB__OP_DENSE || op->kind == QB__OP_LINEAR;
}

static qb__factor factor_of_layer(const qb__graph *graph, const qb__operator *op)
{
  const qb__tensor *w = &graph->tensors[op->weights];
  const size_t outputs = (size_t)w->dims[0], each = w->elements / outputs;
  qb__factor factor = {0, 0, 0};
  for (size_t o = 0; o < outputs; o++) {
    double sum = 0;
#ifdef _OPENMP
#pragma omp simd reduction(+ : sum)
#endif
    for (size_t i = 0; i < each; i++)
      sum += fabs((double)w->constant[o * each + i]);
    factor.gain = larger(sum, factor.gain);
  }
  if (op->bias != QB__NONE)
    factor.offset = qb__largest_constant(&graph->tensors[op->bias]);
  return factor;
}

static double largest_or(const qb__graph *graph, int32_t constant, double otherwise)
{
  return constant == QB__NONE ? otherwise : qb__largest_constant(&graph->tensors[constant]);
}

/* The taps of an element are summed. */
static double gain_of_pick(const qb__graph *graph, const qb__operator *op)
{
  if (!op->factors)
    return op->taps;
  const size_t elements = (size_t)graph->tensors[op->output].dims[op->axis];
  double gain = 0;
  for (size_t i = 0; i < elements; i++) {
    double sum = 0;
    for (size_t t = 0; t < op->taps; t++)
      sum += fabs((double)op->factors[i * op->taps + t]);
    gain = larger(sum, gain);
  }
  return gain;
}

/* 0 also if one is NaN: nothing is bounded by that. */
static double smallest(const qb__tensor *constant)
{
  double least = INFINITY;
  for (size_t i = 0; i < constant->elements; i++) {
    const double value = fabs((double)constant->constant[i]);
    least = isnan(value) ? 0 : fmin(value, least);
  }
  return least;
}

static qb__factor factor_of(const qb__graph *graph, const qb__operator *op)
{
  qb__factor factor = {0, 0, 0};
  if (is_layer(op))
    return factor_of_layer(graph, op);
  if (op->kind == QB__OP_LAYER_NORM || op->kind == QB__OP_GROUP_NORM ||
      op->kind == QB__OP_QUANTIZE || op->kind == QB__OP_DEQUANTIZE) {
    factor.gain = largest_or(graph, op->weights, 1);
    factor.offset = largest_or(graph, op->bias, 0);
  } else if (op->kind == QB__OP_PICK) {
    factor.gain = gain_of_pick(graph, op);
  } else if (op->addend != QB__NONE && graph->tensors[op->addend].constant) {
    factor.least = smallest(&graph->tensors[op->addend]);
  }
  return factor;
}

qb_status qb__factors_new(const qb__graph *graph, qb__factor **factors)
{
  qb__factor *made = qb__calloc(graph->context, graph->operator_count, sizeof *made);
  if (!made)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < graph->operator_count; i++)
    made[i] = factor_of(graph, &graph->operators[i]);
  *factors = made;
  return QB_OK;
}

/* The results of values of up to `x`; moved and compared they meet nothing larger on their way. */
static qb__magnitude moved(double x)
{
  return (qb__magnitude){0, x};
}

static qb__magnitude computed(double x)
{
  return (qb__magnitude){x, x};
}

static double clipped(const qb__operator *op, double x)
{
  const double high = fmin(fmax(x, (double)op->alpha), (double)op->beta);
  const double low = fmin(fmax(-x, (double)op->alpha), (double)op->beta);
  return larger(fabs(high), fabs(low));
}

/* Whole powers alone are defined below 0, and negative ones have no bound at 0. */
static double power(const qb__operator *op, double x)
{
  const double beta = op->beta;
  return beta >= 0 && beta == floor(beta) ? fabs((double)op->alpha) * pow(fmax(1, x), beta)
                                          : INFINITY;
}

static qb__magnitude activation(const qb__operator *op, double x)
{
  const double slope = fabs((double)op->alpha);
  switch (op->activation) {
  case QB__ACTIVATION_NONE: break;
  case QB__ACTIVATION_RELU: return slope > 1 ? computed(slope * x) : moved(x);
  case QB__ACTIVATION_CLIP: return moved(clipped(op, x));
  case QB__ACTIVATION_HARD_SWISH: return (qb__magnitude){6 * x, x};
  case QB__ACTIVATION_LINEAR: return computed(slope * x + fabs((double)op->beta));
  case QB__ACTIVATION_POWER: return computed(power(op, x));
  case QB__ACTIVATION_ELU: return moved(larger(x, slope));
  case QB__ACTIVATION_GELU_TANH: return (qb__magnitude){larger(x, x * x * x), x};
  case QB__ACTIVATION_SWISH: return (qb__magnitude){larger(x, slope * x), x};
  case QB__ACTIVATION_SOFTPLUS: return computed(x + 1);
  case QB__ACTIVATION_EXP: return computed(exp(x));
  case QB__ACTIVATION_LOG:
  case QB__ACTIVATION_SQRT: return computed(INFINITY);
  case QB__ACTIVATION_SIGMOID:
  case QB__ACTIVATION_TANH:
  case QB__ACTIVATION_ERF:
  case QB__ACTIVATION_SIGN:
  case QB__ACTIVATION_SIN:
  case QB__ACTIVATION_COS: return moved(1);
  case QB__ACTIVATION_GELU_ERF:
  case QB__ACTIVATION_MISH: return computed(x);
  case QB__ACTIVATION_ABS:
  case QB__ACTIVATION_FLOOR:
  case QB__ACTIVATION_CEIL:
  case QB__ACTIVATION_ROUND: return moved(larger(x, 1));
  case QB__ACTIVATION_COUNT: break;
  }
  return moved(x);
}

/* Winograd's transforms of 3x3 windows meet sums up to so many times the result's bound. */
static double detour(const qb__operator *op)
{
  const int64_t *kernel = op->window.kernel;
  return op->kind == QB__OP_CONVOLUTION && kernel[0] == 3 && kernel[1] == 3 ? 0x1p16 : 1;
}

/* Sums of so many products may round up each time. */
static double rounded(double sum, double terms)
{
  return sum * (1 + terms * 0x1p-23);
}

static qb__magnitude layer(const qb__graph *graph, const qb__operator *op, const qb__factor *factor,
                           double x, double addend)
{
  const qb__tensor *w = &graph->tensors[op->weights];
  const double terms = (double)w->elements / (double)w->dims[0] + 2;
  const double sum = rounded(factor->gain * x + factor->offset + addend, terms);
  const qb__magnitude after = activation(op, sum);
  return (qb__magnitude){larger(sum * detour(op), after.peak), after.result};
}

/* oneDNN takes the power of the sum of squares by way of its 1.5th. */
static qb__magnitude lrn(const qb__operator *op, double x)
{
  if (!(op->lrn_k > 0) || op->lrn_alpha < 0 || op->lrn_beta < 0)
    return computed(INFINITY);
  const double scale = (double)op->lrn_k + (double)op->lrn_alpha * x * x;
  const double least = pow((double)op->lrn_k, -(double)op->lrn_beta);
  const double squares = (double)op->lrn_size * x * x;
  return (qb__magnitude){larger(larger(squares, scale * sqrt(scale)), x * least), x * least};
}

static double window_elements(const qb__graph *graph, const qb__operator *op)
{
  double elements = 1;
  for (uint32_t i = 0; i + 1 < graph->tensors[op->input].rank; i++)
    elements *= (double)op->window.kernel[i];
  return elements;
}

/* Values lie as many deviations from their mean as the root of their number, at most. */
static qb__magnitude norm(const qb__graph *graph, const qb__operator *op, const qb__factor *factor,
                          double x)
{
  const qb__tensor *t = &graph->tensors[op->input];
  double count = (double)t->elements;
  if (op->kind == QB__OP_GROUP_NORM)
    count /= (double)op->groups;
  for (uint32_t d = 0; op->kind == QB__OP_LAYER_NORM && d < op->axis; d++)
    count /= (double)t->dims[d];
  const double result = rounded(sqrt(count) * factor->gain + factor->offset, count);
  return op->epsilon > 0 ? (qb__magnitude){larger(4 * x * x * count, result), result}
                         : computed(INFINITY);
}

static qb__magnitude reduction(const qb__graph *graph, const qb__operator *op, double x)
{
  const double count =
      (double)graph->tensors[op->input].elements / (double)graph->tensors[op->output].elements;
  switch (op->reduction) {
  case QB__REDUCTION_MEAN: return (qb__magnitude){rounded(x * count, count), x};
  case QB__REDUCTION_MAX:
  case QB__REDUCTION_MIN: return moved(x);
  case QB__REDUCTION_SUM:
  case QB__REDUCTION_L1: return computed(rounded(x * count, count));
  case QB__REDUCTION_PRODUCT: return computed(pow(fmax(1, x), count));
  case QB__REDUCTION_L2: return (qb__magnitude){rounded(x * x * count, count), x * sqrt(count)};
  case QB__REDUCTION_SUM_SQUARE: return computed(rounded(x * x * count, count));
  case QB__REDUCTION_LOG_SUM_EXP: return computed(x + log(count) + 1);
  case QB__REDUCTION_LOG_SUM:
  case QB__REDUCTION_COUNT: break;
  }
  return computed(INFINITY);
}

static double bound_of(const qb__graph *graph, int32_t tensor, const double *bounds, double cap)
{
  return graph->tensors[tensor].constant || bounds[tensor] <= cap ? bounds[tensor] : cap;
}

/* Of all inputs from `first` on. */
static double largest_of(const qb__graph *graph, const qb__operator *op, size_t first,
                         const double *bounds, double cap)
{
  double most = 0;
  int32_t tensor;
  for (size_t i = first; (tensor = qb__operator_input(op, i)) != QB__NONE; i++)
    most = larger(bound_of(graph, tensor, bounds, cap), most);
  return most;
}

/* Infinite constants, as those of masks, are handed on. */
static qb__magnitude sum(const qb__graph *graph, const qb__operator *op, double x, double y)
{
  const bool x_is_mask = graph->tensors[op->input].constant && isinf(x);
  const bool y_is_mask = graph->tensors[op->addend].constant && isinf(y);
  return x_is_mask ? (qb__magnitude){y, x} : y_is_mask ? (qb__magnitude){x, y} : computed(x + y);
}

/* What divides by a constant other than 0. */
static qb__magnitude divided(const qb__factor *factor, double result)
{
  return computed(factor->least > 0 ? result : INFINITY);
}

static qb__magnitude softmax(const qb__graph *graph, const qb__operator *op, double x)
{
  const double terms = (double)graph->tensors[op->input].dims[op->axis];
  return op->logarithm ? computed(2 * x + log(terms) + 1) : moved(1);
}

static qb__magnitude matmul(const qb__graph *graph, const qb__operator *op, double x, double y)
{
  const qb__tensor *in = &graph->tensors[op->input];
  const double depth = (double)in->dims[in->rank - 1];
  return computed(rounded(x * y * depth, depth));
}

/* A layer on bytes. */
static qb__magnitude of_bytes(const qb__graph *graph, const qb__operator *op, double addend)
{
  const double largest = graph->tensors[op->output].type == QB__TYPE_F32 ? INFINITY : 255;
  const double sum = (double)op->requantize.most * (1 + 0x1p-20) + addend;
  const qb__magnitude after = activation(op, sum);
  return (qb__magnitude){larger(sum, after.peak), fmin(after.result, largest)};
}

qb__magnitude qb__operator_magnitude(const qb__graph *graph, const qb__operator *op,
                                     const qb__factor *factor, const double *bounds, double cap)
{
  const double x = bound_of(graph, op->input, bounds, cap);
  const double y = op->addend == QB__NONE ? 0 : bound_of(graph, op->addend, bounds, cap);
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
  case QB__OP_DECONVOLUTION:
  case QB__OP_DENSE:
  case QB__OP_LINEAR:
    return op->requantize.applies ? of_bytes(graph, op, y) : layer(graph, op, factor, x, y);
  case QB__OP_BATCH_NORM: break; /* folded before anything runs */
  case QB__OP_ACTIVATION: return activation(op, x);
  case QB__OP_ADD:
  case QB__OP_SUBTRACT: return sum(graph, op, x, y);
  case QB__OP_MULTIPLY: return computed(x * y);
  case QB__OP_PRELU: return computed(larger(x, x * y));
  case QB__OP_DIVIDE: return divided(factor, x / factor->least);
  case QB__OP_MODULO:
  case QB__OP_FLOOR_MODULO: return divided(factor, larger(x, y));
  case QB__OP_POWER: break;
  case QB__OP_MAXIMUM:
  case QB__OP_MINIMUM: return moved(larger(x, y));
  case QB__OP_EQUAL:
  case QB__OP_LESS:
  case QB__OP_LESS_EQUAL:
  case QB__OP_GREATER:
  case QB__OP_GREATER_EQUAL: return moved(1);
  case QB__OP_SELECT: return moved(largest_of(graph, op, 1, bounds, cap));
  case QB__OP_QUANTIZE: return moved(fmax(fabs((double)op->alpha), fabs((double)op->beta)));
  case QB__OP_DEQUANTIZE: return computed((x + factor->offset) * fmax(1, factor->gain));
  case QB__OP_CONCAT: return moved(largest_of(graph, op, 0, bounds, cap));
  case QB__OP_MAX_POOL: return moved(x);
  case QB__OP_AVERAGE_POOL:
    return op->requantize.applies ? moved(UINT8_MAX)
                                  : (qb__magnitude){x * window_elements(graph, op), x};
  case QB__OP_LRN: return op->requantize.applies ? moved(UINT8_MAX) : lrn(op, x);
  case QB__OP_LAYER_NORM:
  case QB__OP_GROUP_NORM: return norm(graph, op, factor, x);
  case QB__OP_MATMUL: return matmul(graph, op, x, y);
  case QB__OP_SOFTMAX: return softmax(graph, op, x);
  case QB__OP_REDUCE: return reduction(graph, op, x);
  case QB__OP_ARG: return moved((double)graph->tensors[op->input].dims[op->axis]);
  case QB__OP_RESIZE: return op->linear ? (qb__magnitude){8 * x, x} : moved(x);
  case QB__OP_PAD: return moved(larger(x, fabs((double)op->value)));
  case QB__OP_PICK: {
    const double most = larger(largest_of(graph, op, 0, bounds, cap), fabs((double)op->value));
    return op->factors || op->taps > 1 ? computed(factor->gain * most) : moved(most);
  }
  case QB__OP_TRANSPOSE:
  case QB__OP_FLATTEN: return moved(x);
  }
  return computed(INFINITY);
}

bool qb__operator_hides(const qb__operator *op)
{
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
  case QB__OP_DECONVOLUTION:
  case QB__OP_DENSE:
  case QB__OP_LINEAR: return op->activation && op->activation != QB__ACTIVATION_LINEAR;
  case QB__OP_MAX_POOL:
  case QB__OP_LRN:
  case QB__OP_LAYER_NORM:
  case QB__OP_GROUP_NORM:
  case QB__OP_SOFTMAX:
  case QB__OP_ARG:
  case QB__OP_ACTIVATION: return true;
  case QB__OP_BATCH_NORM:
  case QB__OP_ADD:
  case QB__OP_SUBTRACT:
  case QB__OP_MULTIPLY:
  case QB__OP_DIVIDE:
  case QB__OP_MAXIMUM:
  case QB__OP_MINIMUM:
  case QB__OP_POWER:
  case QB__OP_MODULO:
  case QB__OP_FLOOR_MODULO:
  case QB__OP_PRELU:
  case QB__OP_EQUAL:
  case QB__OP_LESS:
  case QB__OP_LESS_EQUAL:
  case QB__OP_GREATER:
  case QB__OP_GREATER_EQUAL:
  case QB__OP_SELECT:
  case QB__OP_QUANTIZE:
  case QB__OP_DEQUANTIZE:
  case QB__OP_REDUCE:
  case QB__OP_AVERAGE_POOL:
  case QB__OP_MATMUL:
  case QB__OP_RESIZE:
  case QB__OP_CONCAT:
  case QB__OP_PAD:
  case QB__OP_PICK:
  case QB__OP_TRANSPOSE:
  case QB__OP_FLATTEN: break;
  }
  return false;
}
