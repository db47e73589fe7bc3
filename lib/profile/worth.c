/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/worth.h"

#include <math.h>

/* 1 in 100 exponential waits is longer than this many of their means. */
static const double MEANS = 4.605170186; /* ln 100 */

/* Quantiles of normal values. */
static const double P95_NORMAL = 1.645, P97_5_NORMAL = 1.96;

/*
 * The wait that 1 in 100 exceeds at a utilisation of a half, from which others follow by u / (1 -
 * u).
 */
static double wait_at_half_ns(const qb__worth_rounds *rounds)
{
  return MEANS * rounds->mean_ns / (2.0 * rounds->instances);
}

double qb__worth_throughput(const qb__worth_rounds *rounds)
{
  return 1e9 * rounds->instances * rounds->batch / rounds->mean_ns;
}

double qb__worth_sure_throughput(const qb__worth_rounds *rounds, double error)
{
  const double spread = fmax(rounds->p95_ns / rounds->mean_ns - 1, 0) / P95_NORMAL;
  return qb__worth_throughput(rounds) / (1 + P97_5_NORMAL * hypot(error, spread));
}

double qb__worth_latency_ns(const qb__worth_rounds *rounds, double rate_per_s)
{
  const double utilisation = rate_per_s / qb__worth_throughput(rounds);
  return utilisation < 1
             ? rounds->p95_ns + wait_at_half_ns(rounds) * utilisation / (1 - utilisation)
             : INFINITY;
}

double qb__worth_rate(const qb__worth_rounds *rounds, double target_ns)
{
  const double odds = (target_ns - rounds->p95_ns) / wait_at_half_ns(rounds);
  return odds > 0 ? qb__worth_throughput(rounds) * odds / (1 + odds) : 0;
}
