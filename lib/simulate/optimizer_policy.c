/* SPDX-License-Identifier: Apache-2.0 */
#include "simulate/optimizer_policy.h"

static void keep(qb__optimizer_policy *self, qb_status status)
{
  if (!self->status)
    self->status = status;
}

/*
 * By a clock that is late by the target, arrivals are deadlines: the queue's ring serves as it is.
 */
static qb_round_state state_of(const qb__optimizer_policy *self, const qb__view *view)
{
  const qb__waiting *waiting = view->waiting;
  const uint64_t count = qb__waiting_count(waiting);
  qb_round_state state = QB_ROUND_STATE_INIT;
  state.queued = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
  state.free_instances = view->free_instances;
  state.now_ns = view->now_ns - self->target_ns;
  state.deadline_ns = waiting->times_ns;
  state.deadline_count = state.queued;
  state.deadline_first = (uint32_t)(waiting->first & waiting->mask);
  state.deadline_room = (uint32_t)(waiting->mask + 1);
  state.arrived = self->gone + count;
  return state;
}

static void decide(qb__policy *policy, const qb__view *view, qb__move *move)
{
  qb__optimizer_policy *self = (qb__optimizer_policy *)policy;
  const qb_round_state state = state_of(self, view);
  qb_decision decision = QB_DECISION_INIT;
  keep(self, qb_optimize(self->optimizer, &state, &decision));
  if (decision.refresh_due)
    keep(self, qb_optimizer_refresh(self->optimizer));
  move->refuse = decision.give_up;
  if (decision.action == QB_ACTION_RUN ||
      (decision.action == QB_ACTION_INFEASIBLE && !decision.give_up))
    move->run = decision.batch;
  else if (decision.action == QB_ACTION_WAIT && decision.max_wait_ns)
    move->ask_ns = view->now_ns + decision.max_wait_ns;
  self->gone += move->refuse + move->run;
}

static void observe(qb__policy *policy, uint32_t batch, int64_t latency_ns, int64_t now_ns)
{
  qb__optimizer_policy *self = (qb__optimizer_policy *)policy;
  (void)now_ns;
  qb_round_result result = QB_ROUND_RESULT_INIT;
  result.batch = batch;
  result.latency_ns = latency_ns;
  keep(self, qb_observe(self->optimizer, &result));
}

void qb__optimizer_policy_init(qb__optimizer_policy *self, qb_optimizer *optimizer,
                               int64_t target_ns)
{
  *self = (qb__optimizer_policy){.policy = {.decide = decide, .observe = observe},
                                 .optimizer = optimizer,
                                 .target_ns = target_ns};
}
