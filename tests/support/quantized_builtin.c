/* SPDX-License-Identifier: Apache-2.0 */
#include "support/quantized_builtin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int32_t number(qb__graph *graph, const char *name, float value)
{
  const int64_t one = 1;
  const int32_t constant = qb__graph_constant(graph, name, 1, &one);
  if (!graph->status)
    *graph->tensors[constant].constant = value;
  return constant;
}

int32_t through_bytes(qb__graph *graph, const char *name, int32_t x, float scale, float zero_point)
{
  const int32_t s = number(graph, name, scale), z = number(graph, name, zero_point);
  x = qb__graph_quantize(graph, name, x, s, z, 0, 0, 255);
  return qb__graph_dequantize(graph, name, x, s, z, 0, 0, 255);
}

typedef struct builder {
  const qb__graph *from;
  const qb__range *ranges;
  qb__graph *to;
  int32_t *made;       /* by tensor: its reals */
  float *scale, *zero; /* by tensor */
} builder;

static int32_t copy_constant(const builder *b, int32_t tensor)
{
  if (tensor == QB__NONE)
    return QB__NONE;
  const qb__tensor *t = &b->from->tensors[tensor];
  const int32_t copy = qb__graph_constant(b->to, t->name, t->rank, t->dims);
  if (!b->to->status)
    memcpy(b->to->tensors[copy].constant, t->constant, t->elements * sizeof(float));
  return copy;
}

/* Multiples of a scale for each output, -127 to 127. */
static int32_t round_weights(const builder *b, int32_t tensor)
{
  const int32_t copy = copy_constant(b, tensor);
  if (b->to->status)
    return QB__NONE;
  const qb__tensor *t = &b->to->tensors[copy];
  const size_t each = t->elements / (size_t)t->dims[0];
  for (float *w = t->constant; w < t->constant + t->elements; w += each) {
    float most = 1e-6f;
    for (size_t i = 0; i < each; i++)
      most = fmaxf(most, fabsf(w[i]));
    for (size_t i = 0; i < each; i++)
      w[i] = nearbyintf(w[i] / (most / 127)) * (most / 127);
  }
  return copy;
}

static void finish(builder *b, const qb__operator *op, int32_t x, bool positive)
{
  const float deviation = b->ranges ? (float)b->ranges[op->output].deviation : 1;
  b->scale[op->output] = (positive ? 6 : 8) * deviation / 255;
  b->zero[op->output] = positive ? 0 : 121;
  b->made[op->output] =
      through_bytes(b->to, op->name, x, b->scale[op->output], b->zero[op->output]);
}

static void layer(builder *b, const qb__operator *op)
{
  const int32_t weights = round_weights(b, op->weights), bias = copy_constant(b, op->bias);
  const int32_t in = b->made[op->input];
  int32_t x = op->kind == QB__OP_CONVOLUTION ? qb__graph_convolution(b->to, op->name, in, weights,
                                                                     bias, &op->window, op->groups)
                                             : qb__graph_dense(b->to, op->name, in, weights, bias);
  if (op->addend != QB__NONE) {
    const float deviation = b->ranges ? (float)b->ranges[op->output].deviation : 1;
    x = through_bytes(b->to, op->name, x, 8 * deviation / 255, 131);
    x = qb__graph_add(b->to, op->name, x, b->made[op->addend]);
  }
  if (op->activation)
    x = qb__graph_activation(b->to, op->name, x, op->activation, op->alpha, op->beta);
  finish(b, op, x, op->activation == QB__ACTIVATION_RELU);
}

/* What gives the elements of its input, by the same scale. */
static void move(builder *b, const qb__operator *op)
{
  const int32_t in = b->made[op->input];
  const int32_t x = op->kind == QB__OP_MAX_POOL
                        ? qb__graph_pool(b->to, op->name, op->kind, in, &op->window, false)
                        : qb__graph_flatten(b->to, op->name, in);
  b->scale[op->output] = b->scale[op->input];
  b->zero[op->output] = b->zero[op->input];
  b->made[op->output] =
      through_bytes(b->to, op->name, x, b->scale[op->output], b->zero[op->output]);
}

static void add(builder *b, const qb__operator *op)
{
  const int32_t in = b->made[op->input];
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
  case QB__OP_DENSE: layer(b, op); break;
  case QB__OP_MAX_POOL:
  case QB__OP_FLATTEN: move(b, op); break;
  case QB__OP_AVERAGE_POOL:
    finish(b, op, qb__graph_pool(b->to, op->name, op->kind, in, &op->window, op->include_padding),
           true);
    break;
  case QB__OP_LRN:
    finish(b, op,
           qb__graph_lrn(b->to, op->name, in, op->lrn_size, op->lrn_alpha, op->lrn_beta, op->lrn_k),
           true);
    break;
  case QB__OP_SOFTMAX:
    b->made[op->output] = qb__graph_softmax(b->to, op->name, in, op->axis, op->logarithm);
    break;
  default: b->to->status = QB_ERROR_UNSUPPORTED; /* in no built-in network */
  }
}

void quantize_graph(const qb__graph *from, const qb__range *ranges, qb__graph *to)
{
  builder b = {.from = from, .ranges = ranges, .to = to};
  b.made = calloc(from->tensor_count, sizeof *b.made);
  b.scale = calloc(from->tensor_count, sizeof *b.scale);
  b.zero = calloc(from->tensor_count, sizeof *b.zero);
  if (!b.made || !b.scale || !b.zero)
    abort();
  for (size_t i = 0; i < from->input_count; i++) {
    const int32_t tensor = from->inputs[i];
    const qb__tensor *t = &from->tensors[tensor];
    const int32_t x = qb__graph_input(to, t->name, t->rank, t->dims);
    b.made[tensor] = through_bytes(to, t->name, x, 6.0f / 255, 117);
    b.scale[tensor] = 6.0f / 255;
    b.zero[tensor] = 117;
  }
  for (size_t i = 0; i < from->operator_count; i++)
    add(&b, &from->operators[i]);
  for (size_t i = 0; i < from->output_count; i++)
    qb__graph_output(to, b.made[from->outputs[i]]);
  free(b.made);
  free(b.scale);
  free(b.zero);
}
