/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/estimate.h"

#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "estimate/curve.h"
#include "profile/profile_impl.h"

#include <math.h>

/* 95 % half-width of a time carried over from another configuration, as a logarithm. */
static const double TRANSFERRED = 0.25;

const char *qb_source_name(qb_source source)
{
  static const char *const names[] = {"unknown", "measured", "interpolated", "extrapolated",
                                      "transferred"};
  const size_t i = (size_t)source;
  return i < sizeof names / sizeof *names ? names[i] : "unknown";
}

const char *qb_bound_name(qb_bound bound)
{
  return bound == QB_BOUND_COMPUTE ? "compute" : bound == QB_BOUND_MEMORY ? "memory" : "unknown";
}

size_t qb__configuration_count(const qb_profile *profile)
{
  return profile->info.configurations;
}

static bool same_configuration(const qb_profile_point *a, const qb_profile_point *b)
{
  return a->configuration.instances == b->configuration.instances &&
         a->configuration.threads == b->configuration.threads;
}

void qb__configuration_at(const qb_profile *profile, size_t index, qb_configuration *configuration,
                          uint32_t *max_batch)
{
  const qb_profile_point *points = profile->points;
  size_t first = 0, end = 0;
  for (;; index--) {
    first = end;
    while (end < profile->point_count && same_configuration(&points[first], &points[end]))
      end++;
    if (index == 0 || end == profile->point_count)
      break;
  }
  *configuration = points[first].configuration;
  *max_batch = points[end - 1].batch;
}

/* The measured configuration with the most samples per second. */
static qb_configuration best_configuration(const qb_profile *profile)
{
  const qb_profile_point *best = profile->points;
  double best_per_s = 0;
  for (size_t i = 0; i < profile->point_count; i++) {
    const qb_profile_point *p = &profile->points[i];
    const double per_s = (double)p->configuration.instances * p->batch / (double)p->latency_ns;
    if (per_s > best_per_s) {
      best_per_s = per_s;
      best = p;
    }
  }
  return best->configuration;
}

/* The measured configuration nearest in the number of all threads, then of those of an instance. */
static const qb_profile_point *nearest_curve(const qb_profile *profile,
                                             const qb_configuration *wanted, size_t *count)
{
  const qb_profile_point *nearest = profile->points;
  double least = INFINITY;
  for (size_t i = 0; i < profile->point_count; i++) {
    const qb_configuration *c = &profile->points[i].configuration;
    const double all = fabs(log((double)c->instances * c->threads) -
                            log((double)wanted->instances * wanted->threads));
    const double each = fabs(log(c->threads) - log(wanted->threads));
    if (all + 1e-3 * each < least) {
      least = all + 1e-3 * each;
      nearest = &profile->points[i];
    }
  }
  return qb__profile_curve(profile, nearest->configuration.instances,
                           nearest->configuration.threads, count);
}

/*
 * c and m of one instance while all of them run; what was not measured is 1 FLOP/s, so that p is
 * defined on every node, and 0 B/s.
 */
static void instance_share(const qb_node *node, const qb_configuration *k, double *flops,
                           double *bytes_per_s)
{
  const uint64_t all = (uint64_t)k->instances * k->threads;
  const uint32_t threads = all < UINT32_MAX ? (uint32_t)all : UINT32_MAX;
  if (qb_node_compute_flops(node, threads, QB_ISA_BEST, flops))
    *flops = k->instances;
  if (qb_node_bandwidth(node, threads, bytes_per_s))
    *bytes_per_s = 0;
  *flops /= k->instances;
  *bytes_per_s /= k->instances;
}

/* The larger part of the roofline (Williams, Waterman and Patterson, CACM 52(4), 2009). */
static qb_bound find_bound(const qb_profile *profile, uint32_t batch, double flops,
                           double bytes_per_s)
{
  const double work = profile->info.flops_per_sample * batch;
  const double bytes = (double)profile->info.weight_bytes + profile->bytes_per_sample * batch;
  if (!(work > 0) || !(bytes > 0) || !(bytes_per_s > 0) || flops <= 1)
    return QB_BOUND_UNKNOWN;
  return work / flops >= bytes / bytes_per_s ? QB_BOUND_COMPUTE : QB_BOUND_MEMORY;
}

qb_status qb_estimate(const qb_profile *profile, const qb_configuration *configuration,
                      uint32_t batch, qb_latency_estimate *estimate)
{
  if (!profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "profile is NULL");
  qb_status status = qb__struct_check_out(estimate, sizeof *estimate, "qb_latency_estimate");
  qb_configuration k = QB_CONFIGURATION_INIT;
  if (!status && configuration)
    status = qb__struct_in(&k, sizeof k, sizeof k, configuration, "qb_configuration");
  else if (!status)
    k = best_configuration(profile);
  if (status)
    return status;
  if (batch < 1 || batch > QB_MAX_BATCH)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "batch %u is outside 1..%u", batch, QB_MAX_BATCH);
  if (k.instances < 1 || k.instances > 65536 || k.threads < 1 || k.threads > 65536)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%u instances of %u threads: both must be 1..65536",
                    k.instances, k.threads);

  double flops, bytes_per_s;
  instance_share(profile->node, &k, &flops, &bytes_per_s);
  size_t count;
  const qb_profile_point *points = qb__profile_curve(profile, k.instances, k.threads, &count);
  const bool measured = count > 0;
  if (!measured)
    points = nearest_curve(profile, &k, &count);
  qb__curve_value value = qb__curve_at(points, count, batch);
  if (!measured) {
    /* The density is carried over, so times go with the compute power: T' = T * c / c'. */
    double from_flops, ignored;
    instance_share(profile->node, &points->configuration, &from_flops, &ignored);
    const double ratio = from_flops / flops;
    value.latency_ns *= ratio;
    value.p95_ns *= ratio;
    value.low_ns *= ratio * exp(-TRANSFERRED);
    value.high_ns *= ratio * exp(TRANSFERRED);
    value.source = QB_SOURCE_TRANSFERRED;
  }
  const double work = profile->info.flops_per_sample > 0 ? profile->info.flops_per_sample : 1;
  const qb_latency_estimate found = {.size = sizeof found,
                                     .configuration = k,
                                     .batch = batch,
                                     .source = value.source,
                                     .latency_ns = qb__clamp_i64(value.latency_ns),
                                     .low_ns = qb__clamp_i64(value.low_ns),
                                     .high_ns = qb__clamp_i64(value.high_ns),
                                     .p95_ns = qb__clamp_i64(value.p95_ns),
                                     .throughput_per_s =
                                         (double)k.instances * batch / value.latency_ns * 1e9,
                                     .density = value.latency_ns * 1e-9 * flops / (batch * work),
                                     .compute_flops = flops,
                                     .memory_bytes = (uint64_t)fmax(value.memory_bytes, 0),
                                     .bound = find_bound(profile, batch, flops, bytes_per_s)};
  qb__struct_out(estimate, &found, sizeof found);
  return QB_OK;
}
