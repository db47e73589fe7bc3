/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the candidates for a layer in turn to see which is the fastest. */
#ifndef QB_ENGINE_LAYER_TRIAL_H
#define QB_ENGINE_LAYER_TRIAL_H

#include "engine/network_plan_impl.h"

/*
 * The least time of each of `count` primitives over a few rounds, with the changes of layout that
 * an input lying as `have` and an addend lying as `addend` (or NULL) need for it. On the calling
 * thread's team.
 */
qb_status qb__layer_trial(const qb__planner *p, const qb__operator *op, const qb__layout *have,
                          const qb__layout *addend, const qb__primitive *primitives, size_t count,
                          int64_t *ns);

#endif
