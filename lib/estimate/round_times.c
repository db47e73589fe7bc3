/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/round_times.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "estimate/estimate_law.h"
#include "estimate/normal.h"
#include "estimate/precision.h"
#include "model/configuration.h"
#include "profile/profile_data.h"
#include "profile/splits.h"

#include <math.h>

static int64_t longest(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

/*
 * A lognormal law of mean m and spread s has its 95th percentile at m exp(z s - s^2 / 2). The root
 * that is wanted is the smaller one; beyond the largest such percentile that of the largest is
 * taken.
 */
static double spread_of(double mean_ns, double p95_ns)
{
  const double z = QB__NORMAL_P95, above = fmax(log(p95_ns / mean_ns), 0);
  return z - sqrt(fmax(z * z - 2 * above, 0));
}

static void fill_row(const qb__estimate_law *law, qb__curve_value *value, uint32_t n,
                     qb__round_times *table)
{
  const int64_t high_ns = qb__clamp_i64(value->high_ns);
  qb__round_make_later(law, value);
  table->latency_ns[n] = qb__clamp_i64(value->latency_ns);
  table->low_ns[n] = qb__clamp_i64(value->low_ns);
  table->high_ns[n] = qb__clamp_i64(value->high_ns);
  table->mean_ns[n] = longest(qb__clamp_i64(value->mean_ns), table->mean_ns[n - 1]);
  table->p95_ns[n] = qb__clamp_i64(value->p95_ns);
  table->slow_ns[n] = longest(high_ns, longest(table->p95_ns[n], table->mean_ns[n]));
  table->memory_bytes[n] = (uint64_t)fmax(value->memory_bytes, 0);
  const double spread = spread_of((double)table->mean_ns[n], (double)table->p95_ns[n]);
  table->median_ns[n] = (int64_t)((double)table->mean_ns[n] * exp(-spread * spread / 2) + 0.5);
  table->spread[n] = spread;
}

static qb_status fill(const qb_profile *profile, const qb_node *node, qb__round_times *table)
{
  qb_where where = QB_WHERE_INIT;
  where.node = node;
  qb__estimate_law law;
  const qb_status status = qb__estimate_law_of(profile, &table->configuration, &where, &law);
  for (uint32_t n = 1; n <= table->max_batch && !status; n++) {
    qb__curve_value value = qb__round_at(&law, n);
    fill_row(&law, &value, n, table);
  }
  table->transferred = !status && law.carried;
  return status;
}

qb_status qb__round_times_init(const qb_profile *profile, const qb_node *node,
                               const qb_configuration *configuration, uint32_t max_batch,
                               qb__round_times *table)
{
  const size_t count = (size_t)max_batch + 1;
  int64_t *times = qb__calloc(qb__profile_context(profile), 9 * count, sizeof *times);
  if (!times)
    return QB_ERROR_NO_MEMORY;
  qb__round_times ours = {.configuration = *configuration,
                          .max_batch = max_batch,
                          .latency_ns = times,
                          .low_ns = times + count,
                          .high_ns = times + 2 * count,
                          .mean_ns = times + 3 * count,
                          .p95_ns = times + 4 * count,
                          .slow_ns = times + 5 * count,
                          .memory_bytes = (uint64_t *)(times + 6 * count),
                          .median_ns = times + 7 * count,
                          .spread = (double *)(times + 8 * count)};
  const qb_status status = fill(profile, node, &ours);
  if (status)
    qb__free(qb__profile_context(profile), times);
  else
    *table = ours;
  return status;
}

void qb__round_times_free(const qb_profile *profile, qb__round_times *table)
{
  qb__free(qb__profile_context(profile), table->latency_ns);
  *table = (qb__round_times){0};
}

size_t qb__configuration_count(const qb_profile *profile)
{
  return qb__profile_info(profile)->configurations;
}

void qb__configuration_at(const qb_profile *profile, size_t index, qb_configuration *configuration,
                          uint32_t *max_batch)
{
  const qb_profile_point *points = qb__profile_points(profile);
  size_t first = 0, end = 0;
  for (;; index--) {
    first = end;
    while (end < qb__profile_point_count(profile) &&
           !qb__configuration_compare(&points[first].configuration, &points[end].configuration))
      end++;
    if (index == 0 || end == qb__profile_point_count(profile))
      break;
  }
  *configuration = points[first].configuration;
  *max_batch = points[end - 1].batch;
}

/* A measured configuration on a node of so many cores. */
static void fill_cores(uint32_t measured_on, uint32_t cores, qb_configuration *k)
{
  const double used = fmin(1, (double)k->instances * k->threads / measured_on);
  k->threads = k->threads < cores ? k->threads : cores;
  const uint32_t instances = (uint32_t)(used * cores / k->threads + 1e-9);
  k->instances = instances ? instances : 1;
}

static bool has_table(const qb__round_set *set, const qb_configuration *k)
{
  for (size_t i = 0; i < set->count; i++)
    if (!qb__configuration_compare(&set->tables[i].configuration, k))
      return true;
  return false;
}

/* Only of a profile without 32-bit floats. */
static qb_status no_candidate(const qb_profile *profile, bool any)
{
  const char *model = qb__profile_info(profile)->model;
  if (any)
    return qb__fail(
        QB_ERROR_NOT_FOUND,
        "the profile of '%.64s' does not say that its precisions are accurate; profile it in "
        "f32, too",
        model);
  return qb__fail(QB_ERROR_NOT_FOUND,
                  "the profile of '%.64s' is in %s alone, for which a node has no instructions; "
                  "profile it in f32, too",
                  model, qb_precision_name(qb__profile_points(profile)->configuration.precision));
}

static qb_status add_table(qb__round_set *set, const qb_node *node, const qb_configuration *k,
                           uint32_t max_batch, double accuracy)
{
  const qb_status status =
      qb__round_times_init(set->profile, node, k, max_batch, &set->tables[set->count]);
  set->tables[set->count].accuracy = accuracy;
  set->count += !status;
  set->max_batch = max_batch > set->max_batch ? max_batch : set->max_batch;
  return status;
}

static bool is_known(const qb_profile *profile, qb_precision precision)
{
  double ignored;
  return !qb__precision_compute(qb__profile_node(profile), 1, QB_ISA_BEST, precision, &ignored);
}

bool qb__splits_are_missing(const qb_profile *profile)
{
  qb_node_info node = QB_NODE_INFO_INIT;
  qb_configuration splits[QB__MOST_SPLITS];
  size_t points;
  if (qb_node_get_info(qb__profile_node(profile), &node))
    return false;
  const size_t count = qb__splits_of(&node, splits);
  const qb_precision first = qb__profile_points(profile)->configuration.precision;
  for (size_t k = 0; k < count; k++) {
    splits[k].precision = first;
    (void)qb__profile_curve(profile, &splits[k], &points);
    if (!points)
      return is_known(profile, first);
  }
  return false;
}

/* Planned with what is expected of them: what they cost to be unsure of is what is asked. */
static void take_as_sure(qb__round_times *t)
{
  for (uint32_t n = 1; n <= t->max_batch; n++) {
    t->high_ns[n] = t->latency_ns[n];
    t->slow_ns[n] = longest(t->p95_ns[n], t->mean_ns[n]);
  }
}

/* Splits of the node that were not measured, in each precision that was. */
static qb_status add_unmeasured(qb__round_set *set, const qb_node_info *node)
{
  qb_configuration splits[QB__MOST_SPLITS];
  const size_t split_count = qb__splits_of(node, splits), measured = set->count;
  qb_status status = QB_OK;
  for (size_t i = 0; i < measured; i++)
    for (size_t k = 0; k < split_count && !status; k++) {
      const qb__round_times *like = &set->tables[i];
      splits[k].precision = like->configuration.precision;
      if (has_table(set, &splits[k]) || !is_known(set->profile, splits[k].precision))
        continue;
      status = add_table(set, NULL, &splits[k], like->max_batch, like->accuracy);
      if (!status)
        take_as_sure(&set->tables[set->count - 1]);
    }
  return status;
}

qb_status qb__round_set_init(const qb_profile *profile, const qb_node *node, bool single, bool any,
                             bool unmeasured, qb__round_set *set)
{
  const size_t measured = qb__configuration_count(profile);
  const size_t room = measured * (unmeasured ? 1 + (size_t)QB__MOST_SPLITS : 1);
  qb_node_info there = QB_NODE_INFO_INIT, here = QB_NODE_INFO_INIT;
  *set = (qb__round_set){.profile = profile,
                         .transferred = node && !qb__profile_is_of_node(profile, node)};
  qb_status status = qb_node_get_info(qb__profile_node(profile), &there);
  if (!status && set->transferred)
    status = qb_node_get_info(node, &here);
  if (!status &&
      !(set->tables = qb__calloc(qb__profile_context(profile), room, sizeof *set->tables)))
    status = QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < measured && !status; i++) {
    qb_configuration k;
    uint32_t max_batch;
    double accuracy;
    qb__configuration_at(profile, i, &k, &max_batch);
    if (!qb__precision_is_candidate(profile, node, any, k.precision, &accuracy))
      continue;
    if (set->transferred)
      fill_cores(there.usable_threads, here.usable_threads, &k);
    if (single)
      k.instances = 1;
    if (!has_table(set, &k))
      status = add_table(set, node, &k, max_batch, accuracy);
  }
  if (!status && !set->count)
    status = no_candidate(profile, any);
  if (!status && unmeasured && !set->transferred)
    status = add_unmeasured(set, &there);
  return status;
}

static void take_high(qb__round_times *t)
{
  for (uint32_t n = 1; n <= t->max_batch; n++) {
    const double factor = (double)t->high_ns[n] / (double)t->latency_ns[n];
    t->latency_ns[n] = t->high_ns[n];
    t->mean_ns[n] = longest(qb__clamp_i64((double)t->mean_ns[n] * factor), t->mean_ns[n - 1]);
    t->p95_ns[n] = qb__clamp_i64((double)t->p95_ns[n] * factor);
    t->median_ns[n] = qb__clamp_i64((double)t->median_ns[n] * factor);
    t->slow_ns[n] = longest(t->high_ns[n], longest(t->p95_ns[n], t->mean_ns[n]));
  }
}

void qb__round_set_take_high(qb__round_set *set)
{
  for (size_t i = 0; i < set->count; i++)
    take_high(&set->tables[i]);
}

void qb__round_set_free(qb__round_set *set)
{
  for (size_t i = 0; i < set->count; i++)
    qb__round_times_free(set->profile, &set->tables[i]);
  if (set->profile)
    qb__free(qb__profile_context(set->profile), set->tables);
  *set = (qb__round_set){0};
}
