/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/reference_impl.h"

#include "core/alloc.h"
#include "core/error.h"

#include <math.h>
#include <string.h>

qb_status qb__reference_operator(const qb__graph *g, const qb__operator *op,
                                 const qb__reference_inputs *in, float *y)
{
  const size_t count = g->tensors[op->output].elements;
  const float *x = in->values[0];
  qb_status status = QB_OK;
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
  case QB__OP_DECONVOLUTION: status = qb__reference_convolve(g, op, x, y); break;
  case QB__OP_MAX_POOL:
  case QB__OP_AVERAGE_POOL: qb__reference_pool(g, op, x, y); break;
  case QB__OP_DENSE:
  case QB__OP_LINEAR:
  case QB__OP_MATMUL: qb__reference_multiply(g, op, in, y); break;
  case QB__OP_BATCH_NORM:
  case QB__OP_LRN:
  case QB__OP_SOFTMAX:
  case QB__OP_REDUCE:
  case QB__OP_ARG:
  case QB__OP_LAYER_NORM:
  case QB__OP_GROUP_NORM: qb__reference_reduce(g, op, x, y); break;
  case QB__OP_RESIZE:
  case QB__OP_CONCAT:
  case QB__OP_PAD:
  case QB__OP_PICK:
  case QB__OP_TRANSPOSE: qb__reference_rearrange(g, op, in, y); break;
  case QB__OP_QUANTIZE:
  case QB__OP_DEQUANTIZE: qb__reference_convert(g, op, x, y); break;
  case QB__OP_ACTIVATION:
  case QB__OP_FLATTEN: memcpy(y, x, count * sizeof *y); break;
  default: qb__reference_combine(g, op, in, y); break;
  }
  const bool fused =
      op->addend != QB__NONE && op->kind != QB__OP_MATMUL && !qb__is_binary(op->kind);
  for (size_t i = 0; fused && i < count; i++)
    y[i] += in->values[1][i];
  for (size_t i = 0; op->activation && i < count; i++)
    y[i] = (float)qb__reference_activate(op, y[i]);
  return status;
}

static void look_at(qb__range *range, const float *values, size_t count)
{
  double sum = 0, squares = 0;
  memset(range, 0, sizeof *range);
  for (size_t i = 0; i < count; i++) {
    sum += values[i];
    squares += (double)values[i] * values[i];
    range->denormals += fpclassify(values[i]) == FP_SUBNORMAL;
    range->not_finite += !isfinite(values[i]);
  }
  const double mean = sum / (double)count;
  range->deviation = sqrt(fmax(0, squares / (double)count - mean * mean));
}

static qb_status run_batch(const qb__graph *g, const qb__operator *op, uint32_t batch,
                           float *const *values)
{
  qb__reference_inputs in = {0, NULL};
  while (qb__operator_input(op, in.count) != QB__NONE)
    in.count++;
  in.values = qb__calloc(g->context, in.count, sizeof *in.values);
  qb_status status = in.values ? QB_OK : QB_ERROR_NO_MEMORY;
  for (uint32_t b = 0; b < batch && !status; b++) {
    for (size_t i = 0; i < in.count; i++) {
      const int32_t tensor = qb__operator_input(op, i);
      const qb__tensor *t = &g->tensors[tensor];
      in.values[i] = t->constant ? t->constant : values[tensor] + b * t->elements;
    }
    status = qb__reference_operator(g, op, &in,
                                    values[op->output] + b * g->tensors[op->output].elements);
  }
  qb__free(g->context, in.values);
  return status;
}

qb_status qb__reference_run(const qb__graph *graph, uint32_t batch, const float *const *inputs,
                            float *const *outputs, qb__range *ranges)
{
  float **values = qb__calloc(graph->context, graph->tensor_count, sizeof *values);
  qb_status status = values ? QB_OK : QB_ERROR_NO_MEMORY;
  for (size_t t = 0; values && t < graph->tensor_count && !status; t++) {
    if (graph->tensors[t].constant)
      continue;
    values[t] = qb__calloc(graph->context, graph->tensors[t].elements * batch, sizeof(float));
    status = values[t] ? QB_OK : QB_ERROR_NO_MEMORY;
  }
  for (size_t i = 0; i < graph->input_count && !status; i++)
    memcpy(values[graph->inputs[i]], inputs[i],
           graph->tensors[graph->inputs[i]].elements * batch * sizeof(float));
  for (size_t i = 0; i < graph->operator_count && !status; i++) {
    const qb__operator *op = &graph->operators[i];
    status = run_batch(graph, op, batch, values);
    if (ranges && !status)
      look_at(&ranges[op->output], values[op->output], graph->tensors[op->output].elements * batch);
  }
  for (size_t i = 0; i < graph->output_count && !status; i++)
    memcpy(outputs[i], values[graph->outputs[i]],
           graph->tensors[graph->outputs[i]].elements * batch * sizeof(float));
  for (size_t t = 0; values && t < graph->tensor_count; t++)
    qb__free(graph->context, values[t]);
  qb__free(graph->context, values);
  return status;
}
