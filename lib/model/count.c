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
  case QB__OP_ACTIVATION:
  case QB__OP_ADD:
  case QB__OP_SUBTRACT:
  case QB__OP_MULTIPLY:
  case QB__OP_DIVIDE: return out;
  case QB__OP_MAX_POOL:
  case QB__OP_AVERAGE_POOL:
    for (uint32_t i = 0; i + 1 < graph->tensors[op->input].rank; i++)
      flops = (flops ? flops : out) * (double)op->window.kernel[i];
    return flops;
  case QB__OP_MEAN: return (double)graph->tensors[op->input].elements;
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
  for (int i = 0; i < 4; i++)
    if (constants[i] != QB__NONE)
      elements += graph->tensors[constants[i]].elements;
  if (op->addend != QB__NONE && graph->tensors[op->addend].constant)
    elements += graph->tensors[op->addend].elements;
  return elements * sizeof(float);
}

const char *qb__operator_kind_name(const qb__operator *op)
{
  static const char *const activations[] = {"none", "relu",       "clip",   "sigmoid",
                                            "tanh", "hard_swish", "linear", "power"};
#define WITH(kind, added)                                                                          \
  {                                                                                                \
    kind added, kind added "+relu", kind added "+clip", kind added "+sigmoid", kind added "+tanh", \
        kind added "+hard_swish", kind added "+linear", kind added "+power"                        \
  }
  static const char *const fused[2][2][8] = {
      {WITH("convolution", ""), WITH("convolution", "+add")},
      {WITH("dense", ""), WITH("dense", "+add")},
  };
#undef WITH
  const bool adds = op->addend != QB__NONE;
  switch (op->kind) {
  case QB__OP_CONVOLUTION: return fused[0][adds][op->activation];
  case QB__OP_DENSE: return fused[1][adds][op->activation];
  case QB__OP_ACTIVATION: return activations[op->activation];
  case QB__OP_DECONVOLUTION: return "deconvolution";
  case QB__OP_ADD: return "add";
  case QB__OP_SUBTRACT: return "subtract";
  case QB__OP_MULTIPLY: return "multiply";
  case QB__OP_DIVIDE: return "divide";
  case QB__OP_BATCH_NORM: return "batch_norm";
  case QB__OP_MAX_POOL: return "max_pool";
  case QB__OP_AVERAGE_POOL: return "average_pool";
  case QB__OP_LRN: return "lrn";
  case QB__OP_MATMUL: return "matmul";
  case QB__OP_SOFTMAX: return "softmax";
  case QB__OP_MEAN: return "mean";
  case QB__OP_RESIZE: return "resize";
  case QB__OP_CONCAT: return "concat";
  case QB__OP_PAD: return "pad";
  case QB__OP_TRANSPOSE: return "transpose";
  case QB__OP_FLATTEN: return "flatten";
  }
  return "unknown";
}
