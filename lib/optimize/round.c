/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision before every round; docs/decision.md gives the reasoning. All that costs time is
 * done when the optimizer is made or refreshed, so that a decision is look-ups and a few sums.
 */
#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "optimize/optimizer_impl.h"
#include "optimize/round_choice.h"

#include <math.h>
#include <string.h>

/* The samples that wait, as far as a decision looks at them. */
typedef struct waiting {
  uint32_t count;
  uint32_t known;         /* whose time left was told */
  const int64_t *left_ns; /* theirs, from the most urgent on */
  int64_t first_left_ns;  /* of the most urgent one */
  int64_t age_ns;         /* of the oldest */
} waiting;

static int64_t add_ns(int64_t a, int64_t b)
{
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* The largest of 1..most samples that are answered within left_ns even if all goes slowly; 0: none.
 */
static uint32_t most_within(const int64_t *slow_ns, uint32_t most, int64_t left_ns)
{
  if (slow_ns[most] <= left_ns)
    return most;
  uint32_t fits = 0, beyond = most;
  while (beyond - fits > 1) {
    const uint32_t middle = fits + (beyond - fits) / 2;
    if (slow_ns[middle] <= left_ns)
      fits = middle;
    else
      beyond = middle;
  }
  return fits;
}

static void predict(const qb_optimizer *o, uint32_t samples, int64_t start_age_ns, qb_decision *d)
{
  d->latency_ns = o->table.latency_ns[samples];
  d->low_ns = o->table.low_ns[samples];
  d->high_ns = o->table.high_ns[samples];
  d->oldest_latency_ns = add_ns(start_age_ns, d->latency_ns);
}

/* The largest size that is ready and at most n; the smallest there is if none is. */
static uint32_t ready_size(const qb_optimizer *o, uint32_t n)
{
  if (o->all_ready || o->ready[n])
    return o->all_ready ? n : o->ready[n];
  while (!o->ready[n] && n < o->batch)
    n++;
  return o->ready[n];
}

/* How many of the first samples have less than need_ns left, looked for from `from` on. */
static uint32_t count_late(const qb_optimizer *o, const waiting *w, uint32_t from, int64_t need_ns)
{
  if (w->known) {
    uint32_t late = from;
    while (late < w->known && w->left_ns[late] < need_ns)
      late++;
    return late;
  }
  /* Ages are spread evenly below the oldest's. */
  const double most_ns = (double)(o->qos.latency_ns - need_ns);
  if (w->age_ns <= 0 || (double)w->age_ns <= most_ns)
    return from;
  const double late = ceil(w->count * (1 - fmax(most_ns, 0) / (double)w->age_ns));
  return late > from ? qb__min_u32((uint32_t)late, w->count) : from;
}

/* Time left of the sample behind `late` others. */
static int64_t left_behind(const qb_optimizer *o, const waiting *w, uint32_t late)
{
  if (!late)
    return w->first_left_ns;
  if (w->known)
    return late < w->known ? w->left_ns[late] : o->qos.latency_ns;
  return o->qos.latency_ns - (int64_t)((double)w->age_ns * (w->count - late) / w->count);
}

static void give_up_all(const qb_optimizer *o, const waiting *w, uint32_t late, qb_decision *d)
{
  d->action = QB_ACTION_INFEASIBLE;
  d->reason = QB_REASON_LATE;
  d->give_up = late;
  d->batch = o->first[qb__min_u32(w->count, o->batch)];
  predict(o, d->batch, w->age_ns, d);
}

/* How long the policy waits with a queue whose most urgent sample has this age. */
static int64_t policy_wait_ns(const qb__round_policy *policy, const qb__round_level *level,
                              uint32_t queued, int64_t age_ns)
{
  uint32_t age = qb__round_policy_age(policy, age_ns);
  while (age < QB__POLICY_AGES - 1 && !qb__round_policy_at(policy, level, queued, age))
    age++;
  const int64_t until_ns = (int64_t)((age - 0.5) * policy->age_step_ns) + 1;
  return until_ns > age_ns ? until_ns - age_ns : 1;
}

static void wait_for(const qb_optimizer *o, const waiting *w, int64_t wait_ns, qb_reason reason,
                     qb_decision *d)
{
  d->action = QB_ACTION_WAIT;
  d->reason = reason;
  d->batch = o->batch;
  d->max_wait_ns = wait_ns;
  predict(o, qb__min_u32(w->count, o->batch), add_ns(w->age_ns, wait_ns), d);
}

static void run(const qb_optimizer *o, const waiting *w, uint32_t size, qb_reason reason,
                qb_decision *d)
{
  d->action = QB_ACTION_RUN;
  d->reason = reason;
  d->batch = size;
  predict(o, size, w->age_ns, d);
}

/*
 * Gives up the most urgent samples that a round of `size`, or of all others, is too late for. The
 * round becomes smaller and shorter with each.
 */
static uint32_t give_up_for(const qb_optimizer *o, const waiting *w, uint32_t late, uint32_t size)
{
  const uint32_t start = late;
  for (;;) {
    const uint32_t others = qb__min_u32(w->count - late, o->batch);
    const int64_t need_ns = o->table.latency_ns[qb__min_u32(size, others)];
    if (late == w->count || (w->known && late == w->known))
      return start;
    if (left_behind(o, w, late) >= need_ns)
      return late;
    late++;
  }
}

/* What the policy says of the samples behind `late` others. Ages are counted back from what is left.
 */
static uint32_t look_up(const qb_optimizer *o, const waiting *w, uint32_t late,
                        const qb__round_level *level, int64_t *age_ns)
{
  const int64_t left_ns = left_behind(o, w, late);
  *age_ns = o->qos.latency_ns > left_ns ? o->qos.latency_ns - left_ns : 0;
  return qb__round_policy_at(&o->policy, level, w->count - late,
                             qb__round_policy_age(&o->policy, *age_ns));
}

/* Says how long to wait with those behind `late` others, if that breaks no promise. */
static bool wait_by_policy(const qb_optimizer *o, const waiting *w, uint32_t late,
                           const qb__round_level *level, int64_t age_ns, qb_decision *d)
{
  const uint32_t queued = w->count - late;
  const int64_t slo_ns =
      left_behind(o, w, late) - o->table.slow_ns[qb__min_u32(queued + 1, o->batch)];
  if (slo_ns <= 0)
    return false;
  const int64_t wait_ns = policy_wait_ns(&o->policy, level, queued, age_ns);
  d->give_up = late;
  wait_for(o, w, slo_ns < wait_ns ? slo_ns : wait_ns,
           slo_ns < wait_ns ? QB_REASON_SLO : QB_REASON_FILL, d);
  return true;
}

/* Whether the size of a round of those behind `late` others can be chosen by the true times left. */
static bool knows_all(const qb_optimizer *o, const waiting *w, uint32_t late,
                      const qb__round_level *level)
{
  return o->all_ready && w->known == w->count &&
         qb__round_can_choose(&o->policy, level, &o->model, w->left_ns + late, w->count - late);
}

/* With a latency target, giving up what would be late. */
static void decide_and_shed(const qb_optimizer *o, const waiting *w, const qb__round_level *level,
                            qb_decision *d)
{
  const int64_t *in_time_ns = o->table.latency_ns;
  uint32_t late = count_late(o, w, 0, in_time_ns[1]);
  if (late && (late == w->count || (w->known && late == w->known))) {
    give_up_all(o, w, late, d);
    return;
  }
  int64_t age_ns;
  uint32_t size = look_up(o, w, late, level, &age_ns);
  if (!size) {
    if (wait_by_policy(o, w, late, level, age_ns, d))
      return;
    size = QB__POLICY_ALL;
  }
  if (knows_all(o, w, late, level)) {
    const qb__round_choice choice =
        qb__round_choose(&o->policy, level, &o->model, w->left_ns + late, w->count - late);
    d->give_up = late + choice.give_up;
    const uint32_t most = qb__min_u32(w->count - d->give_up, o->policy.most);
    run(o, w, choice.size, choice.size < most ? QB_REASON_SLO : QB_REASON_THROUGHPUT, d);
    return;
  }
  const uint32_t more = give_up_for(o, w, late, size);
  if (more > late) { /* what is best for the others may be more than was left to them */
    size = look_up(o, w, more, level, &age_ns);
    late = give_up_for(o, w, more, size ? size : QB__POLICY_ALL);
  }
  const uint32_t queued = w->count - late;
  const uint32_t wanted = qb__min_u32(qb__min_u32(size ? size : QB__POLICY_ALL, queued), o->batch);
  size = most_within(in_time_ns, wanted, left_behind(o, w, late));
  if (!o->all_ready)
    size = qb__min_u32(ready_size(o, size ? size : 1), queued);
  d->give_up = late;
  run(o, w, size ? size : 1, size < wanted ? QB_REASON_SLO : QB_REASON_THROUGHPUT, d);
}

/*
 * With a latency target, answering all. A round may be longer than the most urgent sample has left:
 * where the rule says so, keeping that promise would break more of the others'.
 */
static void decide_and_keep(const qb_optimizer *o, const waiting *w, const qb__round_level *level,
                            qb_decision *d)
{
  int64_t age_ns;
  uint32_t size = look_up(o, w, 0, level, &age_ns);
  if (!size) {
    if (wait_by_policy(o, w, 0, level, age_ns, d))
      return;
    size = QB__POLICY_ALL;
  }
  if (knows_all(o, w, 0, level))
    size = qb__round_choose(&o->policy, level, &o->model, w->left_ns, w->count).size;
  size = qb__min_u32(qb__min_u32(size, w->count), o->policy.most);
  if (!o->all_ready)
    size = qb__min_u32(ready_size(o, size), w->count);
  run(o, w, size, w->first_left_ns < o->table.slow_ns[size] ? QB_REASON_LATE : QB_REASON_THROUGHPUT,
      d);
  if (w->first_left_ns < o->table.slow_ns[1])
    d->action = QB_ACTION_INFEASIBLE;
}

static void decide_by_policy(const qb_optimizer *o, const waiting *w, qb_decision *d)
{
  const qb__round_level *level = qb__round_policy_level(
      &o->policy, o->meter.rate_per_s > 0 ? o->meter.rate_per_s : o->rate_per_s);
  if (o->qos.shed)
    decide_and_shed(o, w, level, d);
  else
    decide_and_keep(o, w, level, d);
}

/* Without a target, or a rate to solve the policy for: the best split, and the plan's wait. */
static void decide_by_plan(const qb_optimizer *o, const waiting *w, qb_decision *d)
{
  const uint32_t at_hand = qb__min_u32(w->count, o->batch);
  const uint32_t best = o->first[at_hand];
  const uint32_t fits = most_within(o->table.slow_ns, best, w->first_left_ns);
  if (!fits) {
    give_up_all(o, w, o->qos.shed ? 1 : 0, d);
    return;
  }
  qb_reason reason = fits < best ? QB_REASON_SLO : QB_REASON_THROUGHPUT;
  if (at_hand < o->batch) {
    const int64_t fill_ns = o->max_wait_ns - w->age_ns;
    const int64_t slo_ns = w->first_left_ns - o->table.slow_ns[at_hand + 1];
    const int64_t wait_ns = slo_ns < fill_ns ? slo_ns : fill_ns;
    reason = slo_ns < fill_ns || fits < best ? QB_REASON_SLO : QB_REASON_FILL;
    if (wait_ns > 0) {
      wait_for(o, w, wait_ns, reason, d);
      return;
    }
  }
  run(o, w, o->all_ready ? fits : qb__min_u32(ready_size(o, fits), w->count), reason, d);
}

static qb_status check_state(const qb_round_state *state)
{
  if (state->oldest_age_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "state.oldest_age_ns is %lld; an age is 0 or more, check the clock it is from",
                    (long long)state->oldest_age_ns);
  if (!(state->rate_per_s >= 0 && isfinite(state->rate_per_s)))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "state.rate_per_s is %g; give samples per second, or 0 for the plan's rate",
                    state->rate_per_s);
  if (state->left_count > state->queued || (state->left_count && !state->left_ns))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "state.left_count is %u at %p; give times left of at most the %u queued",
                    state->left_count, (const void *)state->left_ns, state->queued);
  return QB_OK;
}

static waiting see(const qb_optimizer *o, const qb_round_state *now)
{
  const int64_t left_ns = o->qos.latency_ns ? o->qos.latency_ns - now->oldest_age_ns : INT64_MAX;
  return (waiting){.count = now->queued,
                   .known = now->left_count,
                   .left_ns = now->left_ns,
                   .first_left_ns = now->left_count ? now->left_ns[0] : left_ns,
                   .age_ns = now->oldest_age_ns};
}

qb_status qb_optimize(qb_optimizer *optimizer, const qb_round_state *state, qb_decision *decision)
{
  if (!optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "optimizer is NULL");
  qb_round_state now;
  qb_status status = qb__struct_in(&now, sizeof now, sizeof now, state, "state");
  if (!status)
    status = qb__struct_check_out(decision, sizeof *decision, "decision");
  if (!status)
    status = check_state(&now);
  if (status)
    return status;
  if (now.rate_per_s > 0)
    optimizer->rate_per_s = now.rate_per_s;
  if (now.now_ns > 0)
    qb__rate_meter_see(&optimizer->meter, now.now_ns, now.arrived);

  qb_decision ours = QB_DECISION_INIT;
  if (now.queued && now.free_instances) {
    const waiting w = see(optimizer, &now);
    if (optimizer->policy.age_step_ns > 0)
      decide_by_policy(optimizer, &w, &ours);
    else
      decide_by_plan(optimizer, &w, &ours);
  }
  ours.refresh_due = qb__optimizer_refresh_due(optimizer);
  ours.slowdown = optimizer->slowdown;
  qb__struct_out(decision, &ours, sizeof ours);
  return QB_OK;
}
