/* SPDX-License-Identifier: Apache-2.0 */
#include "support/scripted_profile.h"

#include "node/node_impl.h"
#include "profile/profile_impl.h"

#include <stdlib.h>

qb_profile *scripted_profile(qb_context *context, const qb_configuration *configuration,
                             uint32_t max_batch, double once_ms, double each_ms, double p95_factor)
{
  const uint32_t threads = configuration->instances * configuration->threads;
  const qb__sustained compute[] = {{QB_ISA_AVX2, 1, 1e11}};
  qb_node_info node_info = QB_NODE_INFO_INIT;
  node_info.cpu = "scripted";
  node_info.isa = QB_ISA_AVX2;
  node_info.hardware_threads = node_info.cores = node_info.usable_threads = threads;
  node_info.quota_cores = threads;
  node_info.numa_nodes = 1;
  node_info.price_per_hour = 0.1;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.model = "scripted";
  info.engine = "none";
  info.library = "test";
  info.flops_per_sample = 1e9;
  qb_profile_point *points = calloc(max_batch, sizeof *points);
  for (uint32_t b = 1; points && b <= max_batch; b++) {
    const int64_t ns = (int64_t)(1e6 * (once_ms + each_ms * b));
    points[b - 1] = (qb_profile_point){.size = sizeof *points,
                                       .configuration = *configuration,
                                       .batch = b,
                                       .visits = 7,
                                       .latency_ns = ns,
                                       .low_ns = ns,
                                       .high_ns = ns,
                                       .p95_ns = (int64_t)((double)ns * p95_factor),
                                       .mean_ns = ns,
                                       .memory_bytes = 100000 + 1000 * b};
  }
  qb_node *node = NULL;
  qb_profile *profile = NULL;
  if (!points || qb__node_new(context, &node_info, compute, 1, NULL, 0, &node) ||
      qb__profile_new(context, node, &info, 1e6, points, max_batch, &profile))
    abort();
  qb_node_unref(node);
  free(points);
  return profile;
}
