/* SPDX-License-Identifier: Apache-2.0 */
/* Building: operators over whole axes. */
#include "core/error.h"
#include "model/graph_impl.h"

#include <string.h>

static int32_t along(qb__graph *graph, const char *name, qb__operator op, bool collapses)
{
  const qb__tensor *in = &graph->tensors[op.input];
  if (op.axis >= in->rank)
    return qb__graph_wrong_shape(graph, name, "input", op.input, "a shape with the axis");
  int64_t dims[QB_MAX_DIMS];
  memcpy(dims, in->dims, sizeof dims);
  if (collapses)
    dims[op.axis] = 1;
  return qb__graph_append(graph, name, op, in->rank, dims);
}

int32_t qb__graph_softmax(qb__graph *graph, const char *name, int32_t x, uint32_t axis,
                          bool logarithm)
{
  if (graph->status)
    return QB__NONE;
  qb__operator op = qb__operator_blank(QB__OP_SOFTMAX, x);
  op.axis = axis;
  op.logarithm = logarithm;
  return along(graph, name, op, false);
}

int32_t qb__graph_arg(qb__graph *graph, const char *name, int32_t x, uint32_t axis, bool largest,
                      bool last)
{
  if (graph->status)
    return QB__NONE;
  qb__operator op = qb__operator_blank(QB__OP_ARG, x);
  op.axis = axis;
  op.largest = largest;
  op.last = last;
  return along(graph, name, op, true);
}

/* Whether a reduction of a single element is that element. */
static bool keeps_one(qb__reduction reduction)
{
  return reduction <= QB__REDUCTION_PRODUCT || reduction == QB__REDUCTION_LOG_SUM_EXP;
}

int32_t qb__graph_reduce(qb__graph *graph, const char *name, qb__reduction reduction, int32_t x,
                         uint32_t axes)
{
  if (graph->status)
    return QB__NONE;
  int64_t dims[QB_MAX_DIMS];
  const uint32_t rank = graph->tensors[x].rank;
  for (uint32_t i = 0; i < rank; i++)
    dims[i] = axes >> i & 1 ? 1 : graph->tensors[x].dims[i];
  if (keeps_one(reduction) && !memcmp(dims, graph->tensors[x].dims, rank * sizeof *dims))
    return qb__graph_reshape(graph, name, x, rank, dims);
  qb__operator op = qb__operator_blank(QB__OP_REDUCE, x);
  op.reduction = reduction;
  op.axes = axes & ((UINT32_C(1) << rank) - 1);
  return qb__graph_append(graph, name, op, rank, dims);
}

/* Scale and shift of a norm, of `elements` each where they are given. */
static int32_t norm(qb__graph *graph, const char *name, qb__operator op, size_t elements,
                    const char *expected)
{
  const int32_t constants[2] = {op.weights, op.bias};
  const qb__tensor *in = &graph->tensors[op.input];
  for (int i = 0; i < 2; i++)
    if (constants[i] != QB__NONE && graph->tensors[constants[i]].elements != elements)
      return qb__graph_wrong_shape(graph, name, i ? "shift" : "scale", constants[i], expected);
  return qb__graph_append(graph, name, op, in->rank, in->dims);
}

int32_t qb__graph_layer_norm(qb__graph *graph, const char *name, int32_t x, uint32_t first_axis,
                             int32_t scale, int32_t shift, float epsilon)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x];
  if (first_axis >= in->rank)
    return qb__graph_wrong_shape(graph, name, "input", x, "a shape with the axis");
  size_t elements = 1;
  for (uint32_t i = first_axis; i < in->rank; i++)
    elements *= (size_t)in->dims[i];
  qb__operator op = qb__operator_blank(QB__OP_LAYER_NORM, x);
  op.axis = first_axis;
  op.weights = scale;
  op.bias = shift;
  op.epsilon = epsilon;
  return norm(graph, name, op, elements, "one value an element of the normalised dimensions");
}

int32_t qb__graph_group_norm(qb__graph *graph, const char *name, int32_t x, int64_t groups,
                             int32_t scale, int32_t shift, float epsilon)
{
  if (graph->status)
    return QB__NONE;
  const int64_t channels = graph->tensors[x].dims[0];
  if (groups < 1 || channels % groups)
    return qb__graph_wrong_shape(graph, name, "input", x, "channels that divide into the groups");
  qb__operator op = qb__operator_blank(QB__OP_GROUP_NORM, x);
  op.groups = groups;
  op.weights = scale;
  op.bias = shift;
  op.epsilon = epsilon;
  return norm(graph, name, op, (size_t)channels, "one value a channel");
}
