/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded random numbers that are the same on every machine: xoshiro256++ (D. Blackman and S. Vigna,
 * "Scrambled linear pseudorandom number generators", ACM Trans. Math. Softw. 47, 2021), its state
 * filled by their splitmix64.
 */
#ifndef QB_QUEUE_RANDOM_STREAM_H
#define QB_QUEUE_RANDOM_STREAM_H

#include <math.h>
#include <stdint.h>

typedef struct qb__random_stream {
  uint64_t state[4];
} qb__random_stream;

static inline void qb__random_seed(qb__random_stream *stream, uint64_t seed)
{
  for (int i = 0; i < 4; i++) {
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    stream->state[i] = z ^ (z >> 31);
  }
}

static inline uint64_t qb__random_bits(qb__random_stream *stream)
{
  uint64_t *const s = stream->state;
  const uint64_t sum = s[0] + s[3], result = ((sum << 23) | (sum >> 41)) + s[0],
                 shifted = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= shifted;
  s[3] = (s[3] << 45) | (s[3] >> 19);
  return result;
}

/* Even in (0, 1). */
static inline double qb__random_unit(qb__random_stream *stream)
{
  return ((double)(qb__random_bits(stream) >> 11) + 0.5) * 0x1p-53;
}

/* Exponential with a mean of 1. */
static inline double qb__random_exponential(qb__random_stream *stream)
{
  return -log(qb__random_unit(stream));
}

/* Standard normal (G. E. P. Box and M. E. Muller, Ann. Math. Statist. 29, 1958). */
static inline double qb__random_normal(qb__random_stream *stream)
{
  const double radius = sqrt(2 * qb__random_exponential(stream));
  return radius * cos(6.283185307179586 * qb__random_unit(stream));
}

#endif
