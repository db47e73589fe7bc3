/* SPDX-License-Identifier: Apache-2.0 */
/* Rewrites that leave what a graph computes as it is, and leave less to do. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/graph_edit.h"
#include "model/patterns.h"

#include <math.h>
#include <string.h>

/*
 * The index of a convolution or dense layer that writes `tensor`, for one reader, nothing fused
 * behind it, and with constants of its own; QB__NONE if there is none. It has a bias afterwards.
 */
static int32_t scalable(qb__graph *graph, int32_t tensor)
{
  const int32_t index = qb__producer(graph, tensor);
  if (index == QB__NONE || qb__readers(graph, tensor) != 1)
    return QB__NONE;
  const qb__operator *op = &graph->operators[index];
  if ((op->kind != QB__OP_CONVOLUTION && op->kind != QB__OP_DECONVOLUTION &&
       op->kind != QB__OP_DENSE && op->kind != QB__OP_LINEAR) ||
      op->activation || op->addend != QB__NONE || op->integer_limit != 0 ||
      qb__users(graph, op->weights) != 1 ||
      (op->bias != QB__NONE && qb__users(graph, op->bias) != 1))
    return QB__NONE;
  if (op->bias == QB__NONE) {
    const int64_t channels = graph->tensors[op->weights].dims[0];
    const int32_t bias = qb__graph_constant(graph, op->name, 1, &channels);
    if (graph->status)
      return QB__NONE;
    memset(graph->tensors[bias].constant, 0, (size_t)channels * sizeof(float));
    graph->operators[index].bias = bias;
  }
  return index;
}

/* Output channel c becomes factor * it + shift, within the layer's constants. */
static void scale_channel(qb__graph *graph, const qb__operator *op, size_t c, float factor,
                          float shift)
{
  const qb__tensor *weights = &graph->tensors[op->weights];
  const size_t per_channel = weights->elements / (size_t)weights->dims[0];
  float *bias = graph->tensors[op->bias].constant;
  for (size_t i = 0; i < per_channel; i++)
    weights->constant[c * per_channel + i] *= factor;
  bias[c] = bias[c] * factor + shift;
}

/*
 * y = scale * (x - mean) / sqrt(variance + epsilon) + shift (Ioffe and Szegedy, ICML 2015, section
 * 3.1, at inference).
 */
static void norm_channel(const qb__graph *graph, const qb__operator *norm, size_t c, float *factor,
                         float *shift)
{
  const qb__tensor *t = graph->tensors;
  *factor = t[norm->weights].constant[c] / sqrtf(t[norm->variance].constant[c] + norm->epsilon);
  *shift = t[norm->bias].constant[c] - t[norm->mean].constant[c] * *factor;
}

/* Whether the outputs of a layer are the last dimension of what it writes, and not the first. */
static bool has_rows(const qb__graph *graph, const qb__operator *op)
{
  return op->kind == QB__OP_LINEAR && graph->tensors[op->output].rank > 1;
}

/* The transposition that writes a tensor, for one reader, with its input's last dimension first. */
static int32_t turned(const qb__graph *graph, int32_t tensor)
{
  const int32_t index = qb__producer(graph, tensor);
  return index != QB__NONE && graph->operators[index].kind == QB__OP_TRANSPOSE &&
                 graph->operators[index].order[0] == graph->tensors[tensor].rank - 1 &&
                 qb__readers(graph, tensor) == 1
             ? index
             : QB__NONE;
}

static bool fold_batch_norm(qb__graph *graph, size_t index)
{
  const qb__operator norm = graph->operators[index];
  const int32_t turn = turned(graph, norm.input);
  const int32_t before =
      scalable(graph, turn == QB__NONE ? norm.input : graph->operators[turn].input);
  /* The channels of a layer of rows come last, and first behind a transposition. */
  if (before == QB__NONE || has_rows(graph, &graph->operators[before]) != (turn != QB__NONE))
    return false;
  qb__operator *op = &graph->operators[before];
  for (size_t c = 0; c < (size_t)graph->tensors[op->weights].dims[0]; c++) {
    float factor, shift;
    norm_channel(graph, &norm, c, &factor, &shift);
    scale_channel(graph, op, c, factor, shift);
  }
  (turn == QB__NONE ? op : &graph->operators[turn])->output = norm.output;
  qb__remove_operator(graph, index);
  return true;
}

/* A sum or product with a constant that has one element for each output of the rows before it. */
static bool fold_row(qb__graph *graph, size_t index)
{
  const qb__operator op = graph->operators[index];
  const bool reversed = graph->tensors[op.input].constant != NULL;
  const qb__tensor c = graph->tensors[reversed ? op.input : op.addend];
  const int64_t outputs = graph->tensors[op.output].dims[c.rank - 1];
  if (!c.constant || c.elements != (size_t)outputs || c.dims[c.rank - 1] != outputs ||
      (op.kind == QB__OP_DIVIDE && reversed))
    return false;
  const int32_t before = scalable(graph, reversed ? op.addend : op.input);
  if (before == QB__NONE || !has_rows(graph, &graph->operators[before]))
    return false;
  qb__operator *layer = &graph->operators[before];
  for (size_t o = 0; o < c.elements; o++) {
    const float v = c.constant[o];
    switch (op.kind) {
    case QB__OP_ADD: scale_channel(graph, layer, o, 1, v); break;
    case QB__OP_SUBTRACT:
      scale_channel(graph, layer, o, reversed ? -1 : 1, reversed ? v : -v);
      break;
    case QB__OP_MULTIPLY: scale_channel(graph, layer, o, v, 0); break;
    default: scale_channel(graph, layer, o, 1 / v, 0);
    }
  }
  layer->output = op.output;
  qb__remove_operator(graph, index);
  return true;
}

static bool fold_linear(qb__graph *graph, size_t index)
{
  const qb__operator linear = graph->operators[index];
  const int32_t before =
      linear.activation == QB__ACTIVATION_LINEAR ? scalable(graph, linear.input) : QB__NONE;
  if (before == QB__NONE)
    return false;
  qb__operator *op = &graph->operators[before];
  for (size_t c = 0; c < (size_t)graph->tensors[op->weights].dims[0]; c++)
    scale_channel(graph, op, c, linear.alpha, linear.beta);
  op->output = linear.output;
  qb__remove_operator(graph, index);
  return true;
}

/*
 * A batch norm with nothing to fold into: of an image a convolution of single elements, which takes
 * an activation behind it along, else a product and a sum.
 */
static bool replace_batch_norm(qb__graph *graph, size_t index)
{
  const qb__operator norm = graph->operators[index];
  const uint32_t rank = graph->tensors[norm.input].rank;
  const int64_t channels = graph->tensors[norm.input].dims[0];
  const bool image = rank >= 2 && rank <= 1 + QB__MOST_SPATIAL;
  const int64_t dims[QB_MAX_DIMS] = {channels, 1, 1, 1, 1, 1, 1};
  const int32_t factors = qb__graph_constant(graph, norm.name, image ? rank + 1 : rank, dims);
  const int32_t shifts = qb__graph_constant(graph, norm.name, image ? 1 : rank, dims);
  if (graph->status)
    return false;
  for (size_t c = 0; c < (size_t)channels; c++)
    norm_channel(graph, &norm, c, &graph->tensors[factors].constant[c],
                 &graph->tensors[shifts].constant[c]);
  qb__operator *op = &graph->operators[index];
  op->mean = op->variance = QB__NONE;
  if (image) {
    op->kind = QB__OP_CONVOLUTION;
    op->weights = factors;
    op->bias = shifts;
    op->groups = channels;
    for (int i = 0; i < QB__MOST_SPATIAL; i++)
      op->window.kernel[i] = op->window.strides[i] = op->window.dilations[i] = 1;
    return true;
  }
  op->kind = QB__OP_MULTIPLY;
  op->weights = op->bias = QB__NONE;
  op->addend = factors;
  const int32_t product = qb__graph_binary(graph, norm.name, QB__OP_ADD, norm.output, shifts);
  if (graph->status)
    return false;
  /* What was made at the end belongs behind the product, and writes what the batch norm wrote. */
  qb__operator sum = graph->operators[--graph->operator_count];
  sum.input = graph->operators[index].output = product;
  sum.output = norm.output;
  memmove(graph->operators + index + 2, graph->operators + index + 1,
          (graph->operator_count - index - 1) * sizeof *graph->operators);
  graph->operators[index + 1] = sum;
  graph->operator_count++;
  return true;
}

/* Zeros around an image that only a convolution reads are padding of its own. */
static bool fold_pad(qb__graph *graph, size_t index)
{
  const qb__operator pad = graph->operators[index];
  const qb__tensor *in = &graph->tensors[pad.input], *out = &graph->tensors[pad.output];
  size_t reader = index + 1;
  while (reader < graph->operator_count && graph->operators[reader].input != pad.output)
    reader++;
  if (pad.value != 0 || qb__readers(graph, pad.output) != 1 || reader == graph->operator_count ||
      graph->operators[reader].kind != QB__OP_CONVOLUTION || pad.before[0] != 0 ||
      in->dims[0] != out->dims[0])
    return false;
  qb__window window = graph->operators[reader].window;
  for (uint32_t i = 1; i < in->rank; i++) {
    const int64_t after = out->dims[i] - in->dims[i] - pad.before[i];
    if (pad.before[i] < 0 || after < 0 || (window.pad_before[i - 1] += pad.before[i]) > INT16_MAX ||
        (window.pad_after[i - 1] += after) > INT16_MAX)
      return false;
  }
  graph->operators[reader].window = window;
  graph->operators[reader].input = pad.input;
  qb__remove_operator(graph, index);
  return true;
}

/* Whether what follows an operator can be computed where it writes its result: of reals alone. */
static bool takes_along(const qb__operator *op)
{
  return (op->kind == QB__OP_CONVOLUTION || op->kind == QB__OP_DENSE ||
          op->kind == QB__OP_LINEAR) &&
         op->integer_limit == 0;
}

/*
 * Adds the other input where a convolution writes its result. That must be the later of the two
 * producers, for the other one to be there when it runs.
 */
static bool fuse_add(qb__graph *graph, size_t index)
{
  const qb__operator add = graph->operators[index];
  int32_t x = add.input, addend = add.addend;
  if (qb__producer(graph, x) < qb__producer(graph, addend)) {
    x = add.addend;
    addend = add.input;
  }
  const int32_t before = qb__producer(graph, x);
  if (before == QB__NONE || x == addend || qb__readers(graph, x) != 1 ||
      graph->tensors[addend].constant ||
      graph->tensors[addend].elements != graph->tensors[add.output].elements ||
      graph->tensors[x].elements != graph->tensors[add.output].elements)
    return false;
  qb__operator *op = &graph->operators[before];
  if (!takes_along(op) || op->activation || op->addend != QB__NONE)
    return false;
  op->addend = addend;
  op->output = add.output;
  qb__remove_operator(graph, index);
  return true;
}

/*
 * An addition keeps its activation as an operator of its own: with a ReLU behind it, that of oneDNN
 * 2.6 writes beyond its result where channels lie in blocks of four, which no check may try.
 */
static bool fuse_activation(qb__graph *graph, size_t index)
{
  const qb__operator activation = graph->operators[index];
  const int32_t before = qb__producer(graph, activation.input);
  if (before == QB__NONE || qb__readers(graph, activation.input) != 1)
    return false;
  qb__operator *op = &graph->operators[before];
  if (!takes_along(op) || op->activation || activation.activation > QB__ACTIVATION_MISH)
    return false;
  op->activation = activation.activation;
  op->alpha = activation.alpha;
  op->beta = activation.beta;
  op->output = activation.output;
  qb__remove_operator(graph, index);
  return true;
}

/* Frees the values of constants that no operator uses any more. */
static void drop_constants(qb__graph *graph)
{
  for (size_t t = 0; t < graph->tensor_count; t++) {
    if (!qb__users(graph, (int32_t)t)) {
      qb__free(graph->context, graph->tensors[t].constant);
      graph->tensors[t].constant = NULL;
    }
  }
}

/* What is folded may lay bare the next. */
static void fold_all(qb__graph *graph)
{
  size_t before;
  do {
    before = graph->operator_count;
    qb__apply(graph, QB__OP_BATCH_NORM, fold_batch_norm);
    for (qb__op_kind kind = QB__OP_ADD; kind <= QB__OP_DIVIDE; kind++)
      qb__apply(graph, kind, fold_row);
    qb__apply(graph, QB__OP_ACTIVATION, fold_linear);
  } while (graph->operator_count != before && !graph->status);
}

qb_status qb__graph_optimize(qb__graph *graph)
{
  qb__recognise(graph);
  qb__recognise_moves(graph);
  qb__apply(graph, QB__OP_PAD, fold_pad);
  fold_all(graph);
  qb__apply(graph, QB__OP_BATCH_NORM, replace_batch_norm);
  qb__apply(graph, QB__OP_ADD, fuse_add);
  qb__apply(graph, QB__OP_ACTIVATION, fuse_activation);
  qb__drop_unread(graph);
  drop_constants(graph);
  return graph->status;
}
