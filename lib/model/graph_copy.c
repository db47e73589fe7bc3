/* SPDX-License-Identifier: Apache-2.0 */
#include "core/alloc.h"
#include "model/graph.h"

#include <string.h>

/* `count` elements in memory of their own; NULL stays NULL. False without memory. */
static bool copy_array(const qb_context *context, void *array, size_t count, size_t element_bytes)
{
  void *from, *to;
  memcpy(&from, array, sizeof from);
  if (!from)
    return true;
  to = qb__calloc(context, count, element_bytes);
  if (to)
    memcpy(to, from, count * element_bytes);
  memcpy(array, &to, sizeof to);
  return to != NULL;
}

static bool copy_tensor(const qb_context *context, const qb__tensor *from, qb__tensor *to)
{
  *to = *from;
  to->borrowed = true;
  to->name = qb__strdup(context, from->name);
  return to->name != NULL;
}

bool qb__operator_own(const qb__graph *graph, qb__operator *op)
{
  const qb_context *context = graph->context;
  const bool picks = op->kind == QB__OP_PICK;
  const size_t taps = picks ? op->taps * (size_t)graph->tensors[op->output].dims[op->axis] : 0;
  /* All of them, for none to be freed twice. */
  const bool rest = copy_array(context, &op->rest, op->rest_count, sizeof *op->rest);
  const bool indices = copy_array(context, &op->indices, taps, sizeof *op->indices);
  const bool factors = copy_array(context, &op->factors, taps, sizeof *op->factors);
  return rest && indices && factors;
}

static bool copy_operator(const qb__graph *graph, size_t index, qb__operator *to)
{
  *to = graph->operators[index];
  to->origin = (uint32_t)index;
  to->name = qb__strdup(graph->context, to->name);
  const bool owned = qb__operator_own(graph, to);
  return to->name && owned;
}

static bool copy_tensors(const qb__graph *graph, qb__graph *copy)
{
  copy->tensors = qb__calloc(graph->context, graph->tensor_count, sizeof *copy->tensors);
  bool good = copy->tensors != NULL;
  for (size_t i = 0; good && i < graph->tensor_count; i++) {
    good = copy_tensor(graph->context, &graph->tensors[i], &copy->tensors[i]);
    copy->tensor_capacity = copy->tensor_count = i + 1;
  }
  return good;
}

static bool copy_operators(const qb__graph *graph, qb__graph *copy)
{
  copy->operators = qb__calloc(graph->context, graph->operator_count, sizeof *copy->operators);
  bool good = copy->operators != NULL;
  for (size_t i = 0; good && i < graph->operator_count; i++) {
    good = copy_operator(graph, i, &copy->operators[i]);
    copy->operator_capacity = copy->operator_count = i + 1;
  }
  return good;
}

static bool copy_ports(const qb__graph *graph, qb__graph *copy)
{
  copy->inputs = graph->inputs;
  copy->outputs = graph->outputs;
  const bool inputs =
      copy_array(graph->context, &copy->inputs, graph->input_count, sizeof *copy->inputs);
  const bool outputs =
      copy_array(graph->context, &copy->outputs, graph->output_count, sizeof *copy->outputs);
  copy->input_capacity = copy->input_count = graph->input_count;
  copy->output_capacity = copy->output_count = graph->output_count;
  return inputs && outputs;
}

qb_status qb__graph_copy(const qb__graph *graph, qb__graph *copy)
{
  qb__graph_init(copy, graph->context);
  if (copy_tensors(graph, copy) && copy_operators(graph, copy) && copy_ports(graph, copy))
    return QB_OK;
  qb__graph_clear(copy);
  return QB_ERROR_NO_MEMORY;
}
