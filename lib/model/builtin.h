/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in networks as graphs, before any pass; smaller ones of the same kind for tests. */
#ifndef QB_MODEL_BUILTIN_H
#define QB_MODEL_BUILTIN_H

#include "model/graph.h"

/* The size of a built-in network. */
typedef struct qb__builtin_size {
  int64_t image;   /* height and width of the input */
  int64_t divisor; /* every channel count of the original is divided by it */
  int64_t classes;
} qb__builtin_size;

extern const qb__builtin_size qb__alexnet_size, qb__resnet50_size; /* as published */

/* Failures are in graph->status. */
void qb__build_alexnet(qb__graph *graph, const qb__builtin_size *size);
void qb__build_resnet50(qb__graph *graph, const qb__builtin_size *size);

/*
 * Fills a constant with values of a fixed pseudo-random sequence, uniform in `mean` +- sqrt(3) *
 * `deviation`, the same on every machine. `seed` is the constant's own.
 */
void qb__fill(qb__graph *graph, int32_t constant, uint64_t seed, float mean, float deviation);

/* The same sequence for any array. */
void qb__fill_values(float *values, size_t count, uint64_t seed, float mean, float deviation);

#endif
