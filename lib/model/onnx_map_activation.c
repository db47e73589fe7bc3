/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of one element: activations, roundings, casts. */
#include "core/error.h"
#include "model/onnx_quantized.h"

#include <math.h>
#include <string.h>

const qb__onnx_value *qb__onnx_activation_input(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  if (x && x->kind == QB__ONNX_ACTIVATION)
    return x;
  qb__onnx_problem(im, node, "its first input is not computed from the network's inputs");
  return NULL;
}

static void linear_then(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                        float alpha, float beta, qb__activation activation, float low, float high)
{
  const int32_t scaled = qb__onnx_activate(im, node, x->tensor, QB__ACTIVATION_LINEAR, alpha, beta);
  qb__onnx_result_like(im, node, qb__onnx_activate(im, node, scaled, activation, low, high), x);
}

void qb__onnx_map_activation(qb__onnx *im, const qb__onnx_node *node)
{
  static const struct {
    const char *type;
    qb__activation activation;
    float alpha, beta;
  } plain[] = {
      {"Abs", QB__ACTIVATION_ABS, 0, 0},
      {"Ceil", QB__ACTIVATION_CEIL, 0, 0},
      {"Cos", QB__ACTIVATION_COS, 0, 0},
      {"Erf", QB__ACTIVATION_ERF, 0, 0},
      {"Exp", QB__ACTIVATION_EXP, 0, 0},
      {"Floor", QB__ACTIVATION_FLOOR, 0, 0},
      {"HardSwish", QB__ACTIVATION_HARD_SWISH, 0, 0},
      {"Log", QB__ACTIVATION_LOG, 0, 0},
      {"Mish", QB__ACTIVATION_MISH, 0, 0},
      {"Neg", QB__ACTIVATION_LINEAR, -1, 0},
      {"Not", QB__ACTIVATION_LINEAR, -1, 1},
      {"Reciprocal", QB__ACTIVATION_POWER, 1, -1},
      {"Relu", QB__ACTIVATION_RELU, 0, 0},
      {"Round", QB__ACTIVATION_ROUND, 0, 0},
      {"Sigmoid", QB__ACTIVATION_SIGMOID, 0, 0},
      {"Sign", QB__ACTIVATION_SIGN, 0, 0},
      {"Sin", QB__ACTIVATION_SIN, 0, 0},
      {"Softplus", QB__ACTIVATION_SOFTPLUS, 0, 0},
      {"Sqrt", QB__ACTIVATION_SQRT, 0, 0},
      {"Tanh", QB__ACTIVATION_TANH, 0, 0},
  };
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  for (size_t i = 0; x && i < sizeof plain / sizeof *plain; i++)
    if (!strcmp(node->proto->op_type, plain[i].type))
      qb__onnx_result_like(im, node,
                           qb__onnx_activate(im, node, x->tensor, plain[i].activation,
                                             plain[i].alpha, plain[i].beta),
                           x);
}

/* Those with attributes. */
void qb__onnx_map_parametric(qb__onnx *im, const qb__onnx_node *node)
{
  const char *kind = node->proto->op_type;
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  const float alpha = qb__onnx_float(node, "alpha");
  if (!x)
    return;
  if (!strcmp(kind, "HardSigmoid")) {
    linear_then(im, node, x, alpha, qb__onnx_float(node, "beta"), QB__ACTIVATION_CLIP, 0, 1);
  } else if (!strcmp(kind, "Celu")) { /* alpha * elu(x / alpha) */
    const int32_t y = qb__onnx_activate(im, node, x->tensor, QB__ACTIVATION_LINEAR, 1 / alpha, 0);
    const int32_t elu = qb__onnx_activate(im, node, y, QB__ACTIVATION_ELU, 1, 0);
    qb__onnx_result_like(im, node,
                         qb__onnx_activate(im, node, elu, QB__ACTIVATION_LINEAR, alpha, 0), x);
  } else if (!strcmp(kind, "Selu")) {
    const int32_t y = qb__onnx_activate(im, node, x->tensor, QB__ACTIVATION_ELU, alpha, 0);
    const float gamma = qb__onnx_float(node, "gamma");
    qb__onnx_result_like(im, node, qb__onnx_activate(im, node, y, QB__ACTIVATION_LINEAR, gamma, 0),
                         x);
  } else {
    const qb__activation activation = !strcmp(kind, "LeakyRelu") ? QB__ACTIVATION_RELU
                                      : !strcmp(kind, "Elu")     ? QB__ACTIVATION_ELU
                                      : !strcmp(kind, "Swish")   ? QB__ACTIVATION_SWISH
                                      : qb__onnx_text_is(node, "approximate", "tanh")
                                          ? QB__ACTIVATION_GELU_TANH
                                          : QB__ACTIVATION_GELU_ERF;
    qb__onnx_result_like(im, node, qb__onnx_activate(im, node, x->tensor, activation, alpha, 0), x);
  }
}

/* A constant that is repeated over all of a tensor. */
static int32_t number_like(qb__onnx *im, const qb__onnx_node *node, int32_t x, float value)
{
  static const int64_t ones[QB_MAX_DIMS] = {1, 1, 1, 1, 1, 1, 1};
  if (im->graph->status)
    return QB__NONE;
  const int32_t c = qb__graph_constant(im->graph, node->label, im->graph->tensors[x].rank, ones);
  if (c != QB__NONE)
    *im->graph->tensors[c].constant = value;
  return c;
}

/* x / (1 + |x|) */
void qb__onnx_map_softsign(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  if (!x)
    return;
  int32_t y = qb__onnx_activate(im, node, x->tensor, QB__ACTIVATION_ABS, 0, 0);
  y = qb__onnx_activate(im, node, y, QB__ACTIVATION_LINEAR, 1, 1);
  qb__onnx_result_like(im, node,
                       qb__graph_binary(im->graph, node->label, QB__OP_DIVIDE, x->tensor, y), x);
}

/* x where it is greater than alpha, else 0. */
void qb__onnx_map_thresholded_relu(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  qb__graph *g = im->graph;
  if (!x)
    return;
  const int32_t alpha = number_like(im, node, x->tensor, qb__onnx_float(node, "alpha"));
  const int32_t zero = number_like(im, node, x->tensor, 0);
  const int32_t above = qb__graph_binary(g, node->label, QB__OP_GREATER, x->tensor, alpha);
  qb__onnx_result_like(im, node, qb__graph_select(g, node->label, above, x->tensor, zero), x);
}

/* A NaN is what does not equal itself. */
void qb__onnx_map_is_nan(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  if (!x)
    return;
  const int32_t y = qb__graph_binary(im->graph, node->label, QB__OP_EQUAL, x->tensor, x->tensor);
  qb__onnx_result_like(im, node, qb__onnx_activate(im, node, y, QB__ACTIVATION_LINEAR, -1, 1), x);
}

/* A bound of a clip: an attribute before opset 11, a constant input from there on. */
static bool bound(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                  const char *name, size_t index, float *value)
{
  const qb__onnx_value *v = qb__onnx_input(node, index);
  if (im->opset < 11 && qb__onnx_attribute(node, name))
    *value = qb__onnx_float(node, name);
  if (im->opset < 11 || !v || qb__onnx_number_like(v, x, value))
    return true;
  qb__onnx_problem(im, node, "its '%s' is not a constant number", name);
  return false;
}

/* min(max(x, low), high), so that `high` wins where the bounds are the wrong way round. */
void qb__onnx_map_clip(qb__onnx *im, const qb__onnx_node *node)
{
  float low = -INFINITY, high = INFINITY;
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  if (!x || !bound(im, node, x, "min", 1, &low) || !bound(im, node, x, "max", 2, &high))
    return;
  if (low == 0 && high == INFINITY)
    qb__onnx_result_like(im, node,
                         qb__onnx_activate(im, node, x->tensor, QB__ACTIVATION_RELU, 0, 0), x);
  else if (low == -INFINITY && high == INFINITY)
    qb__onnx_result_like(im, node, x->tensor, x);
  else
    qb__onnx_result_like(
        im, node,
        qb__onnx_activate(im, node, x->tensor, QB__ACTIVATION_CLIP, low < high ? low : high, high),
        x);
}

/* Towards 0: the sign times the whole part of the absolute value. */
static int32_t truncate(qb__onnx *im, const qb__onnx_node *node, int32_t x)
{
  const int32_t sign = qb__onnx_activate(im, node, x, QB__ACTIVATION_SIGN, 0, 0);
  int32_t whole = qb__onnx_activate(im, node, x, QB__ACTIVATION_ABS, 0, 0);
  whole = qb__onnx_activate(im, node, whole, QB__ACTIVATION_FLOOR, 0, 0);
  return qb__graph_binary(im->graph, node->label, QB__OP_MULTIPLY, sign, whole);
}

/* Types of integers that floats stand for. */
static bool is_whole(int32_t type)
{
  float low, high;
  return type == QB__ONNX_TYPE(INT64) || qb__onnx_integer_range(type, &low, &high);
}

/* Whether a type has all integers of another one. */
static bool holds_all(int32_t type, int32_t other)
{
  float low, high, least, most;
  if (!qb__onnx_integer_range(other, &least, &most))
    return false;
  return type == QB__ONNX_TYPE(INT64) ||
         (qb__onnx_integer_range(type, &low, &high) && low <= least && most <= high);
}

/* What a type does not hold is undefined in the standard; here it is the nearest that it holds. */
static void cast_to(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x, int32_t type)
{
  int32_t y = x->tensor;
  float low, high;
  if (type == QB__ONNX_TYPE(FLOAT16) || type == QB__ONNX_TYPE(BFLOAT16))
    type = QB__ONNX_TYPE(FLOAT);
  if (type == QB__ONNX_TYPE(BOOL) && x->type != type) {
    y = qb__graph_binary(im->graph, node->label, QB__OP_EQUAL, y, number_like(im, node, y, 0));
    y = qb__onnx_activate(im, node, y, QB__ACTIVATION_LINEAR, -1, 1);
  } else if (x->type == QB__ONNX_TYPE(FLOAT) && is_whole(type)) {
    y = truncate(im, node, y);
    if (qb__onnx_integer_range(type, &low, &high))
      y = qb__onnx_activate(im, node, y, QB__ACTIVATION_CLIP, low, high);
  } else if (type != QB__ONNX_TYPE(FLOAT) && type != x->type && !holds_all(type, x->type)) {
    qb__onnx_problem(im, node,
                     "activations are 32-bit floats; they are cast to floats of 16 and 32 bits, "
                     "integers of the same range or a larger one, and booleans only");
    return;
  }
  qb__onnx_result_like(im, node, y, x);
  if (!im->graph->status)
    qb__onnx_find(im, node->proto->output[0])->type = type;
}

void qb__onnx_map_cast(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node), *like = qb__onnx_input(node, 1);
  const bool by_example = !strcmp(node->proto->op_type, "CastLike");
  if (x)
    cast_to(im, node, x, by_example ? like->type : (int32_t)qb__onnx_int(node, "to"));
}
