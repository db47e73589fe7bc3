/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize/scheme.h"

#include "core/alloc.h"
#include "model/graph_edit.h"

#include <string.h>

qb_status qb__scheme_init(const qb__graph *graph, qb__scheme *scheme)
{
  *scheme = (qb__scheme){.graph = graph};
  scheme->kept = qb__calloc(graph->context, graph->operator_count, sizeof *scheme->kept);
  scheme->integer = qb__calloc(graph->context, graph->operator_count, sizeof *scheme->integer);
  scheme->quantized = qb__calloc(graph->context, graph->tensor_count, sizeof *scheme->quantized);
  scheme->group = qb__calloc(graph->context, graph->tensor_count, sizeof *scheme->group);
  if (!scheme->kept || !scheme->integer || !scheme->quantized || !scheme->group)
    return QB_ERROR_NO_MEMORY;
  qb__scheme_work_out(scheme);
  return QB_OK;
}

void qb__scheme_clear(qb__scheme *scheme)
{
  const qb_context *context = scheme->graph->context;
  qb__free(context, scheme->kept);
  qb__free(context, scheme->integer);
  qb__free(context, scheme->quantized);
  qb__free(context, scheme->group);
}

bool qb__is_quantizable(const qb__graph *graph, const qb__operator *op)
{
  return (op->kind == QB__OP_CONVOLUTION || op->kind == QB__OP_DENSE ||
          op->kind == QB__OP_LINEAR) &&
         op->integer_limit == 0 && graph->tensors[op->weights].constant;
}

/* Whether an operator only moves, copies or selects elements. */
static bool keeps_values(const qb__operator *op)
{
  switch (op->kind) {
  case QB__OP_MAX_POOL:
  case QB__OP_FLATTEN:
  case QB__OP_TRANSPOSE:
  case QB__OP_CONCAT: return true;
  case QB__OP_PAD: return op->value == 0;
  case QB__OP_PICK: return op->taps == 1 && !op->factors && op->value == 0;
  case QB__OP_RESIZE: return !op->linear;
  default: return false;
  }
}

/* Whether an operator between layers has a form on integers. */
static bool carries(const qb__graph *g, const qb__operator *op)
{
  const bool computes =
      op->kind == QB__OP_ADD || op->kind == QB__OP_AVERAGE_POOL ||
      (op->kind == QB__OP_ACTIVATION && op->activation == QB__ACTIVATION_RELU && op->alpha == 0);
  bool fits = computes || keeps_values(op);
  int32_t input = QB__NONE;
  for (size_t i = 0; fits && (input = qb__operator_input(op, i)) != QB__NONE; i++)
    fits = !g->tensors[input].constant;
  return fits;
}

/* Whether an operator on integers reads a tensor. */
static bool has_integer_reader(const qb__scheme *s, int32_t tensor)
{
  bool found = false;
  for (size_t i = 0; !found && i < s->graph->operator_count; i++)
    found = s->integer[i] && qb__reads(&s->graph->operators[i], tensor);
  return found;
}

/* Operators that move elements save memory on integers, others only between those that have them. */
static bool has_integer_inputs(const qb__scheme *s, const qb__operator *op)
{
  bool all = true;
  int32_t input = QB__NONE;
  for (size_t i = 0; all && (input = qb__operator_input(op, i)) != QB__NONE; i++) {
    const int32_t producer = qb__producer(s->graph, input);
    all = producer != QB__NONE && s->integer[producer];
  }
  return all || (keeps_values(op) && op->kind != QB__OP_CONCAT);
}

/* Layers first, then from the end what leads to them, and then what does not come from any. */
static void mark_operators(qb__scheme *s)
{
  const qb__graph *g = s->graph;
  for (size_t i = 0; i < g->operator_count; i++)
    s->integer[i] = qb__is_quantizable(g, &g->operators[i]) && !s->kept[i];
  for (size_t i = g->operator_count; i-- > 0;)
    s->integer[i] = s->integer[i] ||
                    (carries(g, &g->operators[i]) && has_integer_reader(s, g->operators[i].output));
  for (size_t i = 0; i < g->operator_count; i++)
    s->integer[i] = s->integer[i] && (qb__is_quantizable(g, &g->operators[i]) ||
                                      has_integer_inputs(s, &g->operators[i]));
}

/*
 * What layers write is rounded even for readers of floats if the range of integers can stand for the
 * activation: engines have kernels from integers to integers. Dense layers write floats, too.
 */
static bool writes_integers(const qb__scheme *s, const qb__operator *op)
{
  const bool clips = op->activation == QB__ACTIVATION_NONE ||
                     (op->activation == QB__ACTIVATION_RELU && op->alpha == 0) ||
                     (op->activation == QB__ACTIVATION_CLIP && op->alpha == 0);
  return has_integer_reader(s, op->output) ||
         (op->kind == QB__OP_CONVOLUTION && clips && !qb__is_output(s->graph, op->output));
}

/* Whether a tensor passes from a sum to its activation alone, which engines compute together. */
static bool is_within_sum(const qb__graph *g, int32_t tensor)
{
  const qb__operator *producer = qb__maker(g, tensor), *reader = qb__only_reader(g, tensor);
  return producer && producer->kind == QB__OP_ADD && reader && reader->kind == QB__OP_ACTIVATION;
}

static void mark_tensors(qb__scheme *s)
{
  const qb__graph *g = s->graph;
  memset(s->quantized, 0, g->tensor_count * sizeof *s->quantized);
  for (size_t i = 0; i < g->operator_count; i++) {
    const qb__operator *op = &g->operators[i];
    int32_t input = QB__NONE;
    if (!s->integer[i])
      continue;
    for (size_t k = 0; (input = qb__operator_input(op, k)) != QB__NONE; k++)
      s->quantized[input] = !is_within_sum(g, input);
    s->quantized[op->output] =
        !is_within_sum(g, op->output) && (s->quantized[op->output] || writes_integers(s, op));
  }
}

static int32_t root_of(const qb__scheme *s, int32_t tensor)
{
  while (s->group[tensor] != tensor)
    tensor = s->group[tensor];
  return tensor;
}

static void join_groups(qb__scheme *s)
{
  const qb__graph *g = s->graph;
  for (size_t i = 0; i < g->tensor_count; i++)
    s->group[i] = (int32_t)i;
  for (size_t i = 0; i < g->operator_count; i++) {
    const qb__operator *op = &g->operators[i];
    int32_t input = QB__NONE;
    if (!s->integer[i] || !keeps_values(op) || !s->quantized[op->output])
      continue;
    for (size_t k = 0; (input = qb__operator_input(op, k)) != QB__NONE; k++)
      s->group[root_of(s, input)] = root_of(s, op->output);
  }
  for (size_t i = 0; i < g->tensor_count; i++)
    s->group[i] = root_of(s, (int32_t)i);
}

void qb__scheme_work_out(qb__scheme *scheme)
{
  mark_operators(scheme);
  mark_tensors(scheme);
  join_groups(scheme);
}
