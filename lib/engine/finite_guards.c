/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/finite_guards.h"

#include "core/alloc.h"
#include "engine/row_values.h"

#include <float.h>
#include <math.h>
#include <string.h>

/*
 * The largest of them that serves is taken. A network's own values are far below the first: where
 * one is above, the round goes on with a look at every operator, which costs time and nothing else.
 */
static const double limits[] = {0x1p40, 0x1p30, 0x1p20, 0x1p10};

static void guard(qb__finite_guards *g, int32_t tensor, double limit)
{
  if (g->bounds[tensor] <= limit)
    return;
  const int32_t bits = qb__magnitude_bits((float)limit);
  g->bounds[tensor] = limit;
  if (g->limits[tensor] > bits)
    g->limits[tensor] = bits;
}

static void guard_inputs(const qb__graph *graph, const qb__operator *op, qb__finite_guards *g,
                         double limit)
{
  int32_t tensor;
  for (size_t i = 0; (tensor = qb__operator_input(op, i)) != QB__NONE; i++)
    if (!graph->tensors[tensor].constant)
      guard(g, tensor, limit);
}

static void bound_constants(const qb__graph *graph, const qb__operator *op, qb__finite_guards *g)
{
  int32_t tensor;
  for (size_t i = 0; (tensor = qb__operator_input(op, i)) != QB__NONE; i++)
    if (graph->tensors[tensor].constant)
      g->bounds[tensor] = qb__largest_constant(&graph->tensors[tensor]);
}

static bool is_bounded(qb__magnitude m)
{
  return m.peak <= QB__LARGEST_SUM && !isnan(m.result);
}

/*
 * An operator that no bound of its inputs keeps from an overflow: its result is looked at, and
 * where that may hide what went wrong, every round at every operator. Activations hide nothing of
 * finite values.
 */
static void guard_unbounded(const qb__operator *op, qb__finite_guards *g)
{
  int32_t tensor;
  const bool hides = qb__operator_hides(op) && op->kind != QB__OP_ACTIVATION;
  for (size_t i = 0; hides && (tensor = qb__operator_input(op, i)) != QB__NONE; i++)
    g->limits[tensor] = -1;
  g->bounds[op->output] = INFINITY;
  guard(g, op->output, limits[0]);
}

static void place(const qb__graph *graph, uint32_t index, qb__finite_guards *g)
{
  const qb__operator *op = &graph->operators[index];
  const qb__factor *factor = &g->factors[index];
  bound_constants(graph, op, g);
  qb__magnitude m = qb__operator_magnitude(graph, op, factor, g->bounds, INFINITY);
  const size_t count = sizeof limits / sizeof *limits;
  for (size_t i = 0; i < count && !is_bounded(m); i++) {
    m = qb__operator_magnitude(graph, op, factor, g->bounds, limits[i]);
    if (is_bounded(m))
      guard_inputs(graph, op, g, limits[i]);
  }
  if (is_bounded(m))
    g->bounds[op->output] = m.result;
  else
    guard_unbounded(op, g);
}

qb_status qb__finite_guards_new(const qb__graph *graph, qb__finite_guards *guards)
{
  qb__finite_guards g = {NULL, NULL, NULL};
  qb_status status = qb__factors_new(graph, &g.factors);
  g.bounds = qb__calloc(graph->context, graph->tensor_count, sizeof *g.bounds);
  g.limits = qb__calloc(graph->context, graph->tensor_count, sizeof *g.limits);
  if (status || !g.bounds || !g.limits) {
    qb__finite_guards_clear(graph->context, &g);
    return QB_ERROR_NO_MEMORY;
  }
  for (size_t t = 0; t < graph->tensor_count; t++) {
    g.limits[t] = QB__NO_GUARD;
    g.bounds[t] = INFINITY;
  }
  for (size_t i = 0; i < graph->input_count; i++)
    guard(&g, graph->inputs[i], FLT_MAX);
  for (uint32_t i = 0; i < graph->operator_count; i++)
    place(graph, i, &g);
  for (size_t i = 0; i < graph->output_count; i++)
    guard(&g, graph->outputs[i], QB__LARGEST_SUM);
  *guards = g;
  return QB_OK;
}

void qb__finite_guards_clear(const qb_context *context, qb__finite_guards *guards)
{
  qb__free(context, guards->factors);
  qb__free(context, guards->bounds);
  qb__free(context, guards->limits);
  memset(guards, 0, sizeof *guards);
}
