/* SPDX-License-Identifier: Apache-2.0 */
#include "place/rounds.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "estimate/density.h"
#include "estimate/estimate.h"
#include "node/node_impl.h"
#include "plan/demand.h"
#include "profile/profile_impl.h"

#include <math.h>
#include <string.h>

/* 95 % half-width of a time carried over from another node, as a logarithm. */
static const double TRANSFERRED = 0.25;

/* Quantiles of the normal distribution: two-sided 95 %, one-sided 95 %. */
static const double TWO_SIDED = 1.959964, ONE_SIDED = 1.644854;

static qb_status rounds_init(qb__rounds *rounds, const qb_profile *profile, uint32_t max_batch)
{
  const size_t count = (size_t)max_batch + 1;
  double *values = qb__calloc(profile->context, 5 * count, sizeof *values);
  if (!values)
    return QB_ERROR_NO_MEMORY;
  rounds->max_batch = max_batch;
  rounds->time_ns = values;
  rounds->error_ns = values + count;
  rounds->noise_ns = values + 2 * count;
  rounds->memory_share = values + 3 * count;
  rounds->memory_bytes = (uint64_t *)(values + 4 * count);
  return QB_OK;
}

/* The share of bandwidth in the time that the roofline's two parts take one after the other. */
static double memory_share(const qb_profile *profile, double flops, double bytes_per_s,
                           uint32_t batch)
{
  const double bytes = (double)profile->info.weight_bytes + profile->bytes_per_sample * batch;
  const double work = profile->info.flops_per_sample * batch;
  if (!(flops > 0) || !(bytes_per_s > 0) || !(work > 0))
    return 0;
  const double memory_s = bytes / bytes_per_s;
  return memory_s / (memory_s + work / flops);
}

static qb_status fill(qb__rounds *rounds, const qb_profile *profile)
{
  const qb_configuration *k = &rounds->configuration;
  double flops, bytes_per_s;
  if (qb_node_compute_flops(profile->node, k->instances * k->threads, QB_ISA_BEST, &flops))
    flops = 0;
  if (qb_node_bandwidth(profile->node, k->instances * k->threads, &bytes_per_s))
    bytes_per_s = 0;
  rounds->flops = flops / k->instances;
  for (uint32_t n = 1; n <= rounds->max_batch; n++) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    const qb_status status = qb_estimate(profile, k, n, &e);
    if (status)
      return status;
    rounds->time_ns[n] = (double)e.mean_ns;
    rounds->error_ns[n] = (double)(e.high_ns - e.latency_ns) / TWO_SIDED;
    rounds->noise_ns[n] = fmax(0, (double)(e.p95_ns - e.mean_ns)) / ONE_SIDED;
    rounds->memory_bytes[n] = e.memory_bytes;
    rounds->memory_share[n] = memory_share(profile, rounds->flops, bytes_per_s / k->instances, n);
  }
  return QB_OK;
}

qb_status qb__rounds_set_init(qb__rounds_set *set, const qb_profile *profile)
{
  *set = (qb__rounds_set){.profile = profile, .count = qb__configuration_count(profile)};
  set->rounds = qb__calloc(profile->context, set->count, sizeof *set->rounds);
  qb_status status = set->rounds ? QB_OK : QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < set->count && !status; i++) {
    uint32_t max_batch;
    qb__configuration_at(profile, i, &set->rounds[i].configuration, &max_batch);
    status = rounds_init(&set->rounds[i], profile, max_batch);
    if (!status)
      status = fill(&set->rounds[i], profile);
  }
  if (status)
    qb__rounds_set_free(set);
  return status;
}

qb_status qb__rounds_set_like(qb__rounds_set *set, const qb__rounds_set *like)
{
  *set = (qb__rounds_set){.profile = like->profile, .count = like->count};
  set->rounds = qb__calloc(like->profile->context, set->count, sizeof *set->rounds);
  qb_status status = set->rounds ? QB_OK : QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < set->count && !status; i++)
    status = rounds_init(&set->rounds[i], like->profile, like->rounds[i].max_batch);
  if (status)
    qb__rounds_set_free(set);
  return status;
}

void qb__rounds_set_free(qb__rounds_set *set)
{
  for (size_t i = 0; set->rounds && i < set->count; i++)
    qb__free(set->profile->context, set->rounds[i].time_ns);
  if (set->profile)
    qb__free(set->profile->context, set->rounds);
  *set = (qb__rounds_set){0};
}

/* c of a core of the profile's node with all cores busy; 0 if not known. */
static double flops_per_core(const qb_profile *profile)
{
  const qb_node_info *node = &profile->node->info;
  return node->compute_flops / node->usable_threads;
}

qb_status qb__profiles_of_one_model(const qb_profile *const *profiles, size_t profile_count)
{
  const qb_status status = qb__profiles_check(profiles, profile_count);
  if (status)
    return status;
  for (size_t i = 1; i < profile_count; i++)
    if (!qb__profiles_same_network(&profiles[i]->info, &profiles[0]->info))
      return qb__fail(QB_ERROR_MISMATCH,
                      "profiles[%zu] is of '%.64s', profiles[0] of '%.64s'; plan one model at a "
                      "time",
                      i, profiles[i]->info.model, profiles[0]->info.model);
  return QB_OK;
}

qb_status qb__profile_for_type(const qb_node_type *type, const qb_profile *const *profiles,
                               size_t profile_count, size_t *index, bool *own)
{
  const uint32_t cores = qb_node_type_cores(type);
  const double flops = type->compute_flops / cores;
  size_t best = profile_count;
  double least = INFINITY;
  for (size_t i = 0; i < profile_count; i++) {
    const qb_node_info *node = &profiles[i]->node->info;
    const bool same_cpu = *type->cpu && !strcmp(type->cpu, node->cpu);
    if (same_cpu && node->usable_threads == cores) {
      *index = i;
      *own = true;
      return QB_OK;
    }
    if (!(flops > 0) || !(flops_per_core(profiles[i]) > 0))
      continue;
    /* Another size of the same processor is nearer than any other processor. */
    const double distance = fabs(log(flops_per_core(profiles[i]) / flops)) + (same_cpu ? 0 : 100) +
                            1e-3 * fabs(log((double)node->usable_threads / cores));
    if (distance < least) {
      least = distance;
      best = i;
    }
  }
  if (best == profile_count)
    return qb__fail(QB_ERROR_NOT_FOUND,
                    "type '%.64s': no profile was measured on its processor ('%.64s', %u cores), "
                    "and none can be transferred, as compute_flops of %s is not known; run "
                    "'qosbatch node' there, or profile there",
                    type->name, type->cpu, cores, flops > 0 ? "the profiles' nodes" : "the type");
  *index = best;
  *own = false;
  return QB_OK;
}

typedef struct carried {
  qb_configuration configuration;
  double compute, memory; /* factors of the two parts of the time */
} carried;

static carried carry(const qb_profile *profile, const qb_configuration *from, double flops,
                     const qb_node_type *type)
{
  const qb_node_info *node = &profile->node->info;
  const uint32_t cores = qb_node_type_cores(type), threads = from->threads;
  carried c = {.configuration = {1, threads < cores ? threads : cores}};
  qb_configuration *to = &c.configuration;
  const double used = fmin(1, (double)from->instances * threads / node->usable_threads);
  const uint32_t instances = (uint32_t)(used * cores / to->threads + 1e-9);
  to->instances = instances && type->billing.kind == QB_BILLING_TIME ? instances : 1;
  /* Types have no quota: of what was measured under one this part is left. */
  const double share = qb__quota_share(profile->node, from);
  c.compute = share * flops / (type->compute_flops / cores * to->threads);
  /* Bandwidth saturates; the type's is taken to do so as the node's does. */
  const bool known = node->memory_bytes_per_s > 0 && type->memory_bytes_per_s > 0;
  c.memory = known ? share * node->memory_bytes_per_s / type->memory_bytes_per_s * to->instances /
                         from->instances
                   : c.compute;
  return c;
}

static uint64_t memory_of(const qb_profile *profile, uint64_t bytes, uint32_t from, uint32_t to)
{
  const uint64_t weights = bytes < profile->info.weight_bytes ? bytes : profile->info.weight_bytes;
  return weights + (uint64_t)((double)(bytes - weights) * to / from);
}

void qb__rounds_transfer(const qb__rounds_set *from, const qb_node_type *type, qb__rounds_set *to)
{
  for (size_t i = 0; i < from->count; i++) {
    const qb__rounds *a = &from->rounds[i];
    qb__rounds *b = &to->rounds[i];
    const carried c = carry(from->profile, &a->configuration, a->flops, type);
    b->configuration = c.configuration;
    b->flops = a->flops / c.compute;
    for (uint32_t n = 1; n <= a->max_batch; n++) {
      const double factor = c.compute + a->memory_share[n] * (c.memory - c.compute);
      const double time = a->time_ns[n] * factor;
      b->time_ns[n] = time > b->time_ns[n - 1] ? time : b->time_ns[n - 1];
      b->error_ns[n] = a->error_ns[n] * factor + b->time_ns[n] * (TRANSFERRED / TWO_SIDED);
      b->noise_ns[n] = a->noise_ns[n] * factor;
      b->memory_bytes[n] = memory_of(from->profile, a->memory_bytes[n], a->configuration.instances,
                                     b->configuration.instances);
    }
  }
}

/* With the type's price and memory, and its c and m unless the profile's node is one of the type. */
static qb_status node_of_type(const qb_profile *profile, const qb_node_type *type, bool own,
                              qb_node **node)
{
  const qb_node *from = profile->node;
  const uint32_t cores = qb_node_type_cores(type);
  qb_node_info info = from->info;
  info.memory_bytes = type->memory_bytes;
  info.price_per_hour = type->billing.price_per_hour;
  if (own)
    return qb__node_new(profile->context, &info, from->compute, from->compute_count,
                        from->bandwidth, from->bandwidth_count, node);
  info.cpu = type->cpu;
  info.cores = info.usable_threads = cores;
  info.hardware_threads = type->vcpus > cores ? type->vcpus : cores;
  info.quota_cores = info.hardware_threads;
  const qb__sustained compute[] = {{info.isa, 1, type->compute_flops / cores},
                                   {info.isa, cores, type->compute_flops}};
  const qb__sustained bandwidth[] = {{QB_ISA_BEST, cores, type->memory_bytes_per_s}};
  const size_t skipped = cores == 1;
  return qb__node_new(profile->context, &info, compute + skipped, 2 - skipped, bandwidth,
                      type->memory_bytes_per_s > 0, node);
}

static bool has_point(const qb_profile_point *points, size_t count, const qb_profile_point *p)
{
  for (size_t i = 0; i < count; i++)
    if (points[i].batch == p->batch &&
        points[i].configuration.instances == p->configuration.instances &&
        points[i].configuration.threads == p->configuration.threads)
      return true;
  return false;
}

static qb_profile_point carry_point(const qb_profile *profile, const qb_profile_point *from,
                                    const qb_node_type *type)
{
  const qb_configuration *k = &from->configuration;
  double flops = 0, bytes_per_s = 0;
  (void)qb_node_compute_flops(profile->node, k->instances * k->threads, QB_ISA_BEST, &flops);
  (void)qb_node_bandwidth(profile->node, k->instances * k->threads, &bytes_per_s);
  flops /= k->instances;
  bytes_per_s /= k->instances;
  const carried c = carry(profile, k, flops, type);
  const double share = memory_share(profile, flops, bytes_per_s, from->batch);
  const double factor = (c.compute + share * (c.memory - c.compute)) * exp(TRANSFERRED);
  qb_profile_point to = *from;
  to.configuration = c.configuration;
  const bool throttled = qb__quota_share(profile->node, k) < 1; /* which the mean alone tells */
  const int64_t from_ns = throttled ? from->mean_ns : from->latency_ns;
  to.latency_ns = qb__clamp_i64(fmax(1, (double)(throttled ? from_ns : from->high_ns) * factor));
  to.low_ns = qb__clamp_i64(fmax(1, (double)from->low_ns * factor * exp(-2 * TRANSFERRED)));
  to.high_ns = to.latency_ns;
  const double ratio = (double)to.latency_ns / (double)from_ns;
  to.p95_ns = qb__clamp_i64((double)from->p95_ns * ratio);
  to.mean_ns = qb__clamp_i64((double)from->mean_ns * ratio);
  to.memory_bytes =
      memory_of(profile, from->memory_bytes, k->instances, to.configuration.instances);
  return to;
}

qb_status qb__profile_of_type(const qb_profile *profile, const qb_node_type *type, bool own,
                              qb_profile **made)
{
  qb_profile_point *points = qb__calloc(profile->context, profile->point_count, sizeof *points);
  qb_node *node = NULL;
  qb_status status = points ? node_of_type(profile, type, own, &node) : QB_ERROR_NO_MEMORY;
  size_t count = 0;
  for (size_t i = 0; i < profile->point_count && !status; i++) {
    const qb_profile_point *from = &profile->points[i];
    const bool one_call = type->billing.kind == QB_BILLING_CALLS;
    if (own && one_call && from->configuration.instances > 1)
      continue;
    points[count] = own ? *from : carry_point(profile, from, type);
    /* On fewer cores two configurations may become one: the first is kept. */
    count += !has_point(points, count, &points[count]);
  }
  if (!status)
    status = qb__profile_new(profile->context, node, &profile->info, profile->bytes_per_sample,
                             points, count, made);
  qb_node_unref(node);
  qb__free(profile->context, points);
  return status;
}
