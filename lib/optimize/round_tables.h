/* SPDX-License-Identifier: Apache-2.0 */
/* All that a decision looks up, of a node that is slower than profiled by one factor. */
#ifndef QB_OPTIMIZE_ROUND_TABLES_H
#define QB_OPTIMIZE_ROUND_TABLES_H

#include "estimate/round_times.h"
#include "optimize/round_policy.h"

typedef struct qb__round_tables {
  uint32_t batch; /* B, the largest round */
  int64_t max_wait_ns;
  const uint32_t *first; /* first round of the best split of 0..B samples */
  int64_t *latency_ns;   /* of rounds of 0..B; never falling */
  int64_t *slow_ns;      /* the same */
  qb__round_problem problem;
  qb__round_policy policy; /* not solved without a target, or with one that no round keeps */
  double slowdown;         /* what these are for */
  uint32_t regime;         /* that the slowdown was observed in */
} qb__round_tables;

/* Makes room for tables of rounds of up to `batch`; 0 elsewhere. */
qb_status qb__round_tables_init(const qb_context *context, uint32_t batch,
                                qb__round_tables *tables);
void qb__round_tables_free(const qb_context *context, qb__round_tables *tables);

/*
 * Scales the profiled times, which never fall, by the slowdown, and solves the policy if there is a
 * target. `before`, which may be NULL, are tables of another slowdown: the solution begins at
 * theirs. Fails with QB_ERROR_NO_MEMORY only; the tables are then not to be used.
 */
qb_status qb__round_tables_fill(const qb_context *context, const qb__round_times *profiled,
                                double slowdown, const qb__round_tables *before,
                                qb__round_tables *tables);

#endif
