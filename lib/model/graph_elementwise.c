/* SPDX-License-Identifier: Apache-2.0 */
/* Building: operators that compute each element from those in its place. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/graph_impl.h"

#include <string.h>

int32_t qb__graph_activation(qb__graph *graph, const char *name, int32_t x,
                             qb__activation activation, float alpha, float beta)
{
  if (graph->status)
    return QB__NONE;
  qb__operator op = qb__operator_blank(QB__OP_ACTIVATION, x);
  op.activation = activation;
  op.alpha = alpha;
  op.beta = beta;
  return qb__graph_append(graph, name, op, graph->tensors[x].rank, graph->tensors[x].dims);
}

bool qb__broadcast(uint32_t rank, const int64_t *a, const int64_t *b, int64_t *dims)
{
  bool fits = true;
  for (uint32_t i = 0; fits && i < rank; i++) {
    fits = a[i] == b[i] || a[i] == 1 || b[i] == 1;
    dims[i] = a[i] == 1 ? b[i] : a[i];
  }
  return fits;
}

/* Whether it does not matter which of two inputs comes first. */
static bool is_symmetric(qb__op_kind kind)
{
  return kind == QB__OP_ADD || kind == QB__OP_MULTIPLY || kind == QB__OP_MAXIMUM ||
         kind == QB__OP_MINIMUM || kind == QB__OP_EQUAL;
}

int32_t qb__graph_binary(qb__graph *graph, const char *name, qb__op_kind kind, int32_t x, int32_t y)
{
  if (graph->status)
    return QB__NONE;
  /* What is repeated comes second: engines are made for that. */
  if (is_symmetric(kind) &&
      (graph->tensors[x].elements < graph->tensors[y].elements || graph->tensors[x].constant)) {
    const int32_t first = x;
    x = y;
    y = first;
  }
  const qb__tensor *a = &graph->tensors[x], *b = &graph->tensors[y];
  int64_t dims[QB_MAX_DIMS];
  if (a->rank != b->rank || !qb__broadcast(a->rank, a->dims, b->dims, dims))
    return qb__graph_wrong_shape(graph, name, "second input", y,
                                 "the shape of the other input, or 1 in its place");
  if (a->constant && b->constant)
    return qb__graph_fail(
        graph,
        qb__fail(QB_ERROR_INVALID_ARGUMENT,
                 "operator '%s': both inputs are constants; compute the result beforehand", name));
  qb__operator op = qb__operator_blank(kind, x);
  op.addend = y;
  return qb__graph_append(graph, name, op, a->rank, dims);
}

int32_t qb__graph_add(qb__graph *graph, const char *name, int32_t x, int32_t addend)
{
  return qb__graph_binary(graph, name, QB__OP_ADD, x, addend);
}

int32_t qb__graph_select(qb__graph *graph, const char *name, int32_t condition, int32_t x,
                         int32_t y)
{
  if (graph->status)
    return QB__NONE;
  const int32_t choices[2] = {x, y};
  const qb__tensor *c = &graph->tensors[condition];
  int64_t dims[QB_MAX_DIMS];
  memcpy(dims, c->dims, sizeof dims);
  for (int i = 0; i < 2; i++) {
    const qb__tensor *t = &graph->tensors[choices[i]];
    if (t->rank != c->rank || !qb__broadcast(c->rank, dims, t->dims, dims))
      return qb__graph_wrong_shape(graph, name, "input", choices[i],
                                   "the shape of the condition, or 1 in its place");
  }
  qb__operator op = qb__operator_blank(QB__OP_SELECT, condition);
  op.rest_count = 2;
  op.rest = qb__calloc(graph->context, 2, sizeof *op.rest);
  if (!op.rest)
    return qb__graph_fail(graph, QB_ERROR_NO_MEMORY);
  memcpy(op.rest, choices, sizeof choices);
  return qb__graph_append(graph, name, op, c->rank, dims);
}
