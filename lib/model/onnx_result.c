/* SPDX-License-Identifier: Apache-2.0 */
/* What mapping a node leaves: activations of the graph as its outputs. */
#include "model/onnx_map.h"

#include <string.h>

int32_t qb__onnx_activate(qb__onnx *im, const qb__onnx_node *node, int32_t x,
                          qb__activation activation, float alpha, float beta)
{
  return qb__graph_activation(im->graph, node->label, x, activation, alpha, beta);
}

void qb__onnx_set(qb__onnx_value *value, int32_t tensor, const qb__onnx_shape *shape)
{
  value->kind = QB__ONNX_ACTIVATION;
  value->type = QB__ONNX_TYPE(FLOAT);
  value->tensor = tensor;
  value->rank = shape->rank;
  value->batch_axis = shape->batch_axis;
  value->batch_outer = shape->batch_outer;
  memcpy(value->dims, shape->dims, shape->rank * sizeof *shape->dims);
}

void qb__onnx_result_at(qb__onnx *im, const qb__onnx_node *node, size_t index, int32_t tensor,
                        const qb__onnx_shape *shape)
{
  if (tensor != QB__NONE && !im->status && !im->graph->status)
    qb__onnx_set(qb__onnx_find(im, node->proto->output[index]), tensor, shape);
}

void qb__onnx_result(qb__onnx *im, const qb__onnx_node *node, int32_t tensor,
                     const qb__onnx_shape *shape)
{
  qb__onnx_result_at(im, node, 0, tensor, shape);
}

void qb__onnx_result_like(qb__onnx *im, const qb__onnx_node *node, int32_t tensor,
                          const qb__onnx_value *like)
{
  const qb__onnx_shape shape = qb__onnx_shape_of(like);
  qb__onnx_result(im, node, tensor, &shape);
}

int32_t qb__onnx_reshaped(qb__onnx *im, const qb__onnx_node *node, int32_t tensor,
                          const qb__onnx_shape *shape)
{
  int64_t sample[QB__ONNX_RANK];
  if (tensor == QB__NONE || im->graph->status)
    return QB__NONE;
  const uint32_t rank = qb__onnx_sample(im, shape, sample);
  const qb__tensor *t = &im->graph->tensors[tensor];
  if (t->rank == rank && !memcmp(t->dims, sample, rank * sizeof *sample))
    return tensor;
  return qb__graph_reshape(im->graph, node->label, tensor, rank, sample);
}
