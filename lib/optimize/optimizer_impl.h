/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of qb_optimizer. */
#ifndef QB_OPTIMIZE_OPTIMIZER_IMPL_H
#define QB_OPTIMIZE_OPTIMIZER_IMPL_H

#include "estimate/drift.h"
#include "optimize/rate_meter.h"
#include "optimize/round_policy.h"
#include "plan/latency_table.h"

#include <qosbatch/optimize.h>

struct qb_optimizer {
  qb_profile *profile;
  qb_qos qos;
  uint32_t batch; /* B */
  int64_t max_wait_ns;
  double rate_per_s; /* the last one the host told, or the plan's; 0: none */
  qb__rate_meter meter;
  qb__latency_table table; /* T, low, H and S over 0..B, for the node as it is; none ever falls */
  uint32_t *first;         /* first round of the best split of 0..B samples */
  uint32_t *ready;         /* largest size that is ready and at most 0..B; 0: none is */
  bool all_ready;
  qb__round_model model; /* with a latency target: what the policy is solved for */
  qb__round_policy policy;
  qb__drift drift; /* of rounds against the profile, not against the tables */
  double slowdown; /* its factor: measured over profiled in the present regime */
  double applied;  /* the slowdown that the tables are for */
  uint32_t regime; /* that it is of */
};

/* Whether qb_optimizer_refresh() would change decisions. */
bool qb__optimizer_refresh_due(const qb_optimizer *optimizer);

#endif
