/* SPDX-License-Identifier: Apache-2.0 */
/*
 * He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, table 1, 50
 * layers; version 1.5: a stage's stride is in the 3x3 convolution of its first block, not in the
 * 1x1 before it.
 */
#include "model/builtin.h"

#include <math.h>
#include <stdio.h>

const qb__builtin_size qb__resnet50_size = {224, 1, 1000};

typedef struct builder {
  qb__graph *graph;
  uint64_t seed;
} builder;

static int32_t constant(builder *b, const char *name, const char *suffix, uint32_t rank,
                        const int64_t *dims, float mean, float deviation)
{
  char full[64];
  snprintf(full, sizeof full, "%s.%s", name, suffix);
  const int32_t tensor = qb__graph_constant(b->graph, full, rank, dims);
  qb__fill(b->graph, tensor, b->seed++, mean, deviation);
  return tensor;
}

/*
 * Convolution and batch norm. Weights of variance 1 / fan-in hand on the input's mean square, which
 * a following ReLU halves: a `gain` of sqrt(2) makes up for it.
 */
static int32_t convolution(builder *b, const char *name, int32_t x, int64_t channels,
                           int64_t kernel, int64_t stride, float gain)
{
  if (b->graph->status)
    return QB__NONE;
  const int64_t dims[4] = {channels, b->graph->tensors[x].dims[0], kernel, kernel};
  const int64_t pad = kernel / 2;
  const qb__window window = {.strides = {stride, stride},
                             .dilations = {1, 1},
                             .pad_before = {pad, pad},
                             .pad_after = {pad, pad}};
  const float deviation = sqrtf(1.0f / (float)(dims[1] * kernel * kernel));
  const int32_t weights = constant(b, name, "weights", 4, dims, 0, deviation);
  const int32_t scale = constant(b, name, "scale", 1, dims, gain, 0.05f * gain);
  const int32_t shift = constant(b, name, "shift", 1, dims, 0, 0.1f);
  const int32_t mean = constant(b, name, "mean", 1, dims, 0, 0.1f);
  const int32_t variance = constant(b, name, "variance", 1, dims, 1, 0.1f);
  x = qb__graph_convolution(b->graph, name, x, weights, QB__NONE, &window, 1);
  return qb__graph_batch_norm(b->graph, name, x, scale, shift, mean, variance, 1e-5f);
}

static int32_t relu(builder *b, const char *name, int32_t x)
{
  return qb__graph_activation(b->graph, name, x, QB__ACTIVATION_RELU, 0, 0);
}

/* A bottleneck block; the first of a stage projects its input to the new shape. */
static int32_t block(builder *b, int stage, int index, int32_t x, int64_t width, int64_t stride)
{
  static const float gain = 1.4142135f;
  char name[5][32];
  static const char *const parts[5] = {"reduce", "conv", "expand", "project", "add"};
  for (int i = 0; i < 5; i++)
    snprintf(name[i], sizeof name[i], "stage%d.%d.%s", stage, index, parts[i]);
  int32_t shortcut = x;
  int32_t y = relu(b, name[0], convolution(b, name[0], x, width, 1, 1, gain));
  y = relu(b, name[1], convolution(b, name[1], y, width, 3, stride, gain));
  /* 16 blocks add up: each may contribute a part only, or activations grow without end. */
  y = convolution(b, name[2], y, 4 * width, 1, 1, 0.5f);
  if (index == 0)
    shortcut = convolution(b, name[3], x, 4 * width, 1, stride, 1);
  return relu(b, name[4], qb__graph_add(b->graph, name[4], y, shortcut));
}

void qb__build_resnet50(qb__graph *graph, const qb__builtin_size *size)
{
  static const int blocks[4] = {3, 4, 6, 3};
  builder b = {graph, UINT64_C(0x4e5) << 32};
  const int64_t image[3] = {3, size->image, size->image};
  int32_t x = qb__graph_input(graph, "image", 3, image);
  x = relu(&b, "stem", convolution(&b, "stem", x, 64 / size->divisor, 7, 2, 1.4142135f));
  const qb__window window = {.kernel = {3, 3},
                             .strides = {2, 2},
                             .dilations = {1, 1},
                             .pad_before = {1, 1},
                             .pad_after = {1, 1}};
  x = qb__graph_pool(graph, "pool", QB__OP_MAX_POOL, x, &window, false);
  for (int stage = 0; stage < 4; stage++)
    for (int i = 0; i < blocks[stage]; i++)
      x = block(&b, stage + 1, i, x, (64 / size->divisor) << stage, stage > 0 && i == 0 ? 2 : 1);
  if (graph->status)
    return;
  const int64_t *dims = graph->tensors[x].dims;
  const qb__window all = {.kernel = {dims[1], dims[2]}, .strides = {1, 1}, .dilations = {1, 1}};
  x = qb__graph_pool(graph, "global_pool", QB__OP_AVERAGE_POOL, x, &all, false);
  x = qb__graph_flatten(graph, "flatten", x);
  if (graph->status)
    return;
  const int64_t classifier[2] = {size->classes, (int64_t)graph->tensors[x].elements};
  const int32_t weights =
      constant(&b, "classifier", "weights", 2, classifier, 0, sqrtf(1.0f / (float)classifier[1]));
  const int32_t bias = constant(&b, "classifier", "bias", 1, classifier, 0, 0.05f);
  x = qb__graph_dense(graph, "classifier", x, weights, bias);
  qb__graph_output(graph, qb__graph_softmax(graph, "probabilities", x, 0, false));
}
