/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a round would take if every operator ran at the roof: the scale that densities are measured
 * on.
 */
#ifndef QB_ESTIMATE_DENSITY_H
#define QB_ESTIMATE_DENSITY_H

#include "profile/profile_data.h"

/*
 * c and m of one instance while all of a configuration run. Activations get an instance's share of
 * m. Weights are the same for all instances: what one reads the others find in the last-level
 * cache, or they read while it computes, so that each gets m as if it were alone
 * (docs/estimates.md).
 */
typedef struct qb__instance_roof {
  double flops;
  double bytes_per_s; /* 0: not known, and no operator waits for memory */
  double weight_bytes_per_s;
  double bytes; /* of a number, over those of a 32-bit float */
} qb__instance_roof;

/* What is not known is 1 FLOP/s, so that p is defined on every node, and 0 B/s. */
qb__instance_roof qb__instance_roof_of(const qb_node *node, qb_isa isa, const qb_configuration *k);

/*
 * What a CPU quota leaves of c and m in the long run, 1 if it is no smaller than the threads. c of
 * more threads than are usable is that of those that are, which have the quota for themselves.
 */
double qb__quota_share(const qb_node *node, const qb_configuration *k);

typedef struct qb__roofline {
  double time_s;   /* sum over the operators of max(F b / c, W / m_w + A b / m) */
  double memory_s; /* the part of those whose second term is the larger */
} qb__roofline;

/*
 * An operator of F FLOP and A bytes of activations a sample and W bytes of weights takes no less
 * than its arithmetic at c and its traffic at m (Williams, Waterman and Patterson, CACM 52(4),
 * 2009), taken operator by operator: they run one after the other. Where the operators are not
 * known the network is taken for one. All 0 where the work is not known.
 */
qb__roofline qb__roofline_of(const qb_profile *profile, uint32_t batch,
                             const qb__instance_roof *roof);

/* The sum of both terms over all operators, neither hiding the other. */
double qb__serial_s(const qb_profile *profile, uint32_t batch, const qb__instance_roof *roof);

#endif
