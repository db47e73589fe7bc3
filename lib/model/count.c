/* SPDX-License-Identifier: Apache-2.0 */
/* Floating-point operations and bytes, by the operator's definition and not by any algorithm. */
#include "model/graph.h"

static double output_elements(const qb__graph *graph, const qb__operator *op)
{
  return (double)graph->tensors[op->output].elements;
}

double qb__operator_flops(const qb__graph *graph, const qb__operator *op)
{
  const double out = output_elements(graph, op);
  double flops = 0;
  switch (op->kind) {
  case QB__OP_CONVOLUTION: {
    const qb__tensor *w = &graph->tensors[op->weights];
    flops = 2 * out * (double)(w->elements / (size_t)w->dims[0]);
    break;
  }
  case QB__OP_DECONVOLUTION: {
    const qb__tensor *w = &graph->tensors[op->weights];
    const double per_input = (double)w->elements / (double)(w->dims[1] * op->groups);
    flops = 2 * (double)graph->tensors[op->input].elements * per_input;
    break;
  }
  case QB__OP_DENSE: flops = 2 * (double)graph->tensors[op->weights].elements; break;
  case QB__OP_BATCH_NORM: return 2 * out;
  case QB__OP_MATMUL: {
    const qb__tensor *x = &graph->tensors[op->input];
    return 2 * out * (double)x->dims[x->rank - 1];
  }
  case QB__OP_LINEAR: {
    const qb__tensor *x = &graph->tensors[op->input];
    flops = 2 * out * (double)x->dims[x->rank - 1];
    break;
  }
  case QB__OP_ACTIVATION:
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
  case QB__OP_SELECT: return out;
  case QB__OP_QUANTIZE:
  case QB__OP_DEQUANTIZE: return 2 * out;
  case QB__OP_MAX_POOL:
  case QB__OP_AVERAGE_POOL:
    for (uint32_t i = 0; i + 1 < graph->tensors[op->input].rank; i++)
      flops = (flops ? flops : out) * (double)op->window.kernel[i];
    return flops;
  case QB__OP_ARG:
  case QB__OP_REDUCE: return (double)graph->tensors[op->input].elements;
  case QB__OP_LAYER_NORM: /* sum, difference, square and its sum, scale and shift */
  case QB__OP_GROUP_NORM: return 7 * out;
  case QB__OP_PICK: return op->factors ? 2 * out * op->taps : 0;
  case QB__OP_RESIZE: /* two products and a sum for each dimension of the image */
    return op->linear ? 3 * out * (double)(graph->tensors[op->input].rank - 1) : 0;
  case QB__OP_LRN: return out * (2.0 * (double)op->lrn_size + 3); /* squares, sum, power, scale */
  case QB__OP_SOFTMAX: return 4 * out; /* maximum, exponential, sum, division */
  case QB__OP_CONCAT:
  case QB__OP_PAD:
  case QB__OP_TRANSPOSE:
  case QB__OP_FLATTEN: return 0;
  }
  if (op->bias != QB__NONE)
    flops += out;
  if (op->addend != QB__NONE)
    flops += out;
  if (op->activation)
    flops += out;
  return flops;
}

uint64_t qb__operator_activation_bytes(const qb__graph *graph, const qb__operator *op)
{
  if (op->kind == QB__OP_FLATTEN)
    return 0;
  uint64_t elements = graph->tensors[op->output].elements;
  int32_t input;
  for (size_t i = 0; (input = qb__operator_input(op, i)) != QB__NONE; i++)
    if (!graph->tensors[input].constant)
      elements += graph->tensors[input].elements;
  return elements * sizeof(float);
}

uint64_t qb__operator_weight_bytes(const qb__graph *graph, const qb__operator *op)
{
  const int32_t constants[] = {op->weights, op->bias, op->mean, op->variance};
  uint64_t elements = 0;
  int32_t input;
  for (int i = 0; i < 4; i++)
    if (constants[i] != QB__NONE)
      elements += graph->tensors[constants[i]].elements;
  for (size_t i = 0; (input = qb__operator_input(op, i)) != QB__NONE; i++)
    if (graph->tensors[input].constant)
      elements += graph->tensors[input].elements;
  return elements * sizeof(float);
}

/* Of each activation, behind what it is fused to. */
#define EACH_ACTIVATION(behind)                                                                    \
  behind("none"), behind("relu"), behind("clip"), behind("sigmoid"), behind("tanh"),               \
      behind("hard_swish"), behind("linear"), behind("power"), behind("elu"), behind("gelu_erf"),  \
      behind("gelu_tanh"), behind("swish"), behind("softplus"), behind("mish"), behind("exp"),     \
      behind("log"), behind("sqrt"), behind("abs"), behind("erf"), behind("floor"),                \
      behind("ceil"), behind("round"), behind("sign"), behind("sin"), behind("cos")
#define ALONE(activation)           activation
#define CONVOLUTION(activation)     "convolution+" activation
#define CONVOLUTION_ADD(activation) "convolution+add+" activation
#define DENSE(activation)           "dense+" activation
#define DENSE_ADD(activation)       "dense+add+" activation
#define LINEAR(activation)          "linear+" activation
#define LINEAR_ADD(activation)      "linear+add+" activation

static const char *const activation_names[QB__ACTIVATION_COUNT] = {EACH_ACTIVATION(ALONE)};

static const char *layer_name(const qb__operator *op)
{
  static const char *const of_integers[3] = {"integer_convolution", "integer_dense",
                                             "integer_linear"};
  static const char *const plain[3][2] = {
      {"convolution", "convolution+add"}, {"dense", "dense+add"}, {"linear", "linear+add"}};
  static const char *const fused[3][2][QB__ACTIVATION_COUNT] = {
      {{EACH_ACTIVATION(CONVOLUTION)}, {EACH_ACTIVATION(CONVOLUTION_ADD)}},
      {{EACH_ACTIVATION(DENSE)}, {EACH_ACTIVATION(DENSE_ADD)}},
      {{EACH_ACTIVATION(LINEAR)}, {EACH_ACTIVATION(LINEAR_ADD)}},
  };
  const int kind = op->kind == QB__OP_CONVOLUTION ? 0 : op->kind == QB__OP_DENSE ? 1 : 2;
  const bool adds = op->addend != QB__NONE;
  if (op->integer_limit != 0)
    return of_integers[kind];
  return op->activation ? fused[kind][adds][op->activation] : plain[kind][adds];
}

static const char *reduction_name(qb__reduction reduction)
{
  static const char *const names[QB__REDUCTION_COUNT] = {
      "mean", "max", "min", "sum", "product", "l1", "l2", "sum_square", "log_sum", "log_sum_exp"};
  return names[reduction];
}

const char *qb__operator_kind_name(const qb__operator *op)
{
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
  case QB__OP_DENSE:
  case QB__OP_LINEAR: return layer_name(op);
  case QB__OP_ACTIVATION: return activation_names[op->activation];
  case QB__OP_DECONVOLUTION: return "deconvolution";
  case QB__OP_ADD: return "add";
  case QB__OP_SUBTRACT: return "subtract";
  case QB__OP_MULTIPLY: return "multiply";
  case QB__OP_DIVIDE: return "divide";
  case QB__OP_MAXIMUM: return "maximum";
  case QB__OP_MINIMUM: return "minimum";
  case QB__OP_POWER: return "power";
  case QB__OP_MODULO: return "modulo";
  case QB__OP_FLOOR_MODULO: return "floor_modulo";
  case QB__OP_PRELU: return "prelu";
  case QB__OP_EQUAL: return "equal";
  case QB__OP_LESS: return "less";
  case QB__OP_LESS_EQUAL: return "less_equal";
  case QB__OP_GREATER: return "greater";
  case QB__OP_GREATER_EQUAL: return "greater_equal";
  case QB__OP_SELECT: return "select";
  case QB__OP_QUANTIZE: return "quantize";
  case QB__OP_DEQUANTIZE: return "dequantize";
  case QB__OP_BATCH_NORM: return "batch_norm";
  case QB__OP_LAYER_NORM: return "layer_norm";
  case QB__OP_GROUP_NORM: return "group_norm";
  case QB__OP_MAX_POOL: return "max_pool";
  case QB__OP_AVERAGE_POOL: return "average_pool";
  case QB__OP_LRN: return "lrn";
  case QB__OP_MATMUL: return op->integer_limit != 0 ? "integer_matmul" : "matmul";
  case QB__OP_SOFTMAX: return op->logarithm ? "log_softmax" : "softmax";
  case QB__OP_REDUCE: return reduction_name(op->reduction);
  case QB__OP_ARG: return op->largest ? "arg_max" : "arg_min";
  case QB__OP_RESIZE: return "resize";
  case QB__OP_CONCAT: return "concat";
  case QB__OP_PAD: return "pad";
  case QB__OP_PICK: return "pick";
  case QB__OP_TRANSPOSE: return "transpose";
  case QB__OP_FLATTEN: return "flatten";
  }
  return "unknown";
}
