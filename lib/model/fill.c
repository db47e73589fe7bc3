/* SPDX-License-Identifier: Apache-2.0 */
#include "model/builtin.h"

#include <math.h>

/* SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): any position of the sequence at once. */
static uint64_t mix(uint64_t seed, uint64_t position)
{
  uint64_t z = seed + (position + 1) * UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

void qb__fill_values(float *values, size_t count, uint64_t seed, float mean, float deviation)
{
  const float scale = deviation * 1.7320508f / 8388608.0f; /* 24 bits to [-sqrt(3), sqrt(3)) */
  for (size_t i = 0; i < count; i++) {
    const int32_t bits = (int32_t)(mix(seed, i) >> 40) - 8388608;
    values[i] = mean + scale * (float)bits;
  }
}

void qb__fill(qb__graph *graph, int32_t constant, uint64_t seed, float mean, float deviation)
{
  if (!graph->status)
    qb__fill_values(graph->tensors[constant].constant, graph->tensors[constant].elements, seed,
                    mean, deviation);
}
