/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/estimate.h"

#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "estimate/curve.h"
#include "estimate/density.h"
#include "model/configuration.h"

#include <math.h>
#include <string.h>

/*
 * 95 % half-widths of a time carried over, as logarithms: to other threads and instances of the
 * same cores, and to other cores or instruction sets, whose kernels may be better or worse ones.
 */
static const double OTHER_CONFIGURATION = 0.12, OTHER_CORES = 0.25;

/*
 * What kernels make of c where they have no fused multiply-add, next to what those with it do: two
 * operands an instruction leave room for copies, which c does not know of (docs/estimates.md).
 */
static const double SHARE_WITHOUT_FMA = 0.85;

/*
 * What a doubling of an instance's threads loses: all wait for the slowest at the end of every operator,
 * and work does not always divide evenly, of which c, the sum of what threads do alone, knows nothing
 * (docs/estimates.md).
 */
static const double TEAM_LOSS = 0.03;

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
 * The instruction set that an engine's kernels use where `isa` is the best there is. oneDNN has
 * kernels for SSE4.1, AVX2 and AVX-512: a convolution limited to AVX runs those for SSE4.1.
 */
static qb_isa isa_of_kernels(const qb_profile *profile, const qb_node *node, qb_isa isa)
{
  qb_node_info info = QB_NODE_INFO_INIT;
  if (qb_node_get_info(node, &info))
    return isa;
  const qb_isa use = isa == QB_ISA_BEST || isa > info.isa ? info.isa : isa;
  return use == QB_ISA_AVX && !strncmp(profile->info.engine, "oneDNN", 6) ? QB_ISA_SSE41 : use;
}

/* What kernels reach of what was measured of the cores. */
static qb__power power_of_kernels(const qb__power *power, qb_isa isa)
{
  qb__power reached = *power;
  if (isa == QB_ISA_SSE41 || isa == QB_ISA_AVX)
    reached.flops *= SHARE_WITHOUT_FMA;
  return reached;
}

static double team_loss(uint32_t threads)
{
  return 1 + TEAM_LOSS * log2(threads);
}

/*
 * Under a quota an undisturbed round may run in full, and only the mean tells what rounds take: without
 * the quota that is what all of them would.
 */
static void take_quota_off(double share, qb__curve_value *value)
{
  if (share >= 1)
    return;
  const double full = share * value->mean_ns / value->latency_ns;
  value->latency_ns *= full;
  value->low_ns *= full;
  value->high_ns *= full;
  value->mean_ns *= share;
  value->p95_ns *= share;
}

/*
 * Carries a time over by the ratio of what arithmetic and traffic take one after the other, as
 * neither hides much of the other in kernels, and of what else takes so many times as long there. The
 * rest is the engine's and the network's, and stays. Where the work is not known, c alone tells.
 */
static void carry_over(const qb_profile *profile, uint32_t batch, const qb__power *from,
                       const qb__power *to, double longer, double uncertainty,
                       qb__curve_value *value)
{
  const double there_s = qb__roofline_of(profile, batch, from).serial_s;
  const double here_s = qb__roofline_of(profile, batch, to).serial_s;
  const double ratio = longer * (there_s > 0 ? here_s / there_s : from->flops / to->flops);
  const double below = log(value->latency_ns / value->low_ns);
  const double above = log(value->high_ns / value->latency_ns);
  value->latency_ns *= ratio;
  value->p95_ns *= ratio;
  value->mean_ns *= ratio;
  value->low_ns = value->latency_ns * exp(-hypot(below, uncertainty));
  value->high_ns = value->latency_ns * exp(hypot(above, uncertainty));
  value->source = QB_SOURCE_TRANSFERRED;
}

static qb_status check_arguments(const qb_profile *profile, const qb_configuration *configuration,
                                 uint32_t batch, const qb_latency_estimate *estimate,
                                 qb_configuration *k)
{
  if (!profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "profile is NULL");
  qb_status status = QB__STRUCT_CHECK_OUT(qb_latency_estimate, estimate);
  if (!status && configuration)
    status = qb__configuration_check(configuration);
  if (status)
    return status;
  *k = configuration ? *configuration : best_configuration(profile);
  if (batch < 1 || batch > QB_MAX_BATCH)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "batch %u is outside 1..%u", batch, QB_MAX_BATCH);
  return QB_OK;
}

qb_status qb_estimate_on(const qb_profile *profile, const qb_node *node, qb_isa isa,
                         const qb_configuration *configuration, uint32_t batch,
                         qb_latency_estimate *estimate)
{
  qb_configuration k = {1, 1};
  const qb_status status = check_arguments(profile, configuration, batch, estimate, &k);
  if (status)
    return status;
  const qb_node *here = node ? node : profile->node;
  const qb_isa isa_there = isa_of_kernels(profile, profile->node, QB_ISA_BEST);
  const qb_isa isa_here = isa_of_kernels(profile, here, isa);
  double ignored;
  const bool same_cores = here == profile->node && isa_here == isa_there;
  if (!same_cores && qb_node_compute_flops(here, 1, isa_here, &ignored))
    return qb__fail(QB_ERROR_NOT_FOUND,
                    "the node's compute power with %s was not measured; measure it there with "
                    "qb_node_detect()",
                    qb_isa_name(isa_here));

  const qb__power power = qb__instance_power(here, isa_here, &k);
  size_t count;
  const qb_profile_point *points = qb__profile_curve(profile, k.instances, k.threads, &count);
  const bool measured = count > 0 && same_cores;
  if (!count)
    points = nearest_curve(profile, &k, &count);
  qb__curve_value value = qb__curve_at(points, count, batch);
  if (!measured) {
    const qb__power measured_on =
        qb__instance_power(profile->node, isa_there, &points->configuration);
    const qb__power from = power_of_kernels(&measured_on, isa_there);
    const qb__power to = power_of_kernels(&power, isa_here);
    const double teams = team_loss(k.threads) / team_loss(points->configuration.threads);
    take_quota_off(qb__quota_share(profile->node, &points->configuration), &value);
    carry_over(profile, batch, &from, &to, teams / qb__quota_share(here, &k),
               same_cores ? OTHER_CONFIGURATION : OTHER_CORES, &value);
  }
  const double work = profile->info.flops_per_sample > 0 ? profile->info.flops_per_sample : 1;
  const qb__roofline roof = qb__roofline_of(profile, batch, &power);
  const double memory_share = roof.time_s > 0 ? roof.memory_s / roof.time_s : 0;
  const bool bound_known = roof.time_s > 0 && power.bytes_per_s > 0 && power.flops > 1;
  const qb_latency_estimate found = {
      .size = sizeof found,
      .configuration = k,
      .batch = batch,
      .source = value.source,
      .latency_ns = qb__clamp_i64(value.latency_ns),
      .low_ns = qb__clamp_i64(value.low_ns),
      .high_ns = qb__clamp_i64(value.high_ns),
      .p95_ns = qb__clamp_i64(value.p95_ns),
      .mean_ns = qb__clamp_i64(value.mean_ns),
      .throughput_per_s = (double)k.instances * batch / value.latency_ns * 1e9,
      .density = value.latency_ns * 1e-9 * power.flops / (batch * work),
      .compute_flops = power.flops,
      .memory_bytes = (uint64_t)fmax(value.memory_bytes, 0),
      .bound = !bound_known         ? QB_BOUND_UNKNOWN
               : memory_share > 0.5 ? QB_BOUND_MEMORY
                                    : QB_BOUND_COMPUTE,
      .memory_share = memory_share,
      .thread_flops = value.thread_flops};
  qb__struct_out(estimate, &found, sizeof found);
  return QB_OK;
}

qb_status qb_estimate(const qb_profile *profile, const qb_configuration *configuration,
                      uint32_t batch, qb_latency_estimate *estimate)
{
  return qb_estimate_on(profile, NULL, QB_ISA_BEST, configuration, batch, estimate);
}
