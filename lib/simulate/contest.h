/* SPDX-License-Identifier: Apache-2.0 */
/* Policies by name, with default settings or the best of those their manuals name. */
#ifndef QB_SIMULATE_CONTEST_H
#define QB_SIMULATE_CONTEST_H

#include "simulate/simulation.h"

#include <qosbatch/simulate.h>

typedef struct qb__contest {
  qb_profile *profile;
  qb_configuration configuration;
  qb_qos qos;
  qb__service service;
} qb__contest;

/* What a policy made of it, and the settings it did that with. */
typedef struct qb__result {
  qb__outcome outcome;
  uint32_t batch;
  int64_t max_wait_ns;
} qb__result;

qb_status qb__contest_run(const qb__contest *contest, qb_policy policy, bool tuned,
                          qb__result *result);

#endif
