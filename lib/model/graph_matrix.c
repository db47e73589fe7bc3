/* SPDX-License-Identifier: Apache-2.0 */
/* Building: products of matrices. */
#include "core/error.h"
#include "model/graph_impl.h"

#include <string.h>

int32_t qb__graph_dense(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                        int32_t bias)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x], *w = &graph->tensors[weights];
  if (w->rank != 2 || (size_t)w->dims[1] != in->elements)
    return qb__graph_wrong_shape(graph, name, "weights", weights,
                                 "OxI, I the elements of the input");
  if (bias != QB__NONE && graph->tensors[bias].elements != (size_t)w->dims[0])
    return qb__graph_wrong_shape(graph, name, "bias", bias, "one value an output");
  qb__operator op = qb__operator_blank(QB__OP_DENSE, x);
  op.weights = weights;
  op.bias = bias;
  return qb__graph_append(graph, name, op, 1, w->dims);
}

int32_t qb__graph_linear(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                         int32_t bias)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x], *w = &graph->tensors[weights];
  if (w->rank != 2 || w->dims[1] != in->dims[in->rank - 1])
    return qb__graph_wrong_shape(graph, name, "weights", weights,
                                 "OxI, I the last dimension of the input");
  if (bias != QB__NONE && graph->tensors[bias].elements != (size_t)w->dims[0])
    return qb__graph_wrong_shape(graph, name, "bias", bias, "one value an output");
  int64_t dims[QB_MAX_DIMS];
  memcpy(dims, in->dims, sizeof dims);
  dims[in->rank - 1] = w->dims[0];
  qb__operator op = qb__operator_blank(QB__OP_LINEAR, x);
  op.weights = weights;
  op.bias = bias;
  return qb__graph_append(graph, name, op, in->rank, dims);
}

int32_t qb__graph_matmul(qb__graph *graph, const char *name, int32_t x, int32_t y)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *a = &graph->tensors[x], *b = &graph->tensors[y];
  const uint32_t rank = a->rank;
  int64_t dims[QB_MAX_DIMS];
  if (rank < 2 || b->rank != rank || a->dims[rank - 1] != b->dims[rank - 2] ||
      !qb__broadcast(rank - 2, a->dims, b->dims, dims))
    return qb__graph_wrong_shape(graph, name, "second matrix", y,
                                 "KxN behind the leading dimensions of the first, MxK");
  if (a->constant && b->constant)
    return qb__graph_fail(
        graph,
        qb__fail(QB_ERROR_INVALID_ARGUMENT,
                 "operator '%s': both inputs are constants; compute the result beforehand", name));
  dims[rank - 2] = a->dims[rank - 2];
  dims[rank - 1] = b->dims[rank - 1];
  qb__operator op = qb__operator_blank(QB__OP_MATMUL, x);
  op.addend = y;
  return qb__graph_append(graph, name, op, rank, dims);
}
