/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/splits.h"

#include "model/model_data.h"
#include "node/measuring.h"

#include <qosbatch/inspect.h>

#include <math.h>

/* A sample of a network of which the work is not known. */
static const double ANY_FLOPS = 1e9;

static bool contains(const qb_configuration *splits, size_t count, uint32_t instances,
                     uint32_t threads)
{
  for (size_t i = 0; i < count; i++)
    if (splits[i].instances == instances && splits[i].threads == threads)
      return true;
  return false;
}

static void add(qb_configuration splits[QB__MOST_SPLITS], size_t *count, uint32_t instances,
                uint32_t threads)
{
  if (*count == QB__MOST_SPLITS || contains(splits, *count, instances, threads))
    return;
  splits[(*count)++] = (qb_configuration){instances, threads};
}

/* Whether some divisor of the total is within a factor of 1.5 of `threads`. */
static bool divisor_is_near(uint32_t total, uint32_t threads)
{
  for (uint32_t d = 1; d <= total; d++)
    if (total % d == 0 && 3 * (uint64_t)d >= 2 * (uint64_t)threads &&
        2 * (uint64_t)d <= 3 * (uint64_t)threads)
      return true;
  return false;
}

/* `total` threads, of which a NUMA node has `per_node`. */
static void divide(qb_configuration splits[QB__MOST_SPLITS], size_t *count, uint32_t total,
                   uint32_t per_node)
{
  uint32_t threads[QB__MOST_THREAD_COUNTS];
  const size_t sizes = qb__thread_counts(total < per_node ? total : per_node, threads);
  for (size_t i = 0; i < sizes; i++) {
    const uint32_t instances = total / threads[i];
    const bool straddles = total > per_node && per_node % threads[i];
    const bool even = total % threads[i] == 0;
    const bool most = 4 * (uint64_t)instances * threads[i] >= 3 * (uint64_t)total;
    if (!straddles && (even || (most && !divisor_is_near(total, threads[i]))))
      add(splits, count, instances, threads[i]);
  }
}

size_t qb__splits_of(const qb_node_info *node, qb_configuration splits[QB__MOST_SPLITS])
{
  const uint32_t all = node->usable_threads;
  const uint32_t nodes = node->numa_nodes ? node->numa_nodes : 1;
  const uint32_t per_node = nodes <= node->cores ? node->cores / nodes : all;
  const uint32_t quota = (uint32_t)fmin(node->quota_cores, all);
  const uint32_t totals[] = {all, quota, all / 2};
  size_t count = 0;
  add(splits, &count, all, 1);
  if (all > per_node && all % per_node == 0)
    add(splits, &count, all / per_node, per_node);
  else if (all <= per_node)
    add(splits, &count, 1, all);
  for (size_t i = 0; i < sizeof totals / sizeof *totals; i++)
    if (totals[i] > 1)
      divide(splits, &count, totals[i], per_node);
  add(splits, &count, 1, 1);
  return count;
}

double qb__split_prior_ns(const qb_model *model, const qb_node *node, const qb_configuration *split,
                          uint32_t batch)
{
  const uint32_t all = split->instances * split->threads;
  const bool known = qb__model_info(model)->flops_per_sample > 0;
  double flops = 0, bytes_per_s, weight_bytes_per_s;
  if (qb_node_get_compute(node, all, QB_ISA_BEST, split->precision, &flops))
    flops = all;
  double time_s = batch * (known ? qb__model_info(model)->flops_per_sample : ANY_FLOPS) *
                  split->instances / flops;
  if (!qb_node_get_bandwidth(node, all, &bytes_per_s) &&
      !qb_node_get_bandwidth(node, split->threads, &weight_bytes_per_s))
    time_s += batch * qb__model_bytes_per_sample(model) * split->instances / bytes_per_s +
              (double)qb__model_info(model)->weight_bytes / weight_bytes_per_s;
  return 1e9 * time_s;
}
