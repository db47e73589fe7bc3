/* SPDX-License-Identifier: Apache-2.0 */
#include "support/random_profile.h"

#include "node/node_impl.h"
#include "profile/profile_impl.h"

#include <math.h>
#include <stdlib.h>

/* Milliseconds of a round: a part once a round, a part a sample, and perhaps a cliff and noise. */
static double round_ms(uint64_t *seed, uint32_t batch, double once, double each, uint32_t cliff)
{
  double ms = once + each * batch;
  if (batch > cliff)
    ms *= 1.2;
  return ms * (1 + 0.04 * (random_unit(seed) - 0.5));
}

static size_t add_curve(uint64_t *seed, uint32_t instances, uint32_t threads, uint32_t max_batch,
                        qb_profile_point *points)
{
  const double once = 20 * random_unit(seed), each = (1 + 9 * random_unit(seed)) / threads;
  const uint32_t cliff = (uint32_t)random_int(seed, 1, 2 * max_batch);
  const uint64_t bytes = random_int(seed, 0, 1000000);
  size_t count = 0;
  for (uint32_t b = 1; b <= max_batch; b++) {
    if (b > 1 && b < max_batch && random_int(seed, 0, 2))
      continue;
    const int64_t ns = (int64_t)(1e6 * round_ms(seed, b, once, each, cliff));
    const qb_profile_point point = {
        .size = sizeof point,
        .configuration = {instances, threads},
        .batch = b,
        .visits = 7,
        .latency_ns = ns,
        .low_ns = (int64_t)((double)ns * (1 - 0.05 * random_unit(seed))),
        .high_ns = (int64_t)((double)ns * (1 + 0.05 * random_unit(seed))),
        .p95_ns = (int64_t)((double)ns * 1.05),
        .mean_ns = (int64_t)((double)ns * (1 + 0.01 * (b % 4))),
        .memory_bytes = 100000 + instances * b * bytes};
    points[count++] = point;
  }
  return count;
}

qb_profile *random_profile(qb_context *context, uint64_t *seed, uint32_t max_batch)
{
  static const qb_configuration kinds[] = {{1, 1}, {1, 4}, {2, 2}, {4, 1}, {3, 1}};
  const qb__sustained compute[] = {{QB_ISA_AVX2, 1, 1e11}, {QB_ISA_AVX2, 4, 4e11}};
  qb_node_info node_info = QB_NODE_INFO_INIT;
  node_info.cpu = "random";
  node_info.isa = QB_ISA_AVX2;
  node_info.hardware_threads = node_info.cores = node_info.usable_threads = 4;
  node_info.quota_cores = 4;
  node_info.numa_nodes = 1;
  node_info.price_per_hour = random_int(seed, 0, 1) ? random_unit(seed) : 0;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.model = "random";
  info.engine = "none";
  info.library = "test";
  info.flops_per_sample = 1e9;
  info.least_flops_per_sample = 1e9 / 3;
  qb_profile_point *points = calloc(3 * max_batch, sizeof *points);
  size_t count = 0;
  const uint64_t first = random_int(seed, 0, 4);
  for (uint64_t k = 0, all = random_int(seed, 1, 3); points && k < all; k++) {
    const qb_configuration *c = &kinds[(first + k) % 5];
    const uint32_t most = (uint32_t)random_int(seed, 1, max_batch);
    count += add_curve(seed, c->instances, c->threads, most, points + count);
  }
  qb_node *node = NULL;
  qb_profile *profile = NULL;
  if (!points || qb__node_new(context, &node_info, compute, 2, NULL, 0, &node) ||
      qb__profile_new(context, node, &info, 1e6, points, count, &profile))
    abort();
  const qb__operator_work work[3] = {{1e9, 1e6, 4e6}, {0, 2e6, 0}, {1e8, 1e3, 1e6}};
  const qb__layer_algorithm last =
      random_int(seed, 0, 1) ? QB__ALGORITHM_ROWS : QB__ALGORITHM_COLUMNS;
  qb__layer_algorithm layers[3] = {QB__ALGORITHM_WINOGRAD, QB__ALGORITHM_UNKNOWN, last};
  uint32_t checked[2] = {1, (uint32_t)random_int(seed, 2, QB_MAX_BATCH)};
  qb__passed_over wrong[1] = {{1, "jit:wrong"}};
  const qb__findings findings = {.count = random_int(seed, 0, 1),
                                 .passed_over = wrong,
                                 .checked_count = random_int(seed, 0, 2),
                                 .checked = checked};
  const qb__algorithms algorithms = {layers, (uint32_t)random_int(seed, 0, 9), UINT32_MAX,
                                     findings};
  if (qb__profile_set_operators(profile, work, 3) ||
      qb__profile_add_algorithms(profile, &(qb_configuration){1, 1}, &algorithms, 3) ||
      qb__profile_add_algorithms(profile, &(qb_configuration){1, 4}, &algorithms, 3))
    abort();
  qb_node_unref(node);
  free(points);
  return profile;
}
