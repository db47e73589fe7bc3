/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/latency_table.h"

#include "core/alloc.h"
#include "profile/profile_impl.h"

#include <math.h>

/* The 95th percentile of a standard normal variable. */
static const double NORMAL_P95 = 1.6449;

static int64_t longest(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

/*
 * A lognormal law of mean m and spread s has its 95th percentile at m exp(z s - s^2 / 2). The root that
 * is wanted is the smaller one; beyond the largest such percentile that of the largest is taken.
 */
static double spread_of(double mean_ns, double p95_ns)
{
  const double z = NORMAL_P95, above = fmax(log(p95_ns / mean_ns), 0);
  return z - sqrt(fmax(z * z - 2 * above, 0));
}

qb_status qb__latency_table_fill(const qb_profile *profile, qb__latency_table *table)
{
  for (uint32_t n = 1; n <= table->max_batch; n++) {
    qb_latency_estimate estimate = QB_LATENCY_ESTIMATE_INIT;
    const qb_status status = qb_estimate(profile, &table->configuration, n, &estimate);
    if (status)
      return status;
    table->latency_ns[n] = estimate.latency_ns;
    table->low_ns[n] = estimate.low_ns;
    table->high_ns[n] = estimate.high_ns;
    table->mean_ns[n] = estimate.mean_ns;
    table->slow_ns[n] = longest(estimate.high_ns, longest(estimate.p95_ns, estimate.mean_ns));
    table->memory_bytes[n] = estimate.memory_bytes;
    const double spread = spread_of((double)estimate.mean_ns, (double)estimate.p95_ns);
    table->median_ns[n] = (int64_t)((double)estimate.mean_ns * exp(-spread * spread / 2) + 0.5);
    table->spread[n] = spread;
  }
  return QB_OK;
}

qb_status qb__latency_table_init(const qb_profile *profile, const qb_configuration *configuration,
                                 uint32_t max_batch, qb__latency_table *table)
{
  const size_t count = (size_t)max_batch + 1;
  int64_t *times = qb__calloc(profile->context, 8 * count, sizeof *times);
  if (!times)
    return QB_ERROR_NO_MEMORY;
  qb__latency_table ours = {.configuration = *configuration,
                            .max_batch = max_batch,
                            .latency_ns = times,
                            .low_ns = times + count,
                            .high_ns = times + 2 * count,
                            .mean_ns = times + 3 * count,
                            .slow_ns = times + 4 * count,
                            .memory_bytes = (uint64_t *)(times + 5 * count),
                            .median_ns = times + 6 * count,
                            .spread = (double *)(times + 7 * count)};
  const qb_status status = qb__latency_table_fill(profile, &ours);
  if (status)
    qb__free(profile->context, times);
  else
    *table = ours;
  return status;
}

void qb__latency_table_free(const qb_profile *profile, qb__latency_table *table)
{
  qb__free(profile->context, table->latency_ns);
  *table = (qb__latency_table){0};
}
