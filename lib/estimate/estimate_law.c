/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/estimate_law.h"

#include "core/error.h"
#include "core/structs.h"
#include "estimate/precision.h"
#include "model/configuration.h"
#include "node/near_memory.h"
#include "node/node_data.h"

#include <qosbatch/inspect.h>

#include <math.h>
#include <string.h>

/*
 * 95 % half-widths of a time carried over, as logarithms: to other threads and instances of the
 * same cores, up to an octave of them and for each octave more, to other cores or instruction sets, whose kernels may be better or worse ones, and to
 * another precision, in which some layers may not be computed at all.
 */
static const double OTHER_CONFIGURATION = 0.12, OCTAVE_MORE = 0.15, OTHER_CORES = 0.25,
                    OTHER_PRECISION = 0.4;

/*
 * What kernels with 16 registers reach of c, next to those with 32: they hold smaller tiles, so that
 * each product costs more loads, of which c knows nothing (docs/estimates.md).
 */
static const double SHARE_WITH_16_REGISTERS = 0.85;

/* Farther than any other configuration of the same precision. */
static const double OTHER_PRECISION_IS_FAR = 1e3;

/*
 * What a doubling of an instance's threads loses: all wait for the slowest at the end of every
 * operator, and work does not always divide evenly, of which c, the sum of what threads do alone,
 * knows nothing (docs/estimates.md).
 */
static const double TEAM_LOSS = 0.03;

/* The measured configuration with the most samples per second, in the profile's first precision. */
static qb_configuration best_configuration(const qb_profile *profile)
{
  const qb_profile_point *best = qb__profile_points(profile);
  const qb_precision precision = best->configuration.precision;
  double best_per_s = 0;
  for (size_t i = 0; i < qb__profile_point_count(profile); i++) {
    const qb_profile_point *p = &qb__profile_points(profile)[i];
    if (p->configuration.precision != precision)
      break;
    const double per_s = (double)p->configuration.instances * p->batch / (double)p->latency_ns;
    if (per_s > best_per_s) {
      best_per_s = per_s;
      best = p;
    }
  }
  return best->configuration;
}

/*
 * The measured configuration nearest in the number of all threads, then of those of an instance; of
 * the same precision if any is, else of the profile's first.
 */
static const qb_profile_point *nearest_curve(const qb_profile *profile,
                                             const qb_configuration *wanted, size_t *count)
{
  const qb_profile_point *nearest = qb__profile_points(profile);
  double least = INFINITY;
  for (size_t i = 0; i < qb__profile_point_count(profile); i++) {
    const qb_configuration *c = &qb__profile_points(profile)[i].configuration;
    const double all = fabs(log((double)c->instances * c->threads) -
                            log((double)wanted->instances * wanted->threads));
    const double each = fabs(log(c->threads) - log(wanted->threads));
    const double other = c->precision == wanted->precision ? 0 : OTHER_PRECISION_IS_FAR;
    if (all + 1e-3 * each + other * (1 + c->precision) < least) {
      least = all + 1e-3 * each + other * (1 + c->precision);
      nearest = &qb__profile_points(profile)[i];
    }
  }
  return qb__profile_curve(profile, &nearest->configuration, count);
}

/* Whether the profile is of the built-in engine, not of a host's. */
static bool is_of_onednn(const qb_profile *profile)
{
  return !strncmp(qb__profile_info(profile)->engine, "oneDNN", 6);
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
  return use == QB_ISA_AVX && is_of_onednn(profile) ? QB_ISA_SSE41 : use;
}

/* What kernels of a configuration reach of what was measured of the cores. */
static qb__instance_roof roof_of_kernels(const qb_node *node, qb_isa isa, const qb_configuration *k)
{
  qb__instance_roof roof = qb__instance_roof_of(node, isa, k);
  if (isa >= QB_ISA_SSE41 && isa <= QB_ISA_AVX2)
    roof.flops *= SHARE_WITH_16_REGISTERS;
  return roof;
}

static double team_loss(uint32_t threads)
{
  return 1 + TEAM_LOSS * log2(threads);
}

/* On 16 cores, times carried from 1 thread to 16 were half or twice what was measured. */
static double other_configuration(const qb_configuration *k, const qb_configuration *measured)
{
  const double each = log2((double)k->threads / measured->threads);
  const double all = each + log2((double)k->instances / measured->instances);
  return OTHER_CONFIGURATION + OCTAVE_MORE * fmax(hypot(each, all) - 1, 0);
}

/* Weights as a configuration has them in memory, once. */
static double weights_in(const qb_profile *profile, qb_precision precision)
{
  return (double)qb__profile_info(profile)->weight_bytes * qb__precision_bytes(precision) /
         qb__precision_bytes(qb__profile_points(profile)->configuration.precision);
}

/* How many times an engine holds them for instances that are spread over a node: a host's does it once. */
static double times_held(const qb_profile *profile, const qb_node *node, const qb_configuration *k)
{
  const qb_node_info *info = qb__node_info(node);
  const uint32_t nodes = k->instances < info->numa_nodes ? k->instances : info->numa_nodes;
  return is_of_onednn(profile)
             ? 1 + qb__copies_that_pay(nodes, (uint64_t)weights_in(profile, k->precision),
                                       info->l3_bytes, info->memory_bytes)
             : 1;
}

/* A time is only carried to where c is known in its precision. */
static qb_status check_compute(const qb_node *node, qb_isa isa, qb_precision precision)
{
  double ignored;
  const qb_status status = qb__precision_compute(node, 1, isa, precision, &ignored);
  return status == QB_ERROR_NOT_FOUND
             ? qb__fail(QB_ERROR_NOT_FOUND,
                        "the node's compute power with %s was not measured; measure it there with "
                        "qb_node_detect()",
                        qb_isa_name(isa))
             : status;
}

static qb_status check_where(const qb_profile *profile, const qb_where *theirs, qb_where *where)
{
  *where = (qb_where)QB_WHERE_INIT;
  if (theirs) {
    const qb_status status = QB__STRUCT_IN(qb_where, where, theirs);
    if (status)
      return status;
  }
  if ((unsigned)where->isa > QB_ISA_AVX512)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "where.isa is %d; give a QB_ISA_ value",
                    (int)where->isa);
  if (!where->node || qb__profile_is_of_node(profile, where->node))
    where->node = qb__profile_node(profile);
  return QB_OK;
}

/* Where m is not known on one side it tells nothing on the other. */
static void forget_unknown_bandwidth(qb__estimate_law *law)
{
  if (law->from.bytes_per_s > 0 && law->to.bytes_per_s > 0)
    return;
  law->from.bytes_per_s = law->to.bytes_per_s = 0;
}

qb_status qb__estimate_law_of(const qb_profile *profile, const qb_configuration *configuration,
                              const qb_where *where, qb__estimate_law *law)
{
  const qb_configuration k = configuration ? *configuration : best_configuration(profile);
  qb_where here;
  qb_status status = qb__configuration_check(&k);
  if (!status)
    status = check_where(profile, where, &here);
  if (status)
    return status;
  const qb_isa isa_there = isa_of_kernels(profile, qb__profile_node(profile), QB_ISA_BEST);
  const qb_isa isa_here = isa_of_kernels(profile, here.node, here.isa);
  const bool same_cores = here.node == qb__profile_node(profile) && isa_here == isa_there;
  *law = (qb__estimate_law){.profile = profile,
                            .configuration = k,
                            .roof = qb__instance_roof_of(here.node, isa_here, &k)};
  law->points = qb__profile_curve(profile, &k, &law->point_count);
  law->carried = !law->point_count || !same_cores;
  if (!law->point_count)
    law->points = nearest_curve(profile, &k, &law->point_count);
  const size_t runs = qb__profile_runs(profile, &law->points->configuration);
  if (runs)
    law->later = qb__variation_half_width(qb__profile_variation(profile), runs);
  if (!law->carried)
    return QB_OK;
  const qb_configuration *measured = &law->points->configuration;
  const bool same_precision = measured->precision == k.precision;
  if (!same_cores || !same_precision)
    status = check_compute(here.node, isa_here, k.precision);
  if (status)
    return status;
  law->from = roof_of_kernels(qb__profile_node(profile), isa_there, measured);
  law->to = roof_of_kernels(here.node, isa_here, &k);
  forget_unknown_bandwidth(law);
  law->held_there = times_held(profile, qb__profile_node(profile), measured);
  law->held_here = times_held(profile, here.node, &k);
  law->quota_share = qb__quota_share(qb__profile_node(profile), measured);
  law->longer =
      team_loss(k.threads) / team_loss(measured->threads) / qb__quota_share(here.node, &k);
  law->uncertainty = same_cores ? other_configuration(&k, measured) : OTHER_CORES;
  if (!same_precision)
    law->uncertainty = hypot(law->uncertainty, OTHER_PRECISION);
  return QB_OK;
}

/*
 * Under a quota an undisturbed round may run in full, and only the mean tells what rounds take:
 * without the quota that is what all of them would.
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

/* Weights are held once, or once on each NUMA node, all else by each instance. */
static double memory_carried(const qb__estimate_law *law, double bytes)
{
  const double held = weights_in(law->profile, law->points->configuration.precision);
  const double weights = fmin(bytes, held * law->held_there);
  const double ratio = (double)law->configuration.instances / law->points->configuration.instances;
  return (weights / law->held_there * law->held_here + (bytes - weights) * ratio) * law->to.bytes /
         law->from.bytes;
}

/*
 * Carries a time over by the ratio of what arithmetic and traffic take one after the other, as
 * neither hides much of the other in kernels, and of what else takes longer there. The rest is the
 * engine's and the network's, and stays. Where the work is not known, c alone tells.
 */
static void carry_over(const qb__estimate_law *law, uint32_t batch, qb__curve_value *value)
{
  take_quota_off(law->quota_share, value);
  const double there_s = qb__serial_s(law->profile, batch, &law->from);
  const double here_s = qb__serial_s(law->profile, batch, &law->to);
  const double ratio =
      law->longer * (there_s > 0 ? here_s / there_s : law->from.flops / law->to.flops);
  const double below = log(value->latency_ns / value->low_ns);
  const double above = log(value->high_ns / value->latency_ns);
  value->latency_ns *= ratio;
  value->p95_ns *= ratio;
  value->mean_ns *= ratio;
  value->low_ns = value->latency_ns * exp(-hypot(below, law->uncertainty));
  value->high_ns = value->latency_ns * exp(hypot(above, law->uncertainty));
  value->memory_bytes = memory_carried(law, value->memory_bytes);
  value->source = QB_SOURCE_TRANSFERRED;
}

qb__curve_value qb__round_at(const qb__estimate_law *law, uint32_t batch)
{
  qb__curve_value value = qb__curve_at(law->points, law->point_count, batch);
  if (law->carried)
    carry_over(law, batch, &value);
  return value;
}

void qb__round_make_later(const qb__estimate_law *law, qb__curve_value *value)
{
  const double below = log(value->latency_ns / value->low_ns);
  const double above = log(value->high_ns / value->latency_ns);
  value->low_ns = value->latency_ns * exp(-hypot(below, law->later));
  value->high_ns = value->latency_ns * exp(hypot(above, law->later));
}
