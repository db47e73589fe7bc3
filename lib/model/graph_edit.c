/* SPDX-License-Identifier: Apache-2.0 */
#include "model/graph_edit.h"

#include <string.h>

uint32_t qb__readers(const qb__graph *graph, int32_t tensor)
{
  uint32_t count = 0;
  int32_t input;
  for (size_t i = 0; i < graph->output_count; i++)
    count += graph->outputs[i] == tensor;
  for (size_t i = 0; i < graph->operator_count; i++)
    for (size_t j = 0; (input = qb__operator_input(&graph->operators[i], j)) != QB__NONE; j++)
      count += input == tensor;
  return count;
}

bool qb__is_output(const qb__graph *graph, int32_t tensor)
{
  bool found = false;
  for (size_t i = 0; !found && i < graph->output_count; i++)
    found = graph->outputs[i] == tensor;
  return found;
}

int32_t qb__producer(const qb__graph *graph, int32_t tensor)
{
  for (size_t i = 0; i < graph->operator_count; i++)
    if (graph->operators[i].output == tensor)
      return (int32_t)i;
  return QB__NONE;
}

const qb__operator *qb__maker(const qb__graph *graph, int32_t tensor)
{
  const int32_t index = qb__producer(graph, tensor);
  return index == QB__NONE ? NULL : &graph->operators[index];
}

bool qb__reads(const qb__operator *op, int32_t tensor)
{
  bool found = false;
  int32_t input = QB__NONE;
  for (size_t i = 0; !found && (input = qb__operator_input(op, i)) != QB__NONE; i++)
    found = input == tensor;
  return found;
}

qb__operator *qb__only_reader(const qb__graph *graph, int32_t tensor)
{
  for (size_t i = 0; qb__readers(graph, tensor) == 1 && i < graph->operator_count; i++)
    if (qb__reads(&graph->operators[i], tensor))
      return &graph->operators[i];
  return NULL;
}

uint32_t qb__users(const qb__graph *graph, int32_t constant)
{
  uint32_t count = 0;
  for (size_t i = 0; i < graph->operator_count; i++) {
    const qb__operator *op = &graph->operators[i];
    count += op->weights == constant || op->bias == constant || op->mean == constant ||
             op->variance == constant || qb__reads(op, constant);
  }
  return count;
}

void qb__remove_operator(qb__graph *graph, size_t index)
{
  qb__operator_clear(graph->context, &graph->operators[index]);
  graph->operator_count--;
  memmove(graph->operators + index, graph->operators + index + 1,
          (graph->operator_count - index) * sizeof *graph->operators);
}

void qb__move_last(qb__graph *graph, size_t index)
{
  const size_t last = graph->operator_count - 1;
  const qb__operator op = graph->operators[last];
  memmove(graph->operators + index + 1, graph->operators + index,
          (last - index) * sizeof *graph->operators);
  graph->operators[index] = op;
}

static void replace(int32_t *tensors, size_t count, int32_t tensor, int32_t other)
{
  for (size_t i = 0; i < count; i++)
    if (tensors[i] == tensor)
      tensors[i] = other;
}

void qb__replace_tensor(qb__graph *graph, int32_t tensor, int32_t other)
{
  for (size_t i = 0; i < graph->operator_count; i++) {
    qb__operator *op = &graph->operators[i];
    replace(&op->input, 1, tensor, other);
    replace(&op->addend, 1, tensor, other);
    replace(op->rest, op->rest_count, tensor, other);
  }
  replace(graph->outputs, graph->output_count, tensor, other);
}

void qb__apply(qb__graph *graph, qb__op_kind kind, bool (*pass)(qb__graph *, size_t))
{
  for (size_t i = 0; i < graph->operator_count && !graph->status;)
    if (graph->operators[i].kind != kind || !pass(graph, i))
      i++;
}

void qb__drop_unread(qb__graph *graph)
{
  for (size_t i = graph->operator_count; i-- > 0;)
    if (!qb__readers(graph, graph->operators[i].output))
      qb__remove_operator(graph, i);
}
