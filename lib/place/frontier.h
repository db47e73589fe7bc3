/* SPDX-License-Identifier: Apache-2.0 */
/* The ways that no other beats in both time and cost. */
#ifndef QB_PLACE_FRONTIER_H
#define QB_PLACE_FRONTIER_H

#include <qosbatch/fleet.h>

struct qb_frontier {
  qb_context *context;
  size_t count, capacity;
  struct qb__way *ways; /* by falling time and rising price, so that more nodes are appended */
};

typedef struct qb__way {
  qb_job_fleet fleet;
  double price; /* the cost that is compared: expected, or at 95 % */
} qb__way;

/* Some way takes no longer and costs no more. */
bool qb__frontier_beats(const qb_frontier *frontier, double time_ns, double price);

/* Adds a way that is not beaten and drops those that it beats. */
qb_status qb__frontier_add(qb_frontier *frontier, const qb__way *way);

/* The way of the least price among those that take no longer; NULL if there is none. */
const qb__way *qb__frontier_cheapest(const qb_frontier *frontier, int64_t time_ns);

/* The way of the least time; NULL if there is none. */
const qb__way *qb__frontier_fastest(const qb_frontier *frontier);

#endif
