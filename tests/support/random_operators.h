/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators that kernels of ours compute, and linear layers: each of them behind a tensor of rank
 * 3, whose shape it keeps. What jumps, as floor does, is computed from the network's input alone,
 * which has no rounding errors that could carry an element across the jump.
 */
#ifndef QB_SUPPORT_RANDOM_OPERATORS_H
#define QB_SUPPORT_RANDOM_OPERATORS_H

#include "model/builtin.h"
#include "support/random.h"

#include <math.h>
#include <string.h>

/* A constant of the tensor's shape, in which each dimension is 1 instead as often as not. */
static inline int32_t random_repeated(uint64_t *random, qb__graph *graph, int32_t x, float mean,
                                      float deviation)
{
  int64_t dims[3];
  for (int i = 0; i < 3; i++)
    dims[i] = random_int(random, 0, 1) ? graph->tensors[x].dims[i] : 1;
  const int32_t made = qb__graph_constant(graph, "constant", 3, dims);
  qb__fill(graph, made, random_bits(random), mean, deviation);
  return made;
}

/* The same, or one row, column or plane of the tensor itself. */
static inline int32_t random_part(uint64_t *random, qb__graph *graph, int32_t x)
{
  if (random_int(random, 0, 1))
    return random_repeated(random, graph, x, 0, 1);
  int64_t before[3] = {0}, after[3] = {0};
  const uint64_t axis = random_int(random, 0, 2);
  after[axis] = 1 - graph->tensors[x].dims[axis];
  return qb__graph_pad(graph, "part", x, before, after, 0);
}

/* A number for each element that is at least `least`. */
static inline int32_t random_positive(qb__graph *graph, int32_t x, float least)
{
  x = qb__graph_activation(graph, "abs", x, QB__ACTIVATION_ABS, 0, 0);
  return qb__graph_activation(graph, "shift", x, QB__ACTIVATION_LINEAR, 1, least);
}

static inline int32_t random_smooth_activation(uint64_t *random, qb__graph *graph, int32_t x)
{
  static const qb__activation kinds[] = {
      QB__ACTIVATION_ELU,   QB__ACTIVATION_GELU_ERF, QB__ACTIVATION_GELU_TANH,
      QB__ACTIVATION_SWISH, QB__ACTIVATION_SOFTPLUS, QB__ACTIVATION_MISH,
      QB__ACTIVATION_ABS,   QB__ACTIVATION_ERF,      QB__ACTIVATION_SIN,
      QB__ACTIVATION_COS,   QB__ACTIVATION_EXP,      QB__ACTIVATION_LOG,
      QB__ACTIVATION_SQRT};
  const qb__activation kind = kinds[random_int(random, 0, sizeof kinds / sizeof *kinds - 1)];
  if (kind == QB__ACTIVATION_EXP) /* for them not to grow */
    x = qb__graph_activation(graph, "clip", x, QB__ACTIVATION_CLIP, -4, 1);
  if (kind == QB__ACTIVATION_LOG || kind == QB__ACTIVATION_SQRT)
    x = random_positive(graph, x, 0.1f);
  return qb__graph_activation(graph, "activation", x, kind, 0.5f, 0);
}

static inline int32_t random_smooth_binary(uint64_t *random, qb__graph *graph, int32_t x)
{
  static const qb__op_kind kinds[] = {QB__OP_ADD,    QB__OP_SUBTRACT, QB__OP_MULTIPLY,
                                      QB__OP_DIVIDE, QB__OP_MAXIMUM,  QB__OP_MINIMUM,
                                      QB__OP_PRELU,  QB__OP_POWER};
  const qb__op_kind kind = kinds[random_int(random, 0, sizeof kinds / sizeof *kinds - 1)];
  if (kind == QB__OP_POWER)
    return qb__graph_binary(graph, "power", kind, random_positive(graph, x, 0.5f),
                            random_repeated(random, graph, x, 0.5f, 0.5f));
  if (kind == QB__OP_DIVIDE)
    return qb__graph_binary(graph, "divide", kind, random_repeated(random, graph, x, 1, 0.2f),
                            random_positive(graph, x, 0.5f));
  const int32_t other = random_part(random, graph, x);
  return random_int(random, 0, 1) ? qb__graph_binary(graph, "binary", kind, x, other)
                                  : qb__graph_binary(graph, "reversed", kind, other, x);
}

/* Integers with one scale and zero point, or with one for each along an axis, and back to reals. */
static inline int32_t random_conversion(uint64_t *random, qb__graph *graph, int32_t x)
{
  const uint32_t axis = (uint32_t)random_int(random, 0, 2);
  const int64_t all = graph->tensors[x].dims[axis], one = 1;
  int32_t constants[2] = {QB__NONE, QB__NONE};
  for (int i = 0; i < 2; i++)
    if (random_int(random, 0, 2)) {
      constants[i] = qb__graph_constant(graph, i ? "zero point" : "scale", 1,
                                        random_int(random, 0, 1) ? &all : &one);
      qb__fill(graph, constants[i], random_bits(random), i ? 3 : 0.5f, i ? 2 : 0.05f);
    }
  const qb__tensor *zero = constants[1] == QB__NONE ? NULL : &graph->tensors[constants[1]];
  for (size_t i = 0; zero && i < zero->elements; i++)
    zero->constant[i] = (float)(int)zero->constant[i];
  const int32_t y =
      qb__graph_quantize(graph, "quantize", x, constants[0], constants[1], axis, -4, 5);
  return qb__graph_dequantize(graph, "dequantize", y, constants[0], constants[1], axis, -4, 5);
}

/* Of the network's input, which has the shape of x. */
static inline int32_t random_jump(uint64_t *random, qb__graph *graph, int32_t x)
{
  static const qb__activation activations[] = {QB__ACTIVATION_FLOOR, QB__ACTIVATION_CEIL,
                                               QB__ACTIVATION_ROUND, QB__ACTIVATION_SIGN};
  static const qb__op_kind kinds[] = {QB__OP_MODULO,       QB__OP_FLOOR_MODULO, QB__OP_EQUAL,
                                      QB__OP_LESS,         QB__OP_LESS_EQUAL,   QB__OP_GREATER,
                                      QB__OP_GREATER_EQUAL};
  const int32_t in = graph->inputs[0];
  int32_t y;
  switch (random_int(random, 0, 4)) {
  case 4: y = random_conversion(random, graph, in); break;
  case 0:
    y = qb__graph_activation(graph, "jump", in, activations[random_int(random, 0, 3)], 0, 0);
    break;
  case 1: {
    const int32_t steps = qb__graph_activation(graph, "steps", in, QB__ACTIVATION_FLOOR, 0, 0);
    const int32_t index = /* with equals to choose from */
        qb__graph_arg(graph, "arg", steps, (uint32_t)random_int(random, 0, 2),
                      random_int(random, 0, 1), random_int(random, 0, 1));
    y = qb__graph_activation(graph, "index", index, QB__ACTIVATION_LINEAR, 0.1f, 0);
    break;
  }
  case 2:
    y = qb__graph_binary(graph, "compare", kinds[random_int(random, 0, 6)], in,
                         random_repeated(random, graph, in, 0, 1));
    break;
  default: {
    const int32_t condition =
        qb__graph_binary(graph, "less", QB__OP_LESS, in, random_repeated(random, graph, in, 0, 1));
    const int32_t other = random_part(random, graph, x);
    return random_int(random, 0, 1) ? qb__graph_select(graph, "select", condition, x, other)
                                    : qb__graph_select(graph, "select", condition, other, x);
  }
  }
  return qb__graph_binary(graph, "with_jumps", QB__OP_ADD, x, y);
}

static inline int32_t random_reduction(uint64_t *random, qb__graph *graph, int32_t x)
{
  const qb__reduction kind = (qb__reduction)random_int(random, 0, QB__REDUCTION_COUNT - 1);
  const uint32_t axes = (uint32_t)random_int(random, 1, 7);
  const bool grows = kind != QB__REDUCTION_MEAN && kind != QB__REDUCTION_MAX &&
                     kind != QB__REDUCTION_MIN && kind != QB__REDUCTION_LOG_SUM_EXP;
  int32_t y = kind == QB__REDUCTION_LOG_SUM ? random_positive(graph, x, 0.1f) : x;
  if (kind == QB__REDUCTION_PRODUCT)
    y = qb__graph_activation(graph, "bound", x, QB__ACTIVATION_SIN, 0, 0);
  else if (grows)
    y = qb__graph_activation(graph, "less", y, QB__ACTIVATION_LINEAR, 0.1f, 0);
  return qb__graph_binary(graph, "reduced", QB__OP_ADD, x,
                          qb__graph_reduce(graph, "reduce", kind, y, axes));
}

static inline int32_t random_norm(uint64_t *random, qb__graph *graph, int32_t x)
{
  const int64_t *dims = graph->tensors[x].dims;
  const bool layers = random_int(random, 0, 1);
  const uint32_t axis = (uint32_t)random_int(random, 0, 2);
  int64_t elements = layers ? 1 : dims[0], groups = dims[0];
  for (uint32_t i = axis; layers && i < 3; i++)
    elements *= dims[i];
  int32_t constants[2] = {QB__NONE, QB__NONE};
  for (int i = 0; i < 2; i++)
    if (random_int(random, 0, 2)) {
      constants[i] = qb__graph_constant(graph, i ? "shift" : "scale", 1, &elements);
      qb__fill(graph, constants[i], random_bits(random), i ? 0 : 1, 0.3f);
    }
  if (layers)
    return qb__graph_layer_norm(graph, "norm", x, axis, constants[0], constants[1], 0.01f);
  if (groups % 2 == 0 && random_int(random, 0, 1))
    groups = 2;
  return qb__graph_group_norm(graph, "norm", x, random_int(random, 0, 2) ? groups : 1, constants[0],
                              constants[1], 0.01f);
}

static inline int32_t random_pick(uint64_t *random, qb__graph *graph, int32_t x)
{
  const uint32_t axis = (uint32_t)random_int(random, 0, 2);
  const uint32_t taps = (uint32_t)random_int(random, 1, 3);
  const int64_t count = graph->tensors[x].dims[axis];
  int64_t indices[3 * 16];
  float factors[3 * 16];
  for (int64_t i = 0; i < count * taps; i++) {
    indices[i] = (int64_t)random_int(random, 0, (uint64_t)count) - 1;
    factors[i] = (float)random_int(random, 0, 100) / 100 - 0.3f;
  }
  return qb__graph_pick(graph, "pick", x, axis, count, taps, indices,
                        random_int(random, 0, 1) ? factors : NULL, 0.5f);
}

/*
 * A matrix, or one for each channel, with its elements about as large as keeps results as they
 * were.
 */
static inline int32_t random_square(uint64_t *random, qb__graph *graph, int64_t channels,
                                    int64_t size)
{
  const int64_t dims[3] = {channels, size, size};
  const int32_t made = qb__graph_constant(graph, "square", 3, dims);
  qb__fill(graph, made, random_bits(random), 0, sqrtf(1.0f / (float)size));
  return made;
}

static inline int32_t random_product(uint64_t *random, qb__graph *graph, int32_t x)
{
  int64_t dims[3];
  memcpy(dims, graph->tensors[x].dims, sizeof dims);
  switch (random_int(random, 0, 4)) {
  case 4: { /* attention */
    static const uint32_t order[3] = {0, 2, 1};
    const int32_t turned = qb__graph_transpose(graph, "turned", x, order);
    int32_t weights = qb__graph_matmul(graph, "queries_keys", x, turned);
    weights = qb__graph_activation(graph, "scale", weights, QB__ACTIVATION_LINEAR, 0.2f, 0);
    weights = qb__graph_softmax(graph, "attention", weights, 2, false);
    return qb__graph_matmul(graph, "values", weights, x);
  }
  case 0: {
    const int64_t channels = random_int(random, 0, 1) ? dims[0] : 1;
    return qb__graph_matmul(graph, "left", random_square(random, graph, channels, dims[1]), x);
  }
  case 1: { /* one image, with a matrix for each channel */
    const int32_t mean = qb__graph_reduce(graph, "mean", QB__REDUCTION_MEAN, x, 1);
    return qb__graph_matmul(graph, "right", mean, random_square(random, graph, dims[0], dims[2]));
  }
  default: {
    const int64_t shape[2] = {dims[2], dims[2]};
    const int32_t weights = qb__graph_constant(graph, "weights", 2, shape);
    qb__fill(graph, weights, random_bits(random), 0, sqrtf(1.0f / (float)dims[2]));
    const int32_t bias =
        random_int(random, 0, 1) ? qb__graph_constant(graph, "bias", 1, shape) : QB__NONE;
    if (bias != QB__NONE)
      qb__fill(graph, bias, random_bits(random), 0, 0.1f);
    return qb__graph_linear(graph, "linear", x, weights, bias);
  }
  }
}

/* Behind a constant, and cut off again with some of it. */
static inline int32_t random_joined(uint64_t *random, qb__graph *graph, int32_t x)
{
  int64_t dims[3], before[3] = {0}, after[3] = {0};
  memcpy(dims, graph->tensors[x].dims, sizeof dims);
  const uint64_t axis = random_int(random, 0, 2);
  after[axis] = -(int64_t)random_int(random, 0, 1);
  before[axis] = -2 - after[axis];
  dims[axis] = 2;
  const int32_t constant = qb__graph_constant(graph, "constant", 3, dims);
  qb__fill(graph, constant, random_bits(random), 0, 1);
  const int32_t both[2] = {constant, x};
  const int32_t joined = qb__graph_concat(graph, "concat", both, 2, (uint32_t)axis);
  return qb__graph_pad(graph, "crop", joined, before, after, 0);
}

/* Half of the channels of two tensors, shuffled, as ShuffleNet's units begin. */
static inline int32_t random_shuffle(uint64_t *random, qb__graph *graph, int32_t x)
{
  int64_t dims[4] = {2}, joined[3], before[3] = {0}, after[3] = {0};
  static const uint32_t order[4] = {1, 0, 2, 3};
  memcpy(dims + 1, graph->tensors[x].dims, 3 * sizeof *dims);
  memcpy(joined, dims + 1, sizeof joined);
  joined[0] *= 2;
  const int32_t both[2] = {x, random_smooth_activation(random, graph, x)};
  int32_t y = qb__graph_concat(graph, "concat", both, 2, 0);
  y = qb__graph_reshape(graph, "groups", y, 4, dims);
  y = qb__graph_transpose(graph, "shuffle", y, order);
  y = qb__graph_reshape(graph, "channels", y, 3, joined);
  before[0] = -(int64_t)random_int(random, 0, (uint64_t)dims[1]);
  after[0] = -dims[1] - before[0];
  return qb__graph_pad(graph, "half", y, before, after, 0);
}

static inline bool random_same_shape(const qb__graph *graph, int32_t a, int32_t b)
{
  return !memcmp(graph->tensors[a].dims, graph->tensors[b].dims, 3 * sizeof(int64_t));
}

static inline int32_t random_own_operator(uint64_t *random, qb__graph *graph, int32_t x)
{
  switch (random_int(random, 0, 10)) {
  case 10: return random_shuffle(random, graph, x);
  case 0: return random_smooth_activation(random, graph, x);
  case 1: return random_smooth_binary(random, graph, x);
  case 2:
  case 3:
    return random_same_shape(graph, x, graph->inputs[0]) ? random_jump(random, graph, x)
                                                         : random_smooth_binary(random, graph, x);
  case 4: return random_reduction(random, graph, x);
  case 5: return random_norm(random, graph, x);
  case 6: return random_pick(random, graph, x);
  case 7: return random_joined(random, graph, x);
  case 8: { /* of one element it is 0, which no rounding error is small against */
    const uint32_t axis = (uint32_t)random_int(random, 0, 2);
    return graph->tensors[x].dims[axis] == 1
               ? random_norm(random, graph, x)
               : qb__graph_softmax(graph, "log_softmax", x, axis, true);
  }
  default: return random_product(random, graph, x);
  }
}

#endif
