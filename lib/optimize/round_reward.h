/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a round earns: 1 for each answer in time, less a little for its latency, so that of two
 * rules that keep the target the faster one is better. The solver, the size of a round and the
 * search for rules of several instances count by this alone.
 */
#ifndef QB_OPTIMIZE_ROUND_REWARD_H
#define QB_OPTIMIZE_ROUND_REWARD_H

#include "optimize/round_problem.h"
#include "optimize/round_queue.h"

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

/*
 * How many of these answers are expected to be late: one that has T left is so every other time.
 * `sum_ns` are sums of the deadlines before each, which may wrap around. A deadline counts in them
 * as the target from now on at most.
 */
static inline double qb__expected_late(const qb__round_problem *problem, const int64_t *deadline_ns,
                                       const uint64_t *sum_ns, int64_t now_ns, uint32_t size)
{
  const int64_t typical_ns = problem->latency_ns[size], slow_ns = problem->slow_ns[size];
  const int64_t spread_ns = slow_ns > typical_ns ? slow_ns - typical_ns : 1;
  const int64_t end_ns = qb__add_ns(now_ns, typical_ns), safe_ns = qb__add_ns(end_ns, spread_ns);
  if (deadline_ns[0] >= safe_ns)
    return 0;
  const int64_t lost_ns = qb__subtract_ns(end_ns, spread_ns);
  uint32_t lost = 0;
  while (lost < size && deadline_ns[lost] <= lost_ns)
    lost++;
  uint32_t unsure = lost;
  while (unsure < size && deadline_ns[unsure] < safe_ns)
    unsure++;
  const uint32_t count = unsure - lost;
  int64_t margin_ns = (int64_t)(sum_ns[unsure] - sum_ns[lost] - count * (uint64_t)end_ns);
  const int64_t fresh_ns = qb__add_ns(now_ns, problem->target_ns);
  for (uint32_t i = unsure; i > lost && deadline_ns[i - 1] > fresh_ns; i--)
    margin_ns += deadline_ns[i - 1] - fresh_ns; /* which the sums leave out */
  return lost + 0.5 * count - 0.5 * (double)margin_ns / (double)spread_ns;
}

/*
 * What a round of `size` samples with these deadlines, the first one's first, earns. More time
 * than the target, as samples of another class may have, is left out of the sums.
 */
static inline double qb__round_earned(const qb__round_problem *problem, const int64_t *deadline_ns,
                                      const uint64_t *sum_ns, int64_t now_ns, uint32_t size)
{
  const double target_ns = (double)problem->target_ns;
  const int64_t left_ns = (int64_t)(sum_ns[size] - sum_ns[0] - size * (uint64_t)now_ns);
  const double latency_ns =
      size * (target_ns + (double)problem->latency_ns[size]) - (double)left_ns;
  const double late = qb__expected_late(problem, deadline_ns, sum_ns, now_ns, size);
  return qb__reward(size, late, latency_ns / target_ns);
}

#endif
