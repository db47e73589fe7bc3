/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of qb_optimizer. */
#ifndef QB_OPTIMIZE_OPTIMIZER_IMPL_H
#define QB_OPTIMIZE_OPTIMIZER_IMPL_H

#include "estimate/conformal.h"
#include "estimate/drift.h"
#include "optimize/rate_meter.h"
#include "optimize/round_tables.h"

#include <qosbatch/optimize.h>

#include <pthread.h>
#include <stdatomic.h>

/*
 * Two threads may be inside at once: one that decides and observes, and one that refreshes. There
 * are two sets of tables. One is decided by; the other is filled by a refresh, which then sets
 * `fresh`; the next decision takes it and clears `fresh`, which hands the set used so far to the
 * next refresh. A refresh that finds `fresh` still set takes its own set back. So each set belongs
 * to one side at any time, no side waits, and a decision pays for one load.
 */
struct qb_optimizer {
  /* Set when it is made. */
  qb_profile *profile;
  qb_context *context;
  qb_qos qos;
  uint32_t batch;           /* the largest round */
  double rate_per_s;        /* until it is counted; 0: none */
  qb__round_times profiled; /* none of its times ever falls */
  uint32_t *first;          /* first round of the best split of 0..batch samples */
  double *below, *above; /* half-widths of 0..batch samples: in [T / (1 + below), T (1 + above)] */

  /* Of the thread that decides and observes. */
  qb__rate_meter meter;
  qb__drift drift;         /* of rounds against the profile, not against the tables */
  qb__conformal conformal; /* of rounds against the profile and the drift */
  uint32_t live;           /* tables that are decided by */

  /* Of the thread that refreshes. */
  pthread_mutex_t refreshing;
  uint32_t latest; /* tables that were filled last */

  qb__round_tables tables[2];
  atomic_bool fresh;       /* tables[1 - live] are to be decided by next */
  _Atomic double slowdown; /* measured over profiled in the present regime, by `drift` */
  atomic_uint regime;      /* written after the slowdown, read before it */
};

#endif
