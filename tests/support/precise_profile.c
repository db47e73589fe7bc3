/* SPDX-License-Identifier: Apache-2.0 */
#include "support/precise_profile.h"

#include "node/node_impl.h"
#include "profile/profile_impl.h"
#include "support/random_profile.h"

#include <stdlib.h>
#include <string.h>

static void add_precision(qb_profile_point *points, size_t count, qb_precision precision,
                          double factor)
{
  for (size_t i = 0; i < count; i++) {
    qb_profile_point *p = &points[count * precision + i];
    *p = points[i];
    p->configuration.precision = precision;
    p->latency_ns = (int64_t)((double)p->latency_ns * factor);
    p->low_ns = (int64_t)((double)p->low_ns * factor);
    p->high_ns = (int64_t)((double)p->high_ns * factor) + 1;
    p->p95_ns = (int64_t)((double)p->p95_ns * factor) + 1;
    p->mean_ns = (int64_t)((double)p->mean_ns * factor) + 1;
    p->memory_bytes /= precision == QB_PRECISION_INT8 ? 4 : 2;
  }
}

static qb_node *node_with_features(qb_context *context, const qb_node *like)
{
  const qb__sustained compute[] = {
      {QB_ISA_AVX2, 1, 1e11},
      {QB_ISA_AVX2, 4, 4e11},
      {QB_ISA_AVX2, 1, 4e11, QB_PRECISION_INT8},
      {QB_ISA_AVX2, 4, 16e11, QB_PRECISION_INT8},
  };
  qb_node_info info = like->info;
  info.features = QB_FEATURE_VNNI | QB_FEATURE_BF16;
  qb_node *node;
  if (qb__node_new(context, &info, compute, 4, NULL, 0, &node))
    abort();
  return node;
}

qb_profile *precise_profile(qb_context *context, uint64_t *seed, uint32_t max_batch,
                            qb_profile **all)
{
  qb_profile *random = random_profile(context, seed, max_batch), *f32, *made;
  qb_node *node = node_with_features(context, random->node);
  const size_t count = random->point_count;
  qb_profile_point *points = calloc(3 * count, sizeof *points);
  if (!points)
    abort();
  memcpy(points, random->points, count * sizeof *points);
  for (qb_precision p = QB_PRECISION_BF16; p <= QB_PRECISION_INT8; p++)
    add_precision(points, count, p, 0.2 + random_unit(seed));
  const qb_accuracy accuracies[] = {{.size = sizeof(qb_accuracy),
                                     .precision = QB_PRECISION_BF16,
                                     .samples = 1000,
                                     .agreeing = random_int(seed, 950, 1000)},
                                    {.size = sizeof(qb_accuracy),
                                     .precision = QB_PRECISION_INT8,
                                     .needs_vnni = random_int(seed, 0, 1),
                                     .samples = 1000,
                                     .agreeing = random_int(seed, 950, 1000)}};
  if (qb__profile_new(context, node, &random->info, 1e6, points, count, &f32) ||
      qb__profile_new(context, node, &random->info, 1e6, points, 3 * count, &made) ||
      qb_profile_with_accuracy(made, accuracies, 2, all))
    abort();
  free(points);
  qb_profile_unref(random);
  qb_profile_unref(made);
  qb_node_unref(node);
  return f32;
}
