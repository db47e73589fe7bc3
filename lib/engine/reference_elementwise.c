/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/reference_impl.h"

#include <math.h>

static double softplus(double x)
{
  return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

double qb__reference_activate(const qb__operator *op, double x)
{
  switch (op->activation) {
  case QB__ACTIVATION_NONE: break;
  case QB__ACTIVATION_RELU: return x > 0 || isnan(x) ? x : op->alpha != 0 ? op->alpha * x : 0;
  case QB__ACTIVATION_CLIP: return isnan(x) ? x : fmin(fmax(x, op->alpha), op->beta);
  case QB__ACTIVATION_SIGMOID: return 1 / (1 + exp(-x));
  case QB__ACTIVATION_TANH: return tanh(x);
  case QB__ACTIVATION_HARD_SWISH: return x * fmin(fmax(x / 6 + 0.5, 0), 1);
  case QB__ACTIVATION_LINEAR: return op->alpha * x + op->beta;
  case QB__ACTIVATION_POWER: return op->alpha * pow(x, op->beta);
  case QB__ACTIVATION_ELU: return x > 0 ? x : op->alpha * expm1(x);
  case QB__ACTIVATION_GELU_ERF: return x / 2 * (1 + erf(x / sqrt(2)));
  case QB__ACTIVATION_GELU_TANH:
    return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
  case QB__ACTIVATION_SWISH: return x / (1 + exp(-op->alpha * x));
  case QB__ACTIVATION_SOFTPLUS: return softplus(x);
  case QB__ACTIVATION_MISH: return x * tanh(softplus(x));
  case QB__ACTIVATION_EXP: return exp(x);
  case QB__ACTIVATION_LOG: return log(x);
  case QB__ACTIVATION_SQRT: return sqrt(x);
  case QB__ACTIVATION_ABS: return fabs(x);
  case QB__ACTIVATION_ERF: return erf(x);
  case QB__ACTIVATION_FLOOR: return floor(x);
  case QB__ACTIVATION_CEIL: return ceil(x);
  case QB__ACTIVATION_ROUND: return nearbyint(x);
  case QB__ACTIVATION_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x;
  case QB__ACTIVATION_SIN: return sin(x);
  case QB__ACTIVATION_COS: return cos(x);
  case QB__ACTIVATION_COUNT: break;
  }
  return x;
}

static double floor_modulo(double a, double b)
{
  const double rest = fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static double combine(qb__op_kind kind, double a, double b)
{
  switch (kind) {
  case QB__OP_SUBTRACT: return a - b;
  case QB__OP_MULTIPLY: return a * b;
  case QB__OP_DIVIDE: return a / b;
  case QB__OP_MAXIMUM: return isnan(a) || a > b ? a : b;
  case QB__OP_MINIMUM: return isnan(a) || a < b ? a : b;
  case QB__OP_POWER: return pow(a, b);
  case QB__OP_MODULO: return fmod(a, b);
  case QB__OP_FLOOR_MODULO: return floor_modulo(a, b);
  case QB__OP_PRELU: return a < 0 ? b * a : a;
  case QB__OP_EQUAL: return a == b;
  case QB__OP_LESS: return a < b;
  case QB__OP_LESS_EQUAL: return a <= b;
  case QB__OP_GREATER: return a > b;
  case QB__OP_GREATER_EQUAL: return a >= b;
  default: return a + b;
  }
}

void qb__reference_combine(const qb__graph *g, const qb__operator *op,
                           const qb__reference_inputs *in, float *y)
{
  const qb__tensor *out = &g->tensors[op->output];
  int64_t at[QB_MAX_DIMS];
  for (size_t i = 0; i < out->elements; i++) {
    float values[3] = {0};
    qb__reference_position(out, i, at);
    for (size_t n = 0; n < in->count; n++)
      values[n] = in->values[n][qb__reference_repeated(&g->tensors[qb__operator_input(op, n)], at)];
    y[i] = op->kind == QB__OP_SELECT ? values[0] != 0 ? values[1] : values[2]
                                     : (float)combine(op->kind, values[0], values[1]);
  }
}

/* The element of a scale or zero point for index `at` along the axis. */
static float number_at(const qb__graph *g, int32_t constant, int64_t at, float otherwise)
{
  if (constant == QB__NONE)
    return otherwise;
  const qb__tensor *t = &g->tensors[constant];
  return t->constant[t->elements == 1 ? 0 : at];
}

/* In floats, as the standard has it; a NaN stays what it is. */
static float quantize(const qb__operator *op, float x, float scale, float zero_point)
{
  const float y = nearbyintf(x / scale) + zero_point;
  return y < op->alpha ? op->alpha : y > op->beta ? op->beta : y;
}

void qb__reference_convert(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *t = &g->tensors[op->output];
  int64_t at[QB_MAX_DIMS] = {0}; /* a number has no axis */
  for (size_t i = 0; i < t->elements; i++) {
    qb__reference_position(t, i, at);
    const float scale = number_at(g, op->weights, at[op->axis], 1);
    const float zero_point = number_at(g, op->bias, at[op->axis], 0);
    y[i] = op->kind == QB__OP_QUANTIZE ? quantize(op, x[i], scale, zero_point)
                                       : (x[i] - zero_point) * scale;
  }
}
