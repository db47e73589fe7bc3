/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/density.h"

#include "estimate/precision.h"

#include <qosbatch/inspect.h>

#include <math.h>

qb__instance_roof qb__instance_roof_of(const qb_node *node, qb_isa isa, const qb_configuration *k)
{
  const uint64_t all = (uint64_t)k->instances * k->threads;
  const uint32_t threads = all < UINT32_MAX ? (uint32_t)all : UINT32_MAX;
  qb__instance_roof roof;
  if (qb__precision_compute(node, threads, isa, k->precision, &roof.flops))
    roof.flops = k->instances;
  if (qb_node_get_bandwidth(node, threads, &roof.bytes_per_s) ||
      qb_node_get_bandwidth(node, k->threads, &roof.weight_bytes_per_s))
    roof.bytes_per_s = roof.weight_bytes_per_s = 0;
  roof.weight_bytes_per_s = fmin(roof.weight_bytes_per_s, roof.bytes_per_s);
  roof.flops /= k->instances;
  roof.bytes_per_s /= k->instances;
  roof.bytes = qb__precision_bytes(k->precision);
  return roof;
}

double qb__quota_share(const qb_node *node, const qb_configuration *k)
{
  qb_node_info info = QB_NODE_INFO_INIT;
  if (qb_node_get_info(node, &info) || !(info.quota_cores > 0))
    return 1;
  const double threads = fmin((double)k->instances * k->threads, info.usable_threads);
  return fmin(1, info.quota_cores / threads);
}

static double compute_s(const qb__operator_work *work, uint32_t batch,
                        const qb__instance_roof *roof)
{
  return work->flops_per_sample * batch / roof->flops;
}

static double memory_s(const qb__operator_work *work, uint32_t batch, const qb__instance_roof *roof)
{
  return roof->bytes_per_s > 0 ? roof->bytes * (work->weight_bytes / roof->weight_bytes_per_s +
                                                work->bytes_per_sample * batch / roof->bytes_per_s)
                               : 0;
}

/* The operators, or the network as one where they are not known; none where no work is known. */
static const qb__operator_work *operators_of(const qb_profile *profile, qb__operator_work *whole,
                                             size_t *count)
{
  *whole = (qb__operator_work){qb__profile_info(profile)->flops_per_sample,
                               qb__profile_bytes_per_sample(profile),
                               (double)qb__profile_info(profile)->weight_bytes};
  *count = qb__profile_operator_count(profile) ? qb__profile_operator_count(profile)
                                               : qb__profile_info(profile)->flops_per_sample > 0;
  return qb__profile_operator_count(profile) ? qb__profile_operators(profile) : whole;
}

qb__roofline qb__roofline_of(const qb_profile *profile, uint32_t batch,
                             const qb__instance_roof *roof)
{
  qb__operator_work whole;
  size_t count;
  const qb__operator_work *operators = operators_of(profile, &whole, &count);
  qb__roofline sum = {0, 0};
  for (size_t i = 0; i < count; i++) {
    const double compute = compute_s(&operators[i], batch, roof);
    const double memory = memory_s(&operators[i], batch, roof);
    sum.time_s += compute > memory ? compute : memory;
    sum.memory_s += compute > memory ? 0 : memory;
  }
  return sum;
}

double qb__serial_s(const qb_profile *profile, uint32_t batch, const qb__instance_roof *roof)
{
  qb__operator_work whole;
  size_t count;
  const qb__operator_work *operators = operators_of(profile, &whole, &count);
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += compute_s(&operators[i], batch, roof) + memory_s(&operators[i], batch, roof);
  return sum;
}
