/* SPDX-License-Identifier: Apache-2.0 */
/* What to do with a queue, by the tables: the decision itself. docs/decision.md has the reasons. */
#ifndef QB_OPTIMIZE_ROUND_DECIDE_H
#define QB_OPTIMIZE_ROUND_DECIDE_H

#include "optimize/round_queue.h"
#include "optimize/round_tables.h"

#include <qosbatch/optimize.h>

/* Fills all of a decision but refresh_due and slowdown, which are 0. An instance is free. */
void qb__round_decide(const qb__round_tables *tables, double rate_per_s,
                      const qb__round_queue *queue, qb_decision *decision);

/* The same by one table of the policy. */
void qb__round_decide_by(const qb__round_tables *tables, const qb__rate_table *table,
                         const qb__round_queue *queue, qb_decision *decision);

#endif
