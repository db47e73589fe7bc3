/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qb_optimize(). All that costs time is done when the optimizer is made or refreshed, so that a
 * decision is look-ups and a few sums.
 */
#include "core/error.h"
#include "core/structs.h"
#include "optimize/optimizer_impl.h"
#include "optimize/round_decide.h"

/* Tables that are off by more than this are worth a refresh: 5 %, and 2 % in another regime. */
#define DUE            0.05
#define DUE_IN_ANOTHER 0.02

/* The tables to decide by: those of a refresh that ended since the last decision, if any. */
static const qb__round_tables *current_tables(qb_optimizer *o)
{
  if (atomic_load_explicit(&o->fresh, memory_order_relaxed) &&
      atomic_exchange_explicit(&o->fresh, false, memory_order_acq_rel))
    o->live = 1 - o->live;
  return &o->tables[o->live];
}

static bool is_refresh_due(const qb__round_tables *t, double slowdown, uint32_t regime)
{
  const double off = slowdown / t->slowdown;
  const double due = 1 + (regime == t->regime ? DUE : DUE_IN_ANOTHER);
  return off > due || 1 / off > due;
}

static qb_status check_state(const qb_round_state *state)
{
  if (!state->queued)
    return QB_OK;
  if (state->deadline_count > state->queued || (state->deadline_count && !state->deadline_ns))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "state.deadline_count is %u at %p; give deadlines of at most the %u queued",
                    state->deadline_count, (const void *)state->deadline_ns, state->queued);
  if (state->deadline_room && (state->deadline_first >= state->deadline_room ||
                               state->deadline_count > state->deadline_room))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "state has %u deadlines from %u on in a ring of %u; they must fit into it",
                    state->deadline_count, state->deadline_first, state->deadline_room);
  if (!state->deadline_count && state->oldest_arrival_ns > state->now_ns)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "state.oldest_arrival_ns is %lld, after now_ns, %lld; take both from one clock",
                    (long long)state->oldest_arrival_ns, (long long)state->now_ns);
  return QB_OK;
}

static qb__round_queue read_queue(int64_t target_ns, const qb_round_state *now)
{
  qb__round_queue q = {.count = now->queued,
                       .known = now->deadline_count,
                       .deadline_ns = now->deadline_ns,
                       .first = now->deadline_first,
                       .room = now->deadline_room ? now->deadline_room : SIZE_MAX,
                       .now_ns = now->now_ns,
                       .target_ns = target_ns};
  /* With a deadline and a target the age follows from them. */
  if (q.known && target_ns) {
    const int64_t left_ns = qb__queue_left_ns(&q, 0);
    q.age_ns = left_ns < target_ns ? qb__subtract_ns(target_ns, left_ns) : 0;
  } else if (now->oldest_arrival_ns < now->now_ns)
    q.age_ns = qb__subtract_ns(now->now_ns, now->oldest_arrival_ns);
  return q;
}

/*
 * Predictions follow the slowdown at once, also where the tables are still of another one. The
 * interval is that of the profile, as wide as 95 % of the rounds need it.
 */
static void predict_now(const qb_optimizer *o, const qb__round_tables *t, uint32_t samples,
                        qb_decision *d)
{
  double latency_ns = (double)d->latency_ns;
  if (d->slowdown != t->slowdown) {
    latency_ns *= d->slowdown / t->slowdown;
    const int64_t now_ns = qb__clamp_i64(latency_ns);
    d->oldest_latency_ns = qb__add_ns(qb__subtract_ns(d->oldest_latency_ns, d->latency_ns), now_ns);
    d->latency_ns = now_ns;
  }
  const double width = o->conformal.width;
  d->low_ns = (int64_t)(latency_ns / (1 + width * o->below[samples]));
  d->high_ns = qb__clamp_i64(latency_ns * (1 + width * o->above[samples]));
}

qb_status qb_optimize(qb_optimizer *optimizer, const qb_round_state *state, qb_decision *decision)
{
  if (!optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "optimizer is NULL");
  qb_round_state now;
  qb_status status = QB__STRUCT_IN(qb_round_state, &now, state);
  if (!status)
    status = QB__STRUCT_CHECK_OUT(qb_decision, decision);
  if (!status)
    status = check_state(&now);
  if (status)
    return status;
  if (now.arrived)
    qb__rate_meter_see(&optimizer->meter, now.now_ns, now.arrived);

  const qb__round_tables *tables = current_tables(optimizer);
  qb_decision ours = QB_DECISION_INIT;
  ours.slowdown = atomic_load_explicit(&optimizer->slowdown, memory_order_relaxed);
  if (now.queued && now.free_instances) {
    const qb__round_queue queue = read_queue(optimizer->qos.latency_ns, &now);
    const double counted_per_s = optimizer->meter.rate_per_s;
    qb__round_decide(tables, counted_per_s > 0 ? counted_per_s : optimizer->rate_per_s, &queue,
                     &ours);
    const uint32_t samples =
        ours.action == QB_ACTION_WAIT ? qb__min_u32(now.queued, tables->batch) : ours.batch;
    predict_now(optimizer, tables, samples, &ours);
  }
  ours.coverage = qb__conformal_coverage(&optimizer->conformal);
  ours.refresh_due = is_refresh_due(tables, ours.slowdown, optimizer->drift.regimes);
  QB__STRUCT_OUT(qb_decision, decision, &ours);
  return QB_OK;
}
