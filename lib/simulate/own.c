/* SPDX-License-Identifier: Apache-2.0 */
#include "simulate/own.h"

static void note(qb__own *self, qb_status status)
{
  if (!self->status)
    self->status = status;
}

static void decide_own(qb__policy *policy, const qb__view *view, qb__move *move)
{
  qb__own *self = (qb__own *)policy;
  const uint64_t count = qb__waiting_count(view->waiting);
  qb_round_state state = QB_ROUND_STATE_INIT;
  state.queued = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
  state.free_instances = view->free_instances;
  state.oldest_age_ns = view->now_ns - qb__waiting_at(view->waiting, 0);
  state.left_count = count < QB__OWN_LOOKED_AT ? (uint32_t)count : QB__OWN_LOOKED_AT;
  for (uint32_t i = 0; i < state.left_count; i++)
    self->left_ns[i] = self->target_ns - (view->now_ns - qb__waiting_at(view->waiting, i));
  state.left_ns = self->left_ns;
  state.now_ns = view->now_ns + 1;
  state.arrived = self->gone + count;
  qb_decision decision = QB_DECISION_INIT;
  note(self, qb_optimize(self->optimizer, &state, &decision));
  if (decision.refresh_due)
    note(self, qb_optimizer_refresh(self->optimizer));
  move->refuse = decision.give_up;
  if (decision.action == QB_ACTION_RUN ||
      (decision.action == QB_ACTION_INFEASIBLE && !decision.give_up))
    move->run = decision.batch;
  else if (decision.action == QB_ACTION_WAIT && decision.max_wait_ns)
    move->ask_ns = view->now_ns + decision.max_wait_ns;
  self->gone += move->refuse + move->run;
}

static void observe_own(qb__policy *policy, uint32_t batch, int64_t latency_ns, int64_t now_ns)
{
  qb__own *self = (qb__own *)policy;
  (void)now_ns;
  const qb_round_result result = {sizeof result, batch, latency_ns};
  note(self, qb_observe(self->optimizer, &result));
}

void qb__own_init(qb__own *self, qb_optimizer *optimizer, int64_t target_ns)
{
  *self = (qb__own){.policy = {.decide = decide_own, .observe = observe_own},
                    .optimizer = optimizer,
                    .target_ns = target_ns};
}
