/* SPDX-License-Identifier: Apache-2.0 */
/* Small graphs of every operator, with values drawn anew, for property tests. */
#ifndef QB_SUPPORT_RANDOM_GRAPH_H
#define QB_SUPPORT_RANDOM_GRAPH_H

#include "model/builtin.h"
#include "support/random.h"
#include "support/random_operators.h"

#include <math.h>
#include <string.h>

/* What networks are made of, beside what there always is. */
typedef enum random_kinds {
  RANDOM_BASIC,
  RANDOM_NORMS = 1, /* batch norms */
  RANDOM_OWN = 2    /* random_operators.h */
} random_kinds;

/* A constant of up to four dimensions; those that are 0 are left out. */
static inline int32_t random_constant(uint64_t *random, qb__graph *graph, int64_t a, int64_t b,
                                      int64_t c, int64_t d, float mean, float deviation)
{
  const int64_t dims[4] = {a, b, c, d};
  const int32_t made = qb__graph_constant(graph, "constant", d ? 4 : c ? 3 : b ? 2 : 1, dims);
  qb__fill(graph, made, random_bits(random), mean, deviation);
  return made;
}

static inline qb__window random_window(uint64_t *random, int64_t size)
{
  qb__window w;
  for (int i = 0; i < 2; i++) {
    w.kernel[i] = (int64_t)random_int(random, 1, size < 4 ? (uint64_t)size : 4);
    w.strides[i] = (int64_t)random_int(random, 1, 3);
    w.dilations[i] = 1;
    w.pad_before[i] = (int64_t)random_int(random, 0, (uint64_t)w.kernel[i] / 2);
    w.pad_after[i] = (int64_t)random_int(random, 0, (uint64_t)w.kernel[i] / 2);
  }
  return w;
}

/* A convolution that keeps or, with a window of its own, shrinks the image. */
static inline int32_t random_convolution(uint64_t *random, qb__graph *graph, int32_t x,
                                         int64_t channels, const qb__window *window)
{
  const int64_t in = graph->tensors[x].dims[0];
  const int64_t groups = in % 2 == 0 && channels % 2 == 0 ? (int64_t)random_int(random, 1, 2) : 1;
  const int64_t *k = window->kernel;
  const float deviation = sqrtf(1.0f / (float)(in / groups * k[0] * k[1]));
  const int32_t weights =
      random_constant(random, graph, channels, in / groups, k[0], k[1], 0, deviation);
  const int32_t bias = (int64_t)random_int(random, 0, 1)
                           ? random_constant(random, graph, channels, 0, 0, 0, 0, 0.1f)
                           : QB__NONE;
  return qb__graph_convolution(graph, "conv", x, weights, bias, window, groups);
}

static inline int32_t random_batch_norm(uint64_t *random, qb__graph *graph, int32_t x)
{
  if (graph->status)
    return QB__NONE;
  const int64_t c = graph->tensors[x].dims[0];
  const int32_t scale = random_constant(random, graph, c, 0, 0, 0, 1, 0.2f);
  const int32_t shift = random_constant(random, graph, c, 0, 0, 0, 0, 0.2f);
  const int32_t mean = random_constant(random, graph, c, 0, 0, 0, 0, 0.2f);
  const int32_t variance = random_constant(random, graph, c, 0, 0, 0, 1, 0.2f);
  return qb__graph_batch_norm(graph, "norm", x, scale, shift, mean, variance, 1e-5f);
}

/* One that keeps the image. */
static inline int32_t random_deconvolution(uint64_t *random, qb__graph *graph, int32_t x)
{
  const int64_t c = graph->tensors[x].dims[0], groups = c % 2 ? 1 : 2;
  const qb__window w = {
      .strides = {1, 1}, .dilations = {1, 1}, .pad_before = {1, 1}, .pad_after = {1, 1}};
  const int32_t weights =
      random_constant(random, graph, c, c / groups, 3, 3, 0, sqrtf(1.0f / (float)(9 * c / groups)));
  return qb__graph_deconvolution(graph, "deconv", x, weights, QB__NONE, &w, groups);
}

static inline int32_t random_activation(uint64_t *random, qb__graph *graph, int32_t x)
{
  switch (random_int(random, 0, 7)) {
  case 0: return qb__graph_activation(graph, "clip", x, QB__ACTIVATION_CLIP, -0.5f, 0.75f);
  case 1: return qb__graph_activation(graph, "sigmoid", x, QB__ACTIVATION_SIGMOID, 0, 0);
  case 2: return qb__graph_activation(graph, "tanh", x, QB__ACTIVATION_TANH, 0, 0);
  case 3: return qb__graph_activation(graph, "hard_swish", x, QB__ACTIVATION_HARD_SWISH, 0, 0);
  case 4: return qb__graph_activation(graph, "linear", x, QB__ACTIVATION_LINEAR, -0.5f, 0.25f);
  case 5: return qb__graph_activation(graph, "leaky", x, QB__ACTIVATION_RELU, 0.1f, 0);
  default: return qb__graph_activation(graph, "relu", x, QB__ACTIVATION_RELU, 0, 0);
  }
}

/* A sum, difference, product or quotient with a constant, repeated along some dimensions. */
static inline int32_t random_binary(uint64_t *random, qb__graph *graph, int32_t x)
{
  int64_t dims[3];
  for (int i = 0; i < 3; i++)
    dims[i] = (int64_t)random_int(random, 0, 1) ? graph->tensors[x].dims[i] : 1;
  const qb__op_kind kind = QB__OP_ADD + (qb__op_kind)random_int(random, 0, 3);
  const int32_t second = random_constant(random, graph, dims[0], dims[1], dims[2], 0, 1.5f, 0.2f);
  return qb__graph_binary(graph, "binary", kind, x, second);
}

/* What lies at x in another order, place or size, brought back to its shape. */
static inline int32_t random_rearrangement(uint64_t *random, qb__graph *graph, int32_t x,
                                           int32_t other)
{
  int64_t dims[3];
  memcpy(dims, graph->tensors[x].dims, sizeof dims);
  const uint32_t axis = (uint32_t)random_int(random, 0, 2);
  switch (random_int(random, 0, 5)) {
  case 0: { /* the second of two, or what lies across both */
    const int32_t both[2] = {x, other};
    const int32_t joined = qb__graph_concat(graph, "concat", both, 2, axis);
    int64_t before[3] = {0}, after[3] = {0};
    before[axis] = -(int64_t)random_int(random, 0, (uint64_t)dims[axis]);
    after[axis] = -dims[axis] - before[axis];
    return qb__graph_pad(graph, "crop", joined, before, after, 0);
  }
  case 1: { /* shifted */
    int64_t before[3] = {0}, after[3] = {0};
    before[axis] = (int64_t)random_int(random, 0, (uint64_t)dims[axis] - 1);
    after[axis] = -before[axis];
    return qb__graph_pad(graph, "shift", x, before, after, random_int(random, 0, 1) ? 0.5f : 0);
  }
  case 2: {
    static const uint32_t orders[2][3] = {{2, 0, 1}, {1, 2, 0}}; /* each undoes the other */
    const int first = (int)random_int(random, 0, 1);
    const int32_t turned = qb__graph_transpose(graph, "turn", x, orders[first]);
    return qb__graph_transpose(graph, "return", random_activation(random, graph, turned),
                               orders[!first]);
  }
  case 3: return qb__graph_softmax(graph, "softmax", x, axis, false);
  case 4: {
    const int32_t mean =
        qb__graph_reduce(graph, "mean", QB__REDUCTION_MEAN, x, (uint32_t)random_int(random, 1, 7));
    return qb__graph_binary(graph, "centre", QB__OP_SUBTRACT, x, mean);
  }
  default: {
    const int32_t square =
        random_constant(random, graph, 1, dims[2], dims[2], 0, 0, sqrtf(1.0f / (float)dims[2]));
    return qb__graph_matmul(graph, "matmul", x, square);
  }
  }
}

/* A dense layer over all that is there, and sometimes a softmax. */
static inline int32_t random_head(uint64_t *random, qb__graph *graph, int32_t x)
{
  x = qb__graph_flatten(graph, "flatten", x);
  const int64_t in = (int64_t)graph->tensors[x].elements;
  const int64_t outputs = (int64_t)random_int(random, 2, 20);
  const int32_t weights =
      random_constant(random, graph, outputs, in, 0, 0, 0, sqrtf(1.0f / (float)in));
  x = qb__graph_dense(graph, "dense", x, weights,
                      random_constant(random, graph, outputs, 0, 0, 0, 0, 0.1f));
  return random_int(random, 0, 1) ? qb__graph_softmax(graph, "softmax", x, 0, false) : x;
}

/*
 * An operator behind `x` or another tensor of its shape: `latest` and `earlier` are of one shape,
 * and the result is of it too.
 */
static inline int32_t random_operator(uint64_t *random, qb__graph *graph, int32_t latest,
                                      int32_t earlier, random_kinds kinds)
{
  const int32_t x = (int64_t)random_int(random, 0, 3) ? latest : earlier;
  const int64_t d = (int64_t)random_int(random, 1, 2);
  const qb__window same = {.kernel = {3, 3},
                           .strides = {1, 1},
                           .dilations = {d, d},
                           .pad_before = {d, d},
                           .pad_after = {d, d}};
  const qb__window point = {.kernel = {1, 1}, .strides = {1, 1}, .dilations = {1, 1}};
  if (kinds & RANDOM_OWN && random_int(random, 0, 1))
    return random_own_operator(random, graph, x);
  switch (random_int(random, kinds & RANDOM_NORMS ? 0 : 1, 11)) {
  case 0: return random_batch_norm(random, graph, x);
  case 1: return random_activation(random, graph, x);
  case 8:
  case 9: return random_rearrangement(random, graph, latest, earlier);
  case 10: return random_binary(random, graph, x);
  case 11: return random_deconvolution(random, graph, x);
  case 2:
  case 3: return qb__graph_add(graph, "add", latest, earlier);
  case 4: return random_convolution(random, graph, x, graph->tensors[x].dims[0], &point);
  case 5: return qb__graph_lrn(graph, "lrn", x, 5, 0.1f, 0.75f, 2);
  default: return random_convolution(random, graph, x, graph->tensors[x].dims[0], &same);
  }
}

/* A network of one input of 1..9 channels and about `operators` operators. */
static inline void random_network(uint64_t *random, qb__graph *graph, int operators,
                                  random_kinds kinds)
{
  const int64_t dims[3] = {(int64_t)random_int(random, 1, 9), (int64_t)random_int(random, 5, 12),
                           (int64_t)random_int(random, 5, 12)};
  int32_t latest = qb__graph_input(graph, "image", 3, dims), earlier = latest;
  for (int i = 0; i < operators && !graph->status; i++) {
    if (random_int(random, 0, 9) == 0) { /* another shape: nothing behind adds across it */
      const int64_t *at = graph->tensors[latest].dims;
      const qb__window w = random_window(random, at[1] < at[2] ? at[1] : at[2]);
      const qb__op_kind pool =
          (int64_t)random_int(random, 0, 1) ? QB__OP_MAX_POOL : QB__OP_AVERAGE_POOL;
      latest =
          (int64_t)random_int(random, 0, 1)
              ? random_convolution(random, graph, latest, (int64_t)random_int(random, 1, 12), &w)
              : qb__graph_pool(graph, "pool", pool, latest, &w, false);
      earlier = latest;
      continue;
    }
    const int32_t made = random_operator(random, graph, latest, earlier, kinds);
    if (random_int(random, 0, 2))
      earlier = latest;
    latest = made;
  }
  if (!graph->status)
    qb__graph_output(graph, random_int(random, 0, 1) ? random_head(random, graph, latest) : latest);
}

/* The largest difference of two outputs, as a share of the largest value of the expected one. */
static inline double relative_error(const float *found, const float *expected, size_t count)
{
  double largest = 1e-30, worst = 0;
  for (size_t i = 0; i < count; i++) {
    largest = fmax(largest, fabs(expected[i]));
    const double off = fabs((double)found[i] - (double)expected[i]);
    worst = off <= worst ? worst : off; /* keeps a NaN */
  }
  return worst / largest;
}

#endif
