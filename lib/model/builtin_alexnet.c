/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural
 * Networks", NIPS 2012: sections 3.3 (normalisation), 3.4 (overlapping pools) and 3.5 (layers). The
 * two groups are the paper's two GPUs.
 */
#include "model/builtin.h"

#include <math.h>
#include <stdio.h>

const qb__builtin_size qb__alexnet_size = {227, 1, 1000};

typedef struct builder {
  qb__graph *graph;
  uint64_t seed;
} builder;

/* He et al., ICCV 2015: a variance of 2 / fan-in keeps the mean square through a ReLU. */
static int32_t weights(builder *b, const char *name, const char *suffix, uint32_t rank,
                       const int64_t *dims, float mean_square)
{
  char full[64];
  snprintf(full, sizeof full, "%s.%s", name, suffix);
  const int32_t tensor = qb__graph_constant(b->graph, full, rank, dims);
  const int64_t fan_in = rank == 4 ? dims[1] * dims[2] * dims[3] : rank == 2 ? dims[1] : 1;
  qb__fill(b->graph, tensor, b->seed++, 0,
           rank == 1 ? 0.05f : sqrtf(2.0f / ((float)fan_in * mean_square)));
  return tensor;
}

/* mean_square: of the input, so that the output's is about 1. */
static int32_t convolution(builder *b, const char *name, int32_t x, int64_t channels,
                           int64_t kernel, int64_t stride, int64_t pad, int64_t groups,
                           float mean_square)
{
  if (b->graph->status)
    return QB__NONE;
  const int64_t dims[4] = {channels, b->graph->tensors[x].dims[0] / groups, kernel, kernel};
  const qb__window window = {.strides = {stride, stride},
                             .dilations = {1, 1},
                             .pad_before = {pad, pad},
                             .pad_after = {pad, pad}};
  const int32_t w = weights(b, name, "weights", 4, dims, mean_square);
  const int32_t bias = weights(b, name, "bias", 1, dims, 1);
  x = qb__graph_convolution(b->graph, name, x, w, bias, &window, groups);
  return qb__graph_activation(b->graph, name, x, QB__ACTIVATION_RELU, 0, 0);
}

static int32_t normalisation(builder *b, const char *name, int32_t x)
{
  /* The paper's alpha = 1e-4 weighs the sum of 5 squares, ours their mean. */
  return qb__graph_lrn(b->graph, name, x, 5, 5e-4f, 0.75f, 2.0f);
}

static int32_t pool(builder *b, const char *name, int32_t x)
{
  const qb__window window = {.kernel = {3, 3}, .strides = {2, 2}, .dilations = {1, 1}};
  return qb__graph_pool(b->graph, name, QB__OP_MAX_POOL, x, &window, false);
}

static int32_t dense(builder *b, const char *name, int32_t x, int64_t outputs, float mean_square)
{
  if (b->graph->status)
    return QB__NONE;
  const int64_t dims[2] = {outputs, (int64_t)b->graph->tensors[x].elements};
  const int32_t w = weights(b, name, "weights", 2, dims, mean_square);
  const int32_t bias = weights(b, name, "bias", 1, dims, 1);
  return qb__graph_dense(b->graph, name, x, w, bias);
}

void qb__build_alexnet(qb__graph *graph, const qb__builtin_size *size)
{
  builder b = {graph, UINT64_C(0xa1e0) << 32};
  const int64_t d = size->divisor;
  const int64_t image[3] = {3, size->image, size->image};
  int32_t x = qb__graph_input(graph, "image", 3, image);
  /*
   * The numbers at the end: a normalisation divides by 2^0.75, a 3x3 pool keeps the largest of 9.
   */
  x = convolution(&b, "conv1", x, 96 / d, 11, 4, 0, 1, 1);
  x = normalisation(&b, "norm1", x);
  x = pool(&b, "pool1", x);
  x = convolution(&b, "conv2", x, 256 / d, 5, 1, 2, 2, 1);
  x = normalisation(&b, "norm2", x);
  x = pool(&b, "pool2", x);
  x = convolution(&b, "conv3", x, 384 / d, 3, 1, 1, 1, 1);
  x = convolution(&b, "conv4", x, 384 / d, 3, 1, 1, 2, 1);
  x = convolution(&b, "conv5", x, 256 / d, 3, 1, 1, 2, 1);
  x = pool(&b, "pool5", x);
  x = qb__graph_flatten(graph, "flatten", x);
  x = dense(&b, "fc6", x, 4096 / d, 3);
  x = qb__graph_activation(graph, "fc6", x, QB__ACTIVATION_RELU, 0, 0);
  x = dense(&b, "fc7", x, 4096 / d, 1);
  x = qb__graph_activation(graph, "fc7", x, QB__ACTIVATION_RELU, 0, 0);
  x = dense(&b, "fc8", x, size->classes, 1);
  x = qb__graph_softmax(graph, "probabilities", x, 0, false);
  qb__graph_output(graph, x);
}
