/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a round earns: 1 for each answer in time, less a little for its latency, so that of two rules
 * that keep the target the faster one is better. The solver, the size of a round and the search for
 * rules of several instances count by this alone.
 */
#ifndef QB_OPTIMIZE_ROUND_REWARD_H
#define QB_OPTIMIZE_ROUND_REWARD_H

#include "optimize/round_problem.h"

#include <math.h>

/* An answer at the very end of the target is worth this much less than one at once. */
#define QB__LATENCY_WEIGHT 0.1

/* Of `size` answers `late` are late; their latencies add up to `targets` targets. */
static inline double qb__reward(double size, double late, double targets)
{
  return size - late - QB__LATENCY_WEIGHT * targets;
}

/* Of n samples, their ages spread evenly below the oldest's, how many are older than `most`. */
static inline double qb__even_late(double n, double oldest, double most)
{
  return oldest > most ? fmin(n, ceil(n * (1 - fmax(most, 0) / oldest) - 1e-6)) : 0;
}

/* How many of these answers are expected to be late: one that has T left is so every other time. */
static inline double qb__expected_late(const qb__round_problem *problem, const int64_t *left_ns,
                                       uint32_t size)
{
  const double typical_ns = (double)problem->latency_ns[size];
  const double slow_ns = fmax((double)problem->slow_ns[size], typical_ns + 1);
  const double half = 0.5 / (slow_ns - typical_ns);
  double late = 0;
  for (uint32_t i = 0; i < size && (double)left_ns[i] < slow_ns; i++)
    late += fmin(0.5 - half * ((double)left_ns[i] - typical_ns), 1);
  return late;
}

/*
 * What a round of `size` samples earns that have left_ns each, rising. `sum_ns` is the sum of that,
 * with more than the target, as samples of another class may have, counted as the target.
 */
static inline double qb__round_earned(const qb__round_problem *problem, const int64_t *left_ns,
                                      uint32_t size, double sum_ns)
{
  const double target_ns = (double)problem->target_ns;
  const double latency_ns = size * (target_ns + (double)problem->latency_ns[size]) - sum_ns;
  return qb__reward(size, qb__expected_late(problem, left_ns, size), latency_ns / target_ns);
}

#endif
