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
    flops = 2 * out * (double)(w->dims[1] * w->dims[2] * w->dims[3]);
    break;
  }
  case QB__OP_DENSE: flops = 2 * (double)graph->tensors[op->weights].elements; break;
  case QB__OP_BATCH_NORM: return 2 * out;
  case QB__OP_ACTIVATION:
  case QB__OP_ADD: return out;
  case QB__OP_MAX_POOL:
  case QB__OP_AVERAGE_POOL: return out * (double)(op->window.kernel[0] * op->window.kernel[1]);
  case QB__OP_LRN: return out * (2.0 * (double)op->lrn_size + 3); /* squares, sum, power, scale */
  case QB__OP_SOFTMAX: return 4 * out; /* maximum, exponential, sum, division */
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
  uint64_t elements = graph->tensors[op->input].elements + graph->tensors[op->output].elements;
  if (op->addend != QB__NONE)
    elements += graph->tensors[op->addend].elements;
  return elements * sizeof(float);
}

uint64_t qb__operator_weight_bytes(const qb__graph *graph, const qb__operator *op)
{
  const int32_t constants[] = {op->weights, op->bias, op->mean, op->variance};
  uint64_t elements = 0;
  for (int i = 0; i < 4; i++)
    if (constants[i] != QB__NONE)
      elements += graph->tensors[constants[i]].elements;
  return elements * sizeof(float);
}

const char *qb__operator_kind_name(const qb__operator *op)
{
  const bool add = op->addend != QB__NONE, relu = op->activation == QB__ACTIVATION_RELU;
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
    return add    ? relu ? "convolution+add+relu" : "convolution+add"
           : relu ? "convolution+relu"
                  : "convolution";
  case QB__OP_DENSE:
    return add ? relu ? "dense+add+relu" : "dense+add" : relu ? "dense+relu" : "dense";
  case QB__OP_ADD: return "add";
  case QB__OP_BATCH_NORM: return "batch_norm";
  case QB__OP_ACTIVATION: return "relu";
  case QB__OP_MAX_POOL: return "max_pool";
  case QB__OP_AVERAGE_POOL: return "average_pool";
  case QB__OP_LRN: return "lrn";
  case QB__OP_SOFTMAX: return "softmax";
  case QB__OP_FLATTEN: return "flatten";
  }
  return "unknown";
}
