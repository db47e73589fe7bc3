/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/density.h"

#include <math.h>

qb__power qb__instance_power(const qb_node *node, qb_isa isa, const qb_configuration *k)
{
  const uint64_t all = (uint64_t)k->instances * k->threads;
  const uint32_t threads = all < UINT32_MAX ? (uint32_t)all : UINT32_MAX;
  qb__power power;
  if (qb_node_compute_flops(node, threads, isa, &power.flops))
    power.flops = k->instances;
  if (qb_node_bandwidth(node, threads, &power.bytes_per_s) ||
      qb_node_bandwidth(node, k->threads, &power.weight_bytes_per_s))
    power.bytes_per_s = power.weight_bytes_per_s = 0;
  power.weight_bytes_per_s = fmin(power.weight_bytes_per_s, power.bytes_per_s);
  power.flops /= k->instances;
  power.bytes_per_s /= k->instances;
  return power;
}

double qb__quota_share(const qb_node *node, const qb_configuration *k)
{
  qb_node_info info = QB_NODE_INFO_INIT;
  if (qb_node_get_info(node, &info) || !(info.quota_cores > 0))
    return 1;
  const double threads = fmin((double)k->instances * k->threads, info.usable_threads);
  return fmin(1, info.quota_cores / threads);
}

static void add(qb__roofline *sum, const qb__operator_work *work, uint32_t batch,
                const qb__power *power)
{
  const double compute_s = work->flops_per_sample * batch / power->flops;
  const double memory_s = power->bytes_per_s > 0
                              ? work->weight_bytes / power->weight_bytes_per_s +
                                    work->bytes_per_sample * batch / power->bytes_per_s
                              : 0;
  sum->time_s += compute_s > memory_s ? compute_s : memory_s;
  sum->memory_s += compute_s > memory_s ? 0 : memory_s;
  sum->serial_s += compute_s + memory_s;
}

qb__roofline qb__roofline_of(const qb_profile *profile, uint32_t batch, const qb__power *power)
{
  qb__roofline sum = {0, 0, 0};
  const qb__operator_work whole = {profile->info.flops_per_sample, profile->bytes_per_sample,
                                   (double)profile->info.weight_bytes};
  for (size_t i = 0; i < profile->operator_count; i++)
    add(&sum, &profile->operators[i], batch, power);
  if (!profile->operator_count && whole.flops_per_sample > 0)
    add(&sum, &whole, batch, power);
  return sum;
}
