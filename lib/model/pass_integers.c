/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of integers whose sums 32-bit floats do not hold, as two of which they hold them: one of the
 * weights' multiples of 16 and one of the rest. What both give is exact, so that their sum is rounded
 * once.
 */
#include "model/pass_integers.h"

#include "model/graph_edit.h"

#include <math.h>
#include <string.h>

enum { UNIT = 16 };

/* The multiples of UNIT that are nearest to a layer's weights, and what is left of these. */
static bool split_weights(qb__graph *graph, const qb__operator *op, int32_t parts[2])
{
  const qb__tensor weights = graph->tensors[op->weights];
  for (int i = 0; i < 2; i++)
    parts[i] = qb__graph_constant(graph, weights.name, weights.rank, weights.dims);
  if (graph->status)
    return false;
  float *high = graph->tensors[parts[0]].constant, *low = graph->tensors[parts[1]].constant;
  for (size_t i = 0; i < weights.elements; i++) {
    high[i] = UNIT * nearbyintf(weights.constant[i] / UNIT);
    low[i] = weights.constant[i] - high[i];
  }
  return true;
}

/* The same layer of other weights, without a bias, behind all operators. */
static int32_t append_layer(qb__graph *graph, const qb__operator *op, int32_t weights)
{
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
    return qb__graph_convolution(graph, op->name, op->input, weights, QB__NONE, &op->window,
                                 op->groups);
  case QB__OP_DENSE: return qb__graph_dense(graph, op->name, op->input, weights, QB__NONE);
  default: return qb__graph_linear(graph, op->name, op->input, weights, QB__NONE);
  }
}

/* Moves the last two operators to before `index`. */
static void move_last_two(qb__graph *graph, size_t index)
{
  qb__operator last[2];
  const size_t left = graph->operator_count - 2 - index;
  memcpy(last, graph->operators + graph->operator_count - 2, sizeof last);
  memmove(graph->operators + index + 2, graph->operators + index, left * sizeof *last);
  memcpy(graph->operators + index, last, sizeof last);
}

static bool split(qb__graph *graph, size_t index)
{
  qb__operator op = graph->operators[index];
  int32_t parts[2];
  if (op.integer_limit == 0 || qb__sums_fit_floats(graph, &op) || !split_weights(graph, &op, parts))
    return false;
  qb__operator high = op, low = op;
  high.bias = QB__NONE;
  high.weights = parts[0];
  low.weights = parts[1];
  if (!qb__sums_fit_floats(graph, &high) || !qb__sums_fit_floats(graph, &low))
    return false;
  const size_t before = graph->operator_count;
  const int32_t highs = append_layer(graph, &op, parts[0]);
  const int32_t sum = qb__graph_add(graph, op.name, highs, op.output);
  qb__graph_mark_integers(graph, before, op.integer_limit, 1);
  if (graph->status)
    return false;
  /* The sum writes what the layer wrote, which then writes what the sum was made to write. */
  qb__operator *add = &graph->operators[before + 1];
  add->addend = sum;
  add->output = op.output;
  add->origin = graph->operators[before].origin = op.origin;
  graph->operators[index].weights = parts[1];
  graph->operators[index].output = sum;
  move_last_two(graph, index + 1);
  return false;
}

void qb__split_integers(qb__graph *graph)
{
  qb__apply(graph, QB__OP_CONVOLUTION, split);
  qb__apply(graph, QB__OP_DENSE, split);
  qb__apply(graph, QB__OP_LINEAR, split);
}
