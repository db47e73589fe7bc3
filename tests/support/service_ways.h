/* SPDX-License-Identifier: Apache-2.0 */
/* All ways to run a service, in plain loops, and random demands on random nodes. */
#ifndef QB_SUPPORT_SERVICE_WAYS_H
#define QB_SUPPORT_SERVICE_WAYS_H

#include <qosbatch/plan.h>

/* Up to 8 samples the library looks at every batch size. */
enum { WAY_NODES = 2, WAY_MAX_BATCH = 4, MOST_WAYS = WAY_NODES * 3 * WAY_MAX_BATCH * 5 };

typedef struct service_case {
  qb_profile *profiles[WAY_NODES];
  qb_load load;
  qb_qos qos;
} service_case;

typedef struct service_way {
  qb_service_plan plan; /* as the library would say; feasible: the demand is met */
  double threads;
} service_way;

/* The second node is often the same as the first one at another price. */
void make_service_case(qb_context *context, uint64_t *seed, service_case *c);

void free_service_case(service_case *c);

void plan_case(const service_case *c, qb_service_plan *plan);

/* Judges all ways; returns their number. */
size_t list_ways(const qb_context *context, const service_case *c, service_way *ways);

/* The best; NULL if none is feasible. */
const service_way *best_way(const service_way *ways, size_t count, qb_objective objective);

bool same_way(const qb_service_plan *a, const qb_service_plan *b);

#endif
