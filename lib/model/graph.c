/* SPDX-License-Identifier: Apache-2.0 */
#include "model/graph_impl.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"

#include <stdio.h>
#include <string.h>

/* One sample may have this many elements: QB_MAX_BATCH of them still have an addressable size. */
static const int64_t MOST_ELEMENTS = (int64_t)1 << 40;

void qb__graph_init(qb__graph *graph, qb_context *context)
{
  memset(graph, 0, sizeof *graph);
  graph->context = context;
}

void qb__graph_clear(qb__graph *graph)
{
  for (size_t i = 0; i < graph->tensor_count; i++) {
    qb__free(graph->context, graph->tensors[i].name);
    if (!graph->tensors[i].borrowed)
      qb__free(graph->context, graph->tensors[i].constant);
  }
  for (size_t i = 0; i < graph->operator_count; i++)
    qb__operator_clear(graph->context, &graph->operators[i]);
  for (size_t i = 0; i < graph->file_count; i++)
    qb__free(graph->context, graph->files[i]);
  qb__free(graph->context, graph->files);
  qb__free(graph->context, graph->tensors);
  qb__free(graph->context, graph->operators);
  qb__free(graph->context, graph->inputs);
  qb__free(graph->context, graph->outputs);
  qb__graph_init(graph, graph->context);
}

void qb__operator_clear(const qb_context *context, qb__operator *op)
{
  qb__free(context, op->name);
  qb__free(context, op->rest);
  qb__free(context, op->indices);
  qb__free(context, op->factors);
}

bool qb__is_binary(qb__op_kind kind)
{
  return kind >= QB__OP_ADD && kind <= QB__OP_GREATER_EQUAL;
}

int32_t qb__operator_input(const qb__operator *op, size_t index)
{
  if (index == 0)
    return op->input;
  if (op->addend != QB__NONE)
    return index == 1 ? op->addend : QB__NONE;
  return index <= op->rest_count ? op->rest[index - 1] : QB__NONE;
}

int32_t qb__graph_fail(qb__graph *graph, qb_status status)
{
  graph->status = status;
  return QB__NONE;
}

static const char *write_shape(uint32_t rank, const int64_t *dims, char text[128])
{
  size_t n = 0;
  text[0] = 0;
  for (uint32_t i = 0; i < rank && n < 100; i++)
    n += (size_t)snprintf(text + n, 128 - n, "%s%lld", i ? "x" : "", (long long)dims[i]);
  return text;
}

/* `adopted`: values to take over, else those of a constant are allocated. */
static int32_t add_tensor(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims,
                          bool constant, float *adopted)
{
  if (graph->status)
    return QB__NONE;
  char shape[128];
  int64_t elements = 1;
  bool valid = rank >= 1 && rank <= QB_MAX_DIMS;
  for (uint32_t i = 0; valid && i < rank; i++)
    valid = dims[i] > 0 && qb__mul_i64(elements, dims[i], &elements) && elements <= MOST_ELEMENTS;
  if (!valid)
    return qb__graph_fail(
        graph, qb__fail(QB_ERROR_OVERFLOW,
                        "'%s': shape %s is empty or too large; every dimension must be positive "
                        "and their product at most 2^40",
                        name, write_shape(rank <= QB_MAX_DIMS ? rank : QB_MAX_DIMS, dims, shape)));
  qb__tensor tensor = {.rank = rank, .elements = (size_t)elements, .steps = QB__NONE};
  memcpy(tensor.dims, dims, rank * sizeof *dims); /* before growing: they may be another tensor's */
  if (!qb__grow(graph->context, &graph->tensors, graph->tensor_count, &graph->tensor_capacity,
                sizeof *graph->tensors))
    return qb__graph_fail(graph, QB_ERROR_NO_MEMORY);
  tensor.name = qb__strdup(graph->context, name);
  if (tensor.name && constant && !adopted)
    tensor.constant = qb__alloc_aligned(graph->context, tensor.elements * sizeof(float), 64);
  if (adopted)
    tensor.constant = adopted;
  if (!tensor.name || (constant && !tensor.constant)) {
    qb__free(graph->context, tensor.name);
    return qb__graph_fail(graph, QB_ERROR_NO_MEMORY);
  }
  graph->tensors[graph->tensor_count] = tensor;
  return (int32_t)graph->tensor_count++;
}

int32_t qb__graph_input(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims)
{
  const int32_t x = add_tensor(graph, name, rank, dims, false, NULL);
  if (!graph->status && !qb__grow(graph->context, &graph->inputs, graph->input_count,
                                  &graph->input_capacity, sizeof *graph->inputs))
    return qb__graph_fail(graph, QB_ERROR_NO_MEMORY);
  if (!graph->status)
    graph->inputs[graph->input_count++] = x;
  return x;
}

int32_t qb__graph_constant(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims)
{
  return add_tensor(graph, name, rank, dims, true, NULL);
}

int32_t qb__graph_adopt(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims,
                        float *values)
{
  return add_tensor(graph, name, rank, dims, true, values);
}

void qb__graph_note_file(qb__graph *graph, const char *path)
{
  for (size_t i = 0; i < graph->file_count; i++)
    if (!strcmp(graph->files[i], path))
      return;
  char *copy = NULL;
  if (!graph->status && qb__grow(graph->context, &graph->files, graph->file_count,
                                 &graph->file_capacity, sizeof *graph->files))
    copy = qb__strdup(graph->context, path);
  if (copy)
    graph->files[graph->file_count++] = copy;
  else if (!graph->status)
    graph->status = QB_ERROR_NO_MEMORY;
}

void qb__graph_rename(qb__graph *graph, int32_t tensor, const char *name)
{
  if (graph->status)
    return;
  char *copy = qb__strdup(graph->context, name);
  if (!copy) {
    graph->status = QB_ERROR_NO_MEMORY;
    return;
  }
  qb__free(graph->context, graph->tensors[tensor].name);
  graph->tensors[tensor].name = copy;
}

void qb__graph_output(qb__graph *graph, int32_t x)
{
  if (graph->status)
    return;
  if (qb__grow(graph->context, &graph->outputs, graph->output_count, &graph->output_capacity,
               sizeof *graph->outputs))
    graph->outputs[graph->output_count++] = x;
  else
    graph->status = QB_ERROR_NO_MEMORY;
}

qb__operator qb__operator_blank(qb__op_kind kind, int32_t x)
{
  const qb__operator op = {.kind = kind,
                           .input = x,
                           .weights = QB__NONE,
                           .bias = QB__NONE,
                           .mean = QB__NONE,
                           .variance = QB__NONE,
                           .addend = QB__NONE,
                           .output = QB__NONE};
  return op;
}

int32_t qb__graph_append(qb__graph *graph, const char *name, qb__operator op, uint32_t rank,
                         const int64_t *output_dims)
{
  op.output = add_tensor(graph, name, rank, output_dims, false, NULL);
  if (!graph->status && (!qb__grow(graph->context, &graph->operators, graph->operator_count,
                                   &graph->operator_capacity, sizeof *graph->operators) ||
                         !(op.name = qb__strdup(graph->context, name))))
    graph->status = QB_ERROR_NO_MEMORY;
  if (graph->status) {
    qb__operator_clear(graph->context, &op);
    return QB__NONE;
  }
  graph->operators[graph->operator_count++] = op;
  return op.output;
}

int32_t qb__graph_wrong_shape(qb__graph *graph, const char *name, const char *what, int32_t found,
                              const char *expected)
{
  char shape[128];
  const qb__tensor *t = &graph->tensors[found];
  return qb__graph_fail(graph, qb__fail(QB_ERROR_INVALID_ARGUMENT,
                                        "operator '%s': %s '%s' is %s, expected %s", name, what,
                                        t->name, write_shape(t->rank, t->dims, shape), expected));
}
