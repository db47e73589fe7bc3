/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of qb_optimizer. */
#ifndef QB_OPTIMIZE_OPTIMIZER_IMPL_H
#define QB_OPTIMIZE_OPTIMIZER_IMPL_H

#include "optimize/latency_table.h"
#include "optimize/rate_meter.h"
#include "optimize/round_policy.h"

#include <qosbatch/optimize.h>

enum { QB__DRIFT_ROUNDS = 16 }; /* before that the drift is not trusted */

struct qb_optimizer {
  qb_profile *profile;
  qb_qos qos;
  uint32_t batch; /* B */
  int64_t max_wait_ns;
  double rate_per_s; /* the last one the host told, or the plan's; 0: none */
  qb__rate_meter meter;
  qb__latency_table table; /* T, low and H over 0..B, rescaled by refreshes; none ever falls */
  int64_t *safe_ns;        /* S: the longest of H and the 95th percentile of single rounds */
  uint32_t *first;         /* first round of the best split of 0..B samples */
  uint32_t *ready;         /* largest size that is ready and at most 0..B; 0: none is */
  bool all_ready;
  qb__round_policy policy; /* with a latency target */
  double drift;            /* mean of log(measured / T) over the last rounds */
  uint32_t drift_rounds;   /* that it was made from, up to QB__DRIFT_ROUNDS */
};

/* Whether qb_optimizer_refresh() would change decisions. */
bool qb__optimizer_refresh_due(const qb_optimizer *optimizer);

#endif
