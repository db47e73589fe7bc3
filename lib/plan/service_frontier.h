/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of a service to choose among. */
#ifndef QB_PLAN_SERVICE_FRONTIER_H
#define QB_PLAN_SERVICE_FRONTIER_H

#include "plan/service_search.h"

/* An empty one, and a plan at its end. */
qb_status qb__service_frontier_new(qb_context *context, qb_service_frontier **frontier);
qb_status qb__service_frontier_append(qb_service_frontier *frontier, const qb_service_plan *plan);

/* The plans of a search that no other beats; sorts its candidates. */
qb_status qb__service_frontier_of(qb__service_search *search, qb_service_frontier **frontier);

#endif
