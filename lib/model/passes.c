/* SPDX-License-Identifier: Apache-2.0 */
/* Rewrites that leave what a graph computes as it is, and leave less to do. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/graph.h"

#include <math.h>
#include <string.h>

/* How many operators read a tensor; the graph's output has one reader more. */
static uint32_t readers(const qb__graph *graph, int32_t tensor)
{
  uint32_t count = graph->output == tensor;
  for (size_t i = 0; i < graph->operator_count; i++)
    count += (graph->operators[i].input == tensor) + (graph->operators[i].addend == tensor);
  return count;
}

/* Index of the operator that writes a tensor, or QB__NONE for inputs and constants. */
static int32_t producer(const qb__graph *graph, int32_t tensor)
{
  for (size_t i = 0; i < graph->operator_count; i++)
    if (graph->operators[i].output == tensor)
      return (int32_t)i;
  return QB__NONE;
}

/* How many operators have a tensor among their constants. */
static uint32_t users(const qb__graph *graph, int32_t constant)
{
  uint32_t count = 0;
  for (size_t i = 0; i < graph->operator_count; i++) {
    const qb__operator *op = &graph->operators[i];
    count += op->weights == constant || op->bias == constant || op->mean == constant ||
             op->variance == constant;
  }
  return count;
}

static void remove_operator(qb__graph *graph, size_t index)
{
  qb__free(graph->context, graph->operators[index].name);
  graph->operator_count--;
  memmove(graph->operators + index, graph->operators + index + 1,
          (graph->operator_count - index) * sizeof *graph->operators);
}

/*
 * y = scale * (conv(x) - mean) / sqrt(variance + epsilon) + shift is a convolution with scaled
 * weights and another bias (Ioffe and Szegedy, ICML 2015, section 3.1, at inference).
 */
static bool fold_batch_norm(qb__graph *graph, size_t index)
{
  const qb__operator norm = graph->operators[index];
  const int32_t before = producer(graph, norm.input);
  if (before == QB__NONE || graph->operators[before].kind != QB__OP_CONVOLUTION ||
      graph->operators[before].activation || graph->operators[before].addend != QB__NONE ||
      readers(graph, norm.input) != 1 || users(graph, graph->operators[before].weights) != 1 ||
      (graph->operators[before].bias != QB__NONE &&
       users(graph, graph->operators[before].bias) != 1))
    return false;
  if (graph->operators[before].bias == QB__NONE) {
    const int64_t channels = graph->tensors[norm.output].dims[0];
    const int32_t bias = qb__graph_constant(graph, norm.name, 1, &channels);
    if (graph->status)
      return false;
    memset(graph->tensors[bias].constant, 0, (size_t)channels * sizeof(float));
    graph->operators[before].bias = bias;
  }
  qb__operator *conv = &graph->operators[before];
  const qb__tensor *t = graph->tensors;
  float *weights = t[conv->weights].constant, *bias = t[conv->bias].constant;
  const size_t channels = (size_t)t[conv->weights].dims[0];
  const size_t per_channel = t[conv->weights].elements / channels;
  for (size_t c = 0; c < channels; c++) {
    const float factor =
        t[norm.weights].constant[c] / sqrtf(t[norm.variance].constant[c] + norm.epsilon);
    for (size_t i = 0; i < per_channel; i++)
      weights[c * per_channel + i] *= factor;
    bias[c] = (bias[c] - t[norm.mean].constant[c]) * factor + t[norm.bias].constant[c];
  }
  conv->output = norm.output;
  remove_operator(graph, index);
  return true;
}

/*
 * Adds the other input where a convolution writes its result. That must be the later of the two
 * producers, for the other one to be there when it runs.
 */
static bool fuse_add(qb__graph *graph, size_t index)
{
  const qb__operator add = graph->operators[index];
  int32_t x = add.input, addend = add.addend;
  if (producer(graph, x) < producer(graph, addend)) {
    x = add.addend;
    addend = add.input;
  }
  const int32_t before = producer(graph, x);
  if (before == QB__NONE || x == addend || readers(graph, x) != 1)
    return false;
  qb__operator *op = &graph->operators[before];
  if ((op->kind != QB__OP_CONVOLUTION && op->kind != QB__OP_DENSE) || op->activation ||
      op->addend != QB__NONE)
    return false;
  op->addend = addend;
  op->output = add.output;
  remove_operator(graph, index);
  return true;
}

/*
 * An addition keeps its activation as an operator of its own: with a ReLU behind it, that of oneDNN
 * 2.6 is wrong where channels lie in blocks of four.
 */
static bool fuse_activation(qb__graph *graph, size_t index)
{
  const qb__operator activation = graph->operators[index];
  const int32_t before = producer(graph, activation.input);
  if (before == QB__NONE || readers(graph, activation.input) != 1)
    return false;
  qb__operator *op = &graph->operators[before];
  if ((op->kind != QB__OP_CONVOLUTION && op->kind != QB__OP_DENSE) || op->activation)
    return false;
  op->activation = activation.activation;
  op->output = activation.output;
  remove_operator(graph, index);
  return true;
}

static void apply(qb__graph *graph, qb__op_kind kind, bool (*pass)(qb__graph *, size_t))
{
  for (size_t i = 0; i < graph->operator_count && !graph->status;)
    if (graph->operators[i].kind != kind || !pass(graph, i))
      i++;
}

static void drop_unread(qb__graph *graph)
{
  for (size_t i = graph->operator_count; i-- > 0;)
    if (!readers(graph, graph->operators[i].output))
      remove_operator(graph, i);
}

/* Frees the values of constants that no operator uses any more. */
static void drop_constants(qb__graph *graph)
{
  for (size_t t = 0; t < graph->tensor_count; t++) {
    if (!users(graph, (int32_t)t)) {
      qb__free(graph->context, graph->tensors[t].constant);
      graph->tensors[t].constant = NULL;
    }
  }
}

qb_status qb__graph_optimize(qb__graph *graph)
{
  apply(graph, QB__OP_BATCH_NORM, fold_batch_norm);
  apply(graph, QB__OP_ADD, fuse_add);
  apply(graph, QB__OP_ACTIVATION, fuse_activation);
  drop_unread(graph);
  drop_constants(graph);
  return graph->status;
}
