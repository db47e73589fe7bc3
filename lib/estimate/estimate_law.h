/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one law of how long a round takes: as measured where it was measured, else carried over to
 * another configuration, node or instruction set. Every estimate and every plan is made of it.
 */
#ifndef QB_ESTIMATE_ESTIMATE_LAW_H
#define QB_ESTIMATE_ESTIMATE_LAW_H

#include "estimate/curve.h"
#include "estimate/density.h"

#include <qosbatch/estimate.h>

/* All of an estimate that does not depend on the batch size. Keeps no references. */
typedef struct qb__estimate_law {
  const qb_profile *profile;
  qb_configuration configuration;
  const qb_profile_point *points; /* the measured curve that is used */
  size_t point_count;
  qb__instance_roof roof;       /* here, as measured of the cores */
  bool carried;                 /* else as measured; what follows is then not used */
  qb__instance_roof from, to;   /* what kernels reach of the roofs there and here */
  double quota_share;           /* what a CPU quota left of the measured times */
  double longer;                /* what takes longer here for other reasons than c and m */
  double held_there, held_here; /* how many times NUMA nodes hold the weights */
  double uncertainty;           /* 95 % half-width of the ratio, as a logarithm */
  double later;                 /* of what a later session differs by, the same; 0: not known */
} qb__estimate_law;

/* NULL stands for what it does in qb_estimate(). Fails with its status. */
qb_status qb__estimate_law_of(const qb_profile *profile, const qb_configuration *configuration,
                              const qb_where *where, qb__estimate_law *law);

/* A round of 1..QB_MAX_BATCH samples, while the machine is as it was when it was profiled. */
qb__curve_value qb__round_at(const qb__estimate_law *law, uint32_t batch);

/* Widens its interval to that of a later session. */
void qb__round_make_later(const qb__estimate_law *law, qb__curve_value *value);

#endif
