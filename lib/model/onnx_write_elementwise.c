/* SPDX-License-Identifier: Apache-2.0 */
/* Activations, operators on two or three tensors in the same place, and conversions. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/onnx_write_impl.h"

#include <math.h>
#include <string.h>

/* As one operator of the standard without attributes; NULL: as several. */
static const char *const activations[QB__ACTIVATION_COUNT] = {
    [QB__ACTIVATION_NONE] = "Identity",     [QB__ACTIVATION_RELU] = "Relu",
    [QB__ACTIVATION_SIGMOID] = "Sigmoid",   [QB__ACTIVATION_TANH] = "Tanh",
    [QB__ACTIVATION_SOFTPLUS] = "Softplus", [QB__ACTIVATION_EXP] = "Exp",
    [QB__ACTIVATION_LOG] = "Log",           [QB__ACTIVATION_SQRT] = "Sqrt",
    [QB__ACTIVATION_ABS] = "Abs",           [QB__ACTIVATION_ERF] = "Erf",
    [QB__ACTIVATION_FLOOR] = "Floor",       [QB__ACTIVATION_CEIL] = "Ceil",
    [QB__ACTIVATION_ROUND] = "Round",       [QB__ACTIVATION_SIGN] = "Sign",
    [QB__ACTIVATION_SIN] = "Sin",           [QB__ACTIVATION_COS] = "Cos"};

static void finish(qb__onnx_writer *w, const qb__operator *op, const char *kind, const char *a,
                   const char *b, const char *out)
{
  qb__onnx_write_node(w, op, kind, out, a, b, NULL);
  qb__onnx_write_end(w);
}

/* x and a number. */
static qb__onnx_name with(qb__onnx_writer *w, const qb__operator *op, const char *kind,
                          const char *x, double number)
{
  const qb__onnx_name c = qb__onnx_write_number(w, op, (float)number);
  return qb__onnx_write_step(w, op, kind, x, c.text);
}

static void write_alpha(qb__onnx_writer *w, const qb__operator *op, const char *kind,
                        const char *in, const char *out)
{
  qb__onnx_write_node(w, op, kind, out, in, NULL);
  qb__onnx_write_float(w, "alpha", op->alpha);
  qb__onnx_write_end(w);
}

static void write_clip(qb__onnx_writer *w, const qb__operator *op, const char *in, const char *out)
{
  const qb__onnx_name low = qb__onnx_write_number(w, op, op->alpha);
  const qb__onnx_name high = qb__onnx_write_number(w, op, op->beta);
  qb__onnx_write_node(w, op, "Clip", out, in, low.text, high.text, NULL);
  qb__onnx_write_end(w);
}

/* x times what opens and closes; operators of their own came with later opsets. */
static void write_gated(qb__onnx_writer *w, const qb__operator *op, const char *in, const char *out)
{
  qb__onnx_name gate;
  switch (op->activation) {
  case QB__ACTIVATION_HARD_SWISH:
    gate = qb__onnx_write_fresh(w, op->name);
    qb__onnx_write_node(w, op, "HardSigmoid", gate.text, in, NULL);
    qb__onnx_write_float(w, "alpha", 1.0f / 6);
    qb__onnx_write_float(w, "beta", 0.5f);
    qb__onnx_write_end(w);
    break;
  case QB__ACTIVATION_SWISH:
    gate = with(w, op, "Mul", in, op->alpha);
    gate = qb__onnx_write_step(w, op, "Sigmoid", op->alpha == 1 ? in : gate.text, NULL);
    break;
  case QB__ACTIVATION_MISH:
    gate = qb__onnx_write_step(w, op, "Softplus", in, NULL);
    gate = qb__onnx_write_step(w, op, "Tanh", gate.text, NULL);
    break;
  case QB__ACTIVATION_GELU_ERF:
    gate = with(w, op, "Mul", in, sqrt(0.5));
    gate = qb__onnx_write_step(w, op, "Erf", gate.text, NULL);
    break;
  default: /* gelu by tanh: sqrt(2 / pi) * (x + 0.044715 * x^3) */
    gate = with(w, op, "Pow", in, 3);
    gate = with(w, op, "Mul", gate.text, 0.044715);
    gate = qb__onnx_write_step(w, op, "Add", in, gate.text);
    gate = with(w, op, "Mul", gate.text, sqrt(2 / M_PI));
    gate = qb__onnx_write_step(w, op, "Tanh", gate.text, NULL);
  }
  if (op->activation != QB__ACTIVATION_GELU_ERF && op->activation != QB__ACTIVATION_GELU_TANH) {
    finish(w, op, "Mul", in, gate.text, out);
    return;
  }
  gate = with(w, op, "Add", gate.text, 1);
  gate = qb__onnx_write_step(w, op, "Mul", in, gate.text);
  const qb__onnx_name half = qb__onnx_write_number(w, op, 0.5f);
  finish(w, op, "Mul", gate.text, half.text, out);
}

void qb__onnx_write_activation(qb__onnx_writer *w, const qb__operator *op, const char *in,
                               const char *out)
{
  const char *kind = activations[op->activation];
  qb__onnx_name c;
  switch (op->activation) {
  case QB__ACTIVATION_RELU:
    if (op->alpha != 0)
      write_alpha(w, op, "LeakyRelu", in, out);
    else
      finish(w, op, kind, in, NULL, out);
    break;
  case QB__ACTIVATION_ELU: write_alpha(w, op, "Elu", in, out); break;
  case QB__ACTIVATION_CLIP: write_clip(w, op, in, out); break;
  case QB__ACTIVATION_LINEAR: {
    const bool only_adds = op->alpha == 1, only_scales = op->beta == 0 && !only_adds;
    const qb__onnx_name product =
        only_adds || only_scales ? (qb__onnx_name){""} : with(w, op, "Mul", in, op->alpha);
    c = qb__onnx_write_number(w, op, only_scales ? op->alpha : op->beta);
    finish(w, op, only_scales ? "Mul" : "Add", *product.text ? product.text : in, c.text, out);
    break;
  }
  case QB__ACTIVATION_POWER: {
    const qb__onnx_name power = with(w, op, "Pow", in, op->beta);
    c = qb__onnx_write_number(w, op, op->alpha);
    finish(w, op, "Mul", power.text, c.text, out);
    break;
  }
  default:
    if (kind)
      finish(w, op, kind, in, NULL, out);
    else
      write_gated(w, op, in, out);
  }
}

/* Booleans as floats and the other way round. */
static void write_cast(qb__onnx_writer *w, const qb__operator *op, const char *in, const char *out,
                       int32_t type)
{
  qb__onnx_write_node(w, op, "Cast", out, in, NULL);
  qb__onnx_write_int(w, "to", type);
  qb__onnx_write_end(w);
}

static void write_select(qb__onnx_writer *w, const qb__operator *op, const char *in,
                         const char *out)
{
  const qb__onnx_name condition = qb__onnx_write_fresh(w, op->name);
  write_cast(w, op, in, condition.text, QB__ONNX_TYPE_BOOL);
  qb__onnx_write_node(w, op, "Where", out, condition.text, qb__onnx_write_name(w, op->rest[0]),
                      qb__onnx_write_name(w, op->rest[1]), NULL);
  qb__onnx_write_end(w);
}

static void choose(qb__onnx_writer *w, const qb__operator *op, const char *negative, const char *a,
                   const char *b, const char *out)
{
  const qb__onnx_name condition = with(w, op, "Less", negative, 0);
  qb__onnx_write_node(w, op, "Where", out, condition.text, a, b, NULL);
  qb__onnx_write_end(w);
}

/* The slope of the standard's PRelu may not be larger than x. */
static void write_prelu(qb__onnx_writer *w, const qb__operator *op, const char *x, const char *y,
                        const char *out)
{
  const qb__tensor *t = &w->graph->tensors[op->input], *all = &w->graph->tensors[op->output];
  if (!memcmp(t->dims, all->dims, t->rank * sizeof *t->dims)) {
    finish(w, op, "PRelu", x, y, out);
    return;
  }
  const qb__onnx_name product = qb__onnx_write_step(w, op, "Mul", x, y);
  choose(w, op, x, product.text, x, out);
}

/* With the sign of x, and moved into that of y where they differ. */
static void write_modulo(qb__onnx_writer *w, const qb__operator *op, const char *x, const char *y,
                         const char *out)
{
  const bool floors = op->kind == QB__OP_FLOOR_MODULO;
  const qb__onnx_name rest = qb__onnx_write_fresh(w, op->name);
  qb__onnx_write_node(w, op, "Mod", floors ? rest.text : out, x, y, NULL);
  qb__onnx_write_int(w, "fmod", 1);
  qb__onnx_write_end(w);
  if (floors) {
    const qb__onnx_name moved = qb__onnx_write_step(w, op, "Add", rest.text, y);
    const qb__onnx_name product = qb__onnx_write_step(w, op, "Mul", rest.text, y);
    choose(w, op, product.text, moved.text, rest.text, out);
  }
}

void qb__onnx_write_elementwise(qb__onnx_writer *w, const qb__operator *op, const char *in,
                                const char *out)
{
  static const struct {
    const char *kind;
    bool compares;
  } kinds[] = {
      [QB__OP_ADD] = {"Add"},
      [QB__OP_SUBTRACT] = {"Sub"},
      [QB__OP_MULTIPLY] = {"Mul"},
      [QB__OP_DIVIDE] = {"Div"},
      [QB__OP_MAXIMUM] = {"Max"},
      [QB__OP_MINIMUM] = {"Min"},
      [QB__OP_POWER] = {"Pow"},
      [QB__OP_EQUAL] = {"Equal", true},
      [QB__OP_LESS] = {"Less", true},
      [QB__OP_LESS_EQUAL] = {"LessOrEqual", true},
      [QB__OP_GREATER] = {"Greater", true},
      [QB__OP_GREATER_EQUAL] = {"GreaterOrEqual", true},
      [QB__OP_MATMUL] = {"MatMul"},
  };
  if (op->kind == QB__OP_SELECT) {
    write_select(w, op, in, out);
    return;
  }
  const char *second = qb__onnx_write_name(w, op->addend);
  if (op->kind == QB__OP_PRELU) {
    write_prelu(w, op, in, second, out);
  } else if (op->kind == QB__OP_MODULO || op->kind == QB__OP_FLOOR_MODULO) {
    write_modulo(w, op, in, second, out);
  } else if (kinds[op->kind].compares) {
    const qb__onnx_name answer = qb__onnx_write_step(w, op, kinds[op->kind].kind, in, second);
    write_cast(w, op, answer.text, out, QB__ONNX_TYPE_FLOAT);
  } else {
    finish(w, op, kinds[op->kind].kind, in, second, out);
  }
}

/* Scale and zero point of a conversion: one of each, or one for each along the axis. */
static float number_at(const qb__onnx_writer *w, int32_t constant, size_t i, float otherwise)
{
  const qb__tensor *t = constant == QB__NONE ? NULL : &w->graph->tensors[constant];
  return t ? t->constant[t->elements == 1 ? 0 : i] : otherwise;
}

static size_t numbers(const qb__onnx_writer *w, const qb__operator *op)
{
  const int32_t constants[2] = {op->weights, op->bias};
  size_t count = 1;
  for (int i = 0; i < 2; i++)
    if (constants[i] != QB__NONE && w->graph->tensors[constants[i]].elements > count)
      count = w->graph->tensors[constants[i]].elements;
  return count;
}

/* The type of 8 bits that a conversion is of; 0: none. */
static int32_t type_of(const qb__onnx_writer *w, const qb__operator *op)
{
  bool fits = true;
  for (size_t i = 0; fits && i < numbers(w, op); i++) {
    const float zero = number_at(w, op->bias, i, 0);
    fits = zero >= op->alpha && zero <= op->beta && zero == nearbyintf(zero);
  }
  return !fits                                           ? 0
         : op->alpha == 0 && op->beta == UINT8_MAX       ? QB__ONNX_TYPE_UINT8
         : op->alpha == INT8_MIN && op->beta == INT8_MAX ? QB__ONNX_TYPE_INT8
                                                         : 0;
}

/* Integers of other ranges by arithmetic on floats. */
static void write_by_arithmetic(qb__onnx_writer *w, const qb__operator *op, const char *in,
                                const char *scale, const char *zero, const char *out)
{
  if (op->kind == QB__OP_DEQUANTIZE) {
    const qb__onnx_name shifted = qb__onnx_write_step(w, op, "Sub", in, zero);
    finish(w, op, "Mul", shifted.text, scale, out);
    return;
  }
  const qb__onnx_name steps = qb__onnx_write_step(w, op, "Div", in, scale);
  const qb__onnx_name whole = qb__onnx_write_step(w, op, "Round", steps.text, NULL);
  const qb__onnx_name shifted = qb__onnx_write_step(w, op, "Add", whole.text, zero);
  write_clip(w, op, shifted.text, out);
}

void qb__onnx_write_converter(qb__onnx_writer *w, const qb__operator *op, const char *in,
                              const char *out)
{
  const size_t count = numbers(w, op);
  const int32_t type = type_of(w, op);
  const uint32_t rank = w->graph->tensors[op->input].rank;
  int64_t dims[QB_MAX_DIMS] = {1, 1, 1, 1, 1, 1, 1}; /* along the axis of a sample */
  dims[type ? 0 : op->axis] = (int64_t)count;
  const uint32_t number_rank = count == 1 ? 0 : type ? 1 : rank;
  float *scales = qb__calloc(w->graph->context, 2 * count, sizeof *scales), *zeros = scales + count;
  if (!scales) {
    w->out.status = QB_ERROR_NO_MEMORY;
    return;
  }
  for (size_t i = 0; i < count; i++) {
    scales[i] = number_at(w, op->weights, i, 1);
    zeros[i] = number_at(w, op->bias, i, 0);
  }
  const qb__onnx_name scale = qb__onnx_write_floats(w, op, number_rank, dims, scales);
  if (!type) {
    const qb__onnx_name zero = qb__onnx_write_floats(w, op, number_rank, dims, zeros);
    write_by_arithmetic(w, op, in, scale.text, zero.text, out);
  } else {
    const qb__onnx_name zero = qb__onnx_write_fresh(w, op->name);
    uint8_t *room = qb__onnx_write_constant(w, zero.text, type, number_rank, dims, 1);
    for (size_t i = 0; room && i < count; i++)
      room[i] = (uint8_t)(int32_t)zeros[i];
    qb__onnx_write_node(w, op, op->kind == QB__OP_QUANTIZE ? "QuantizeLinear" : "DequantizeLinear",
                        out, in, scale.text, zero.text, NULL);
    if (count > 1)
      qb__onnx_write_int(w, "axis", (int64_t)op->axis + 1);
    qb__onnx_write_end(w);
  }
  qb__free(w->graph->context, scales);
}
