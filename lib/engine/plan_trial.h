/* SPDX-License-Identifier: Apache-2.0 */
/* Runs plans of one network in turn to see which is the fastest. */
#ifndef QB_ENGINE_PLAN_TRIAL_H
#define QB_ENGINE_PLAN_TRIAL_H

#include "engine/workspace.h"

enum { QB__MOST_TRIED = 8 };

/*
 * Which of `count` plans takes the least time a sample: the last one, which has the most samples,
 * unless another one takes less than `worth_it` times as long. Runs them in a workspace of its own
 * on the calling thread's team.
 */
qb_status qb__plan_trial(const qb__graph *graph, const qb__finite_guards *guards,
                         struct dnnl_engine *engine, const qb__network_plan *const *plans,
                         size_t count, double worth_it, size_t *best);

#endif
