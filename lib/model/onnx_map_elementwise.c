/* SPDX-License-Identifier: Apache-2.0 */
/* Activations, and sums, differences, products and quotients with their broadcasting. */
#include "core/error.h"
#include "model/onnx_impl.h"

#include <float.h>
#include <string.h>

static const qb__onnx_value *activation_input(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  if (x && x->kind == QB__ONNX_ACTIVATION)
    return x;
  qb__onnx_problem(im, node, "its first input is not computed from the network's inputs");
  return NULL;
}

static void activate(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                     qb__activation activation, float alpha, float beta)
{
  qb__onnx_result_like(
      im, node, qb__graph_activation(im->graph, node->label, x->tensor, activation, alpha, beta),
      x);
}

void qb__onnx_map_activation(qb__onnx *im, const qb__onnx_node *node)
{
  const char *kind = node->proto->op_type;
  const qb__onnx_value *x = activation_input(im, node);
  if (!x)
    return;
  if (!strcmp(kind, "Relu"))
    activate(im, node, x, QB__ACTIVATION_RELU, 0, 0);
  else if (!strcmp(kind, "LeakyRelu"))
    activate(im, node, x, QB__ACTIVATION_RELU, qb__onnx_float(node, "alpha"), 0);
  else if (!strcmp(kind, "Sigmoid"))
    activate(im, node, x, QB__ACTIVATION_SIGMOID, 0, 0);
  else if (!strcmp(kind, "Tanh"))
    activate(im, node, x, QB__ACTIVATION_TANH, 0, 0);
  else if (!strcmp(kind, "HardSwish"))
    activate(im, node, x, QB__ACTIVATION_HARD_SWISH, 0, 0);
  else { /* HardSigmoid */
    const int32_t linear =
        qb__graph_activation(im->graph, node->label, x->tensor, QB__ACTIVATION_LINEAR,
                             qb__onnx_float(node, "alpha"), qb__onnx_float(node, "beta"));
    qb__onnx_result_like(
        im, node, qb__graph_activation(im->graph, node->label, linear, QB__ACTIVATION_CLIP, 0, 1),
        x);
  }
}

/* A bound of a clip: an attribute before opset 11, a constant input from there on. */
static bool bound(qb__onnx *im, const qb__onnx_node *node, const char *name, size_t index,
                  float *value)
{
  if (im->opset < 11) {
    *value = qb__onnx_float(node, name);
    return true;
  }
  const qb__onnx_value *v = qb__onnx_input(node, index);
  if (!v)
    return true;
  if (qb__onnx_number(v, value))
    return true;
  qb__onnx_problem(im, node, "its '%s' is not a constant number", name);
  return false;
}

void qb__onnx_map_clip(qb__onnx *im, const qb__onnx_node *node)
{
  float low = -FLT_MAX, high = FLT_MAX;
  const qb__onnx_value *x = activation_input(im, node);
  if (!x || !bound(im, node, "min", 1, &low) || !bound(im, node, "max", 2, &high))
    return;
  if (low == 0 && high >= FLT_MAX)
    activate(im, node, x, QB__ACTIVATION_RELU, 0, 0);
  else
    activate(im, node, x, QB__ACTIVATION_CLIP, low, high);
}

static qb__op_kind kind_of(const qb__onnx_node *node)
{
  static const char *const names[] = {"Add", "Sub", "Mul", "Div"};
  qb__op_kind kind = QB__OP_ADD;
  while (strcmp(node->proto->op_type, names[kind - QB__OP_ADD]) != 0)
    kind++;
  return kind;
}

/* x with the only element of a constant, which comes first when `reversed`. */
static int32_t with_number(qb__onnx *im, const char *name, qb__op_kind kind, int32_t x, float c,
                           bool reversed)
{
  qb__activation activation = QB__ACTIVATION_LINEAR;
  float alpha = 1, beta = 0;
  switch (kind) {
  case QB__OP_ADD: beta = c; break;
  case QB__OP_SUBTRACT:
    alpha = reversed ? -1 : 1;
    beta = reversed ? c : -c;
    break;
  case QB__OP_MULTIPLY: alpha = c; break;
  default:
    activation = reversed ? QB__ACTIVATION_POWER : QB__ACTIVATION_LINEAR;
    alpha = reversed ? c : 1 / c;
    beta = reversed ? -1 : 0;
    break;
  }
  return qb__graph_activation(im->graph, name, x, activation, alpha, beta);
}

/* x with a constant of one element a channel is a batch norm, which passes fold away. */
static int32_t with_channels(qb__onnx *im, const char *name, qb__op_kind kind, int32_t x,
                             const float *c, bool reversed)
{
  enum { SCALE, SHIFT, MEAN, VARIANCE };
  const int64_t channels = im->graph->tensors[x].dims[0];
  int32_t constants[4];
  for (int i = 0; i < 4; i++)
    constants[i] = qb__graph_constant(im->graph, name, 1, &channels);
  if (im->graph->status)
    return QB__NONE;
  float *values[4];
  for (int i = 0; i < 4; i++)
    values[i] = im->graph->tensors[constants[i]].constant;
  for (int64_t i = 0; i < channels; i++) {
    values[SCALE][i] = kind == QB__OP_MULTIPLY ? c[i] : kind == QB__OP_DIVIDE ? 1 / c[i] : 1;
    values[SHIFT][i] = kind == QB__OP_ADD || reversed ? c[i] : kind == QB__OP_SUBTRACT ? -c[i] : 0;
    if (kind == QB__OP_MULTIPLY)
      values[SHIFT][i] = 0;
    if (kind == QB__OP_SUBTRACT && reversed)
      values[SCALE][i] = -1;
    values[MEAN][i] = 0;
    values[VARIANCE][i] = 1;
  }
  return qb__graph_batch_norm(im->graph, name, x, constants[SCALE], constants[SHIFT],
                              constants[MEAN], constants[VARIANCE], 0);
}

/* -x or 1 / x, so that the other input may come first. */
static int32_t inverse(qb__onnx *im, const char *name, qb__op_kind kind, int32_t x)
{
  if (kind == QB__OP_SUBTRACT)
    return qb__graph_activation(im->graph, name, x, QB__ACTIVATION_LINEAR, -1, 0);
  if (kind == QB__OP_DIVIDE)
    return qb__graph_activation(im->graph, name, x, QB__ACTIVATION_POWER, 1, -1);
  return x;
}

static qb__op_kind commuted(qb__op_kind kind)
{
  return kind == QB__OP_SUBTRACT ? QB__OP_ADD : kind == QB__OP_DIVIDE ? QB__OP_MULTIPLY : kind;
}

/* Whether `part` may be repeated to the shape of `whole`. */
static bool fits(const qb__onnx_value *part, const qb__onnx_value *whole)
{
  if (part->rank > whole->rank)
    return false;
  for (uint32_t i = 1; i <= part->rank; i++)
    if (part->dims[part->rank - i] != whole->dims[whole->rank - i] &&
        part->dims[part->rank - i] != 1)
      return false;
  return true;
}

/*
 * The dimensions of a sample of `part` with 1 put before them, as many as a sample of `whole` has;
 * false where the batch of one meets something else in the other.
 */
static bool align(const qb__onnx *im, const qb__onnx_value *part, const qb__onnx_value *whole,
                  int64_t *dims)
{
  int64_t full[QB__ONNX_RANK];
  const uint32_t missing = whole->rank - part->rank;
  for (uint32_t i = 0; i < whole->rank; i++)
    full[i] = i < missing ? 1 : part->dims[i - missing];
  if (im->batched && (part->kind == QB__ONNX_ACTIVATION ? missing != 0 : full[0] != 1))
    return false;
  qb__onnx_sample(im, whole->rank, full, dims);
  return true;
}

static int32_t with_constant(qb__onnx *im, const qb__onnx_node *node, qb__op_kind kind,
                             const qb__onnx_value *x, qb__onnx_value *c, const int64_t *dims,
                             bool reversed)
{
  const qb__tensor *t = &im->graph->tensors[x->tensor];
  const float *values = c->data;
  if (c->elements == 1)
    return with_number(im, node->label, kind, x->tensor, *values, reversed);
  if ((size_t)dims[0] == c->elements && dims[0] == t->dims[0] &&
      !(kind == QB__OP_DIVIDE && reversed))
    return with_channels(im, node->label, kind, x->tensor, values, reversed);
  const uint32_t rank = t->rank;
  const int32_t first = reversed ? inverse(im, node->label, kind, x->tensor) : x->tensor;
  const int32_t second = qb__onnx_constant(im, c, rank, dims);
  if (im->graph->status)
    return QB__NONE;
  return qb__graph_binary(im->graph, node->label, reversed ? commuted(kind) : kind, first, second);
}

/* The second of two activations, repeated to the first; the first came last when `reversed`. */
static int32_t with_activation(qb__onnx *im, const qb__onnx_node *node, qb__op_kind kind,
                               const qb__onnx_value *whole, const qb__onnx_value *part,
                               const int64_t *dims, bool reversed)
{
  qb__graph *g = im->graph;
  int32_t first = whole->tensor, second = part->tensor;
  const uint32_t rank = g->tensors[first].rank;
  if (g->tensors[second].rank != rank)
    second = qb__graph_reshape(g, node->label, second, rank, dims);
  if (reversed)
    first = inverse(im, node->label, kind, first);
  return qb__graph_binary(g, node->label, reversed ? commuted(kind) : kind, first, second);
}

static void combine(qb__onnx *im, const qb__onnx_node *node, qb__op_kind kind, qb__onnx_value *a,
                    qb__onnx_value *b)
{
  if (!a || !b) {
    qb__onnx_problem(im, node, "it needs two inputs");
    return;
  }
  const bool reversed =
      a->kind == QB__ONNX_CONSTANT || (b->kind == QB__ONNX_ACTIVATION && !fits(b, a));
  qb__onnx_value *whole = reversed ? b : a, *part = reversed ? a : b;
  int64_t dims[QB__ONNX_RANK];
  if (part->kind == QB__ONNX_CONSTANT && !qb__onnx_is_float(part))
    qb__onnx_problem(im, node, "it combines floats with integers");
  else if (!fits(part, whole) && im->batched && whole->kind == QB__ONNX_ACTIVATION &&
           part->kind == QB__ONNX_CONSTANT)
    qb__onnx_mixing(im, node);
  else if (!fits(part, whole))
    qb__onnx_problem(im, node, "both of its inputs would have to be repeated");
  else if (!align(im, part, whole, dims))
    qb__onnx_mixing(im, node);
  else
    qb__onnx_result_like(im, node,
                         part->kind == QB__ONNX_CONSTANT
                             ? with_constant(im, node, kind, whole, part, dims, reversed)
                             : with_activation(im, node, kind, whole, part, dims, reversed),
                         whole);
}

void qb__onnx_map_binary(qb__onnx *im, const qb__onnx_node *node)
{
  combine(im, node, kind_of(node), qb__onnx_input(node, 0), qb__onnx_input(node, 1));
}

void qb__onnx_map_sum(qb__onnx *im, const qb__onnx_node *node)
{
  qb__onnx_value *sum = qb__onnx_input(node, 0);
  if (node->input_count == 1 && sum) {
    qb__onnx_result_like(im, node, sum->tensor, sum);
    return;
  }
  for (size_t i = 1; i < node->input_count && !im->mixes && !im->graph->status; i++) {
    combine(im, node, QB__OP_ADD, sum, qb__onnx_input(node, i));
    sum = qb__onnx_find(im, node->proto->output[0]);
    if (sum->kind == QB__ONNX_UNKNOWN)
      return;
  }
}
