/* SPDX-License-Identifier: Apache-2.0 */
/* The library's own policy in the simulator: a host that does what qb_optimize() says. */
#ifndef QB_SIMULATE_OPTIMIZER_POLICY_H
#define QB_SIMULATE_OPTIMIZER_POLICY_H

#include "simulate/policy.h"

#include <qosbatch/optimize.h>

typedef struct qb__optimizer_policy {
  qb__policy policy;
  qb_optimizer *optimizer;
  int64_t target_ns;
  qb_status status; /* of the first call that failed */
  uint64_t gone;    /* samples that have left the queue */
} qb__optimizer_policy;

void qb__optimizer_policy_init(qb__optimizer_policy *self, qb_optimizer *optimizer,
                               int64_t target_ns);

#endif
