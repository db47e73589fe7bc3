/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/precision.h"

#include "core/error.h"
#include "node/node_data.h"

#include <qosbatch/inspect.h>

/*
 * Multiply-adds of an instruction over those of one for 32-bit floats. With VNNI and bfloat16 four and
 * two numbers take the room of a float. Without VNNI it is three instructions instead of one, which do
 * four times as much: of convolutions 2.07 and 2.15 times were measured with AVX2 and AVX-512, and
 * 2.67 with SSE4.1, where floats take two instructions as well; AVX has twice the floats of that.
 */
static const double BF16 = 2, VNNI = 4, PAIRS = 2, PAIRS_SSE41 = 8.0 / 3, PAIRS_AVX = 4.0 / 3;

double qb__precision_bytes(qb_precision precision)
{
  return precision == QB_PRECISION_INT8 ? 0.25 : precision == QB_PRECISION_BF16 ? 0.5 : 1;
}

/* What the best instruction set alone has, no kernel limited to a lower one uses. */
static uint32_t features_of(const qb_node_info *node, qb_isa isa)
{
  return isa == QB_ISA_BEST || isa >= node->isa ? node->features : 0;
}

/* 0: it has no such instructions. */
static double speed_up(const qb_node_info *node, qb_isa isa, qb_precision precision)
{
  const uint32_t features = features_of(node, isa);
  const qb_isa use = isa == QB_ISA_BEST || isa > node->isa ? node->isa : isa;
  if (precision == QB_PRECISION_F32)
    return 1;
  if (precision == QB_PRECISION_BF16)
    return features & QB_FEATURE_BF16 ? BF16 : 0;
  if (features & QB_FEATURE_VNNI)
    return VNNI;
  switch (use) {
  case QB_ISA_SSE41: return PAIRS_SSE41;
  case QB_ISA_AVX: return PAIRS_AVX;
  case QB_ISA_AVX2:
  case QB_ISA_AVX512: return PAIRS;
  default: return 0;
  }
}

qb_status qb__precision_compute(const qb_node *node, uint32_t threads, qb_isa isa,
                                qb_precision precision, double *flops)
{
  double found;
  if (qb_node_get_compute(node, threads, isa, precision, &found)) {
    const double more = speed_up(qb__node_info(node), isa, precision);
    if (!(more > 0))
      return qb__fail(QB_ERROR_UNSUPPORTED,
                      "the node '%.64s' has no instructions for %s%s; use f32 there",
                      qb__node_info(node)->cpu, qb_precision_name(precision),
                      precision == QB_PRECISION_BF16 ? " (AVX512_BF16)" : "");
    const qb_status status = qb_node_get_compute(node, threads, isa, QB_PRECISION_F32, &found);
    if (status)
      return status;
    found *= more;
  }
  *flops = found;
  return QB_OK;
}

/* 0: it was not compared on a node that computes as this one does. */
static double accuracy_on(const qb_profile *profile, const qb_node *node, qb_precision precision)
{
  const qb_accuracy *known = qb__profile_accuracy(profile, precision);
  if (precision == QB_PRECISION_F32)
    return 100;
  const bool holds =
      known && (!known->needs_vnni || qb__node_info(node)->features & QB_FEATURE_VNNI);
  return holds ? 100 * known->low : 0;
}

bool qb__precision_is_candidate(const qb_profile *profile, const qb_node *node, bool any,
                                qb_precision precision, double *accuracy)
{
  const bool own = !node || qb__profile_is_of_node(profile, node);
  const qb_node *there = own ? qb__profile_node(profile) : node;
  double ignored;
  *accuracy = accuracy_on(profile, there, precision);
  if (any ? !(*accuracy > 0) : precision != qb__profile_points(profile)->configuration.precision)
    return false;
  return own || !qb__precision_compute(there, 1, QB_ISA_BEST, precision, &ignored);
}
