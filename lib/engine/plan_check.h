/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares what oneDNN's primitives compute with plain loops, before any caller sees their results:
 * each step of a plan that is unlike the ones before it runs once, on its true shape, layouts and
 * threads, and is compared at a few hundred positions.
 */
#ifndef QB_ENGINE_PLAN_CHECK_H
#define QB_ENGINE_PLAN_CHECK_H

#include "engine/workspace.h"

/*
 * Adds to `findings` each operator of the plan whose implementation computes wrongly, and tells the
 * host; *count is how many. The plan is bound to the workspace, on whose thread this runs, and whose
 * arena has other values afterwards.
 */
qb_status qb__plan_check(const qb__graph *graph, const qb__network_plan *plan,
                         qb__workspace *workspace, qb__findings *findings, size_t *count);

#endif
