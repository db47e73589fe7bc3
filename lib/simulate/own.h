/* SPDX-License-Identifier: Apache-2.0 */
/* Our own policy in the simulator: a host that does what qb_optimize() says. */
#ifndef QB_SIMULATE_OWN_H
#define QB_SIMULATE_OWN_H

#include "simulate/policy.h"

#include <qosbatch/optimize.h>

enum { QB__OWN_LOOKED_AT = 256 };

typedef struct qb__own {
  qb__policy policy;
  qb_optimizer *optimizer;
  int64_t target_ns;
  qb_status status; /* the first call that failed */
  uint64_t gone;    /* samples that no longer wait */
  int64_t left_ns[QB__OWN_LOOKED_AT];
} qb__own;

void qb__own_init(qb__own *self, qb_optimizer *optimizer, int64_t target_ns);

#endif
