/* SPDX-License-Identifier: Apache-2.0 */
#include "optimize/round_decide.h"

#include "optimize/round_size.h"

/* The largest of 1..most samples that a round answers within left_ns; 0: none. */
static uint32_t most_within(const int64_t *times_ns, uint32_t most, int64_t left_ns)
{
  if (times_ns[most] <= left_ns)
    return most;
  uint32_t fits = 0, beyond = most;
  while (beyond - fits > 1) {
    const uint32_t middle = fits + (beyond - fits) / 2;
    if (times_ns[middle] <= left_ns)
      fits = middle;
    else
      beyond = middle;
  }
  return fits;
}

static void predict(const qb__round_tables *t, uint32_t samples, int64_t start_age_ns,
                    qb_decision *d)
{
  d->latency_ns = t->latency_ns[samples];
  d->oldest_latency_ns = qb__add_ns(start_age_ns, d->latency_ns);
}

static void give_up_all(const qb__round_tables *t, const qb__round_queue *q, uint32_t late,
                        qb_decision *d)
{
  d->action = QB_ACTION_INFEASIBLE;
  d->reason = QB_REASON_LATE;
  d->give_up = late;
  d->batch = t->first[qb__min_u32(q->count, t->batch)];
  predict(t, d->batch, q->age_ns, d);
}

static void wait_for(const qb__round_tables *t, const qb__round_queue *q, int64_t wait_ns,
                     qb_reason reason, qb_decision *d)
{
  d->action = QB_ACTION_WAIT;
  d->reason = reason;
  d->batch = t->batch;
  d->max_wait_ns = wait_ns;
  predict(t, qb__min_u32(q->count, t->batch), qb__add_ns(q->age_ns, wait_ns), d);
}

static void run(const qb__round_tables *t, const qb__round_queue *q, uint32_t size,
                qb_reason reason, qb_decision *d)
{
  d->action = QB_ACTION_RUN;
  d->reason = reason;
  d->batch = size;
  predict(t, size, q->age_ns, d);
}

/* The age of the sample behind `late` others, counted back from its deadline. */
static int64_t age_ns(const qb__round_queue *q, uint32_t late)
{
  const int64_t left_ns = qb__queue_left_ns(q, late);
  return q->target_ns > left_ns ? qb__subtract_ns(q->target_ns, left_ns) : 0;
}

/* The round that the table has for the samples behind `late` others; 0: wait. */
static uint32_t policy_size(const qb__round_tables *t, const qb__rate_table *table,
                            const qb__round_queue *q, uint32_t late)
{
  return qb__round_policy_at(&t->policy, table, q->count - late,
                             qb__round_policy_age(&t->policy, age_ns(q, late)));
}

/* How long the table waits with `queued` samples whose most urgent one has this age. */
static int64_t policy_wait_ns(const qb__round_policy *policy, const qb__rate_table *table,
                              uint32_t queued, int64_t oldest_ns)
{
  uint32_t age = qb__round_policy_age(policy, oldest_ns);
  while (age < QB__POLICY_AGES - 1 && !qb__round_policy_at(policy, table, queued, age))
    age++;
  const int64_t until_ns = (int64_t)((age - 0.5) * policy->age_step_ns) + 1;
  return until_ns > oldest_ns ? until_ns - oldest_ns : 1;
}

/* Waits with the samples behind `late` others, if that breaks no promise. */
static bool wait_by_policy(const qb__round_tables *t, const qb__rate_table *table,
                           const qb__round_queue *q, uint32_t late, qb_decision *d)
{
  const uint32_t queued = q->count - late;
  const int64_t slo_ns =
      qb__subtract_ns(qb__queue_left_ns(q, late), t->slow_ns[qb__min_u32(queued + 1, t->batch)]);
  if (slo_ns <= 0)
    return false;
  const int64_t wait_ns = policy_wait_ns(&t->policy, table, queued, age_ns(q, late));
  d->give_up = late;
  wait_for(t, q, slo_ns < wait_ns ? slo_ns : wait_ns,
           slo_ns < wait_ns ? QB_REASON_SLO : QB_REASON_FILL, d);
  return true;
}

/*
 * Gives up the most urgent samples that a round of `size`, or of all others, is too late for. The
 * round becomes smaller and shorter with each.
 */
static uint32_t give_up_for(const qb__round_tables *t, const qb__round_queue *q, uint32_t late,
                            uint32_t size)
{
  const uint32_t seen = qb__queue_seen(q);
  for (uint32_t more = late; more < seen; more++) {
    const uint32_t others = qb__min_u32(q->count - more, t->batch);
    if (qb__queue_left_ns(q, more) >= t->latency_ns[qb__min_u32(size, others)])
      return more;
  }
  return late;
}

/* With a latency target, giving up what would be late. */
static void decide_and_shed(const qb__round_tables *t, const qb__rate_table *table,
                            const qb__round_queue *q, qb_decision *d)
{
  const int64_t *in_time_ns = t->latency_ns;
  uint32_t late = qb__queue_late(q, 0, in_time_ns[1]);
  if (late == qb__queue_seen(q)) {
    give_up_all(t, q, late, d);
    return;
  }
  uint32_t size = policy_size(t, table, q, late);
  if (!size && wait_by_policy(t, table, q, late, d))
    return;
  if (qb__round_can_size(&t->policy, table, &t->problem, q, late)) {
    const qb__round_size found = qb__round_find_size(&t->policy, table, &t->problem, q, late);
    d->give_up = late + found.give_up;
    const uint32_t most = qb__min_u32(q->count - d->give_up, t->policy.most);
    run(t, q, found.size, found.size < most ? QB_REASON_SLO : QB_REASON_THROUGHPUT, d);
    return;
  }
  const uint32_t more = give_up_for(t, q, late, size ? size : QB__POLICY_ALL);
  if (more > late) { /* what is best for the others may be more than was left to them */
    size = policy_size(t, table, q, more);
    late = give_up_for(t, q, more, size ? size : QB__POLICY_ALL);
  }
  const uint32_t most = qb__min_u32(q->count - late, t->batch);
  const uint32_t wanted = size ? qb__min_u32(size, most) : most;
  size = most_within(in_time_ns, wanted, qb__queue_left_ns(q, late));
  d->give_up = late;
  run(t, q, size ? size : 1, size < wanted ? QB_REASON_SLO : QB_REASON_THROUGHPUT, d);
}

/*
 * With a latency target, answering all. A round may be longer than the most urgent sample has left:
 * where the rule says so, keeping that promise would break more of the others'.
 */
static void decide_and_keep(const qb__round_tables *t, const qb__rate_table *table,
                            const qb__round_queue *q, qb_decision *d)
{
  uint32_t size = policy_size(t, table, q, 0);
  if (!size && wait_by_policy(t, table, q, 0, d))
    return;
  if (qb__round_can_size(&t->policy, table, &t->problem, q, 0))
    size = qb__round_find_size(&t->policy, table, &t->problem, q, 0).size;
  size = qb__min_u32(qb__min_u32(size ? size : QB__POLICY_ALL, q->count), t->policy.most);
  const int64_t left_ns = qb__queue_left_ns(q, 0);
  run(t, q, size, left_ns < t->slow_ns[size] ? QB_REASON_LATE : QB_REASON_THROUGHPUT, d);
  if (left_ns < t->slow_ns[1])
    d->action = QB_ACTION_INFEASIBLE;
}

/* Without a target, or with one that no round keeps: the best split, and the longest wait. */
static void decide_by_split(const qb__round_tables *t, const qb__round_queue *q, qb_decision *d)
{
  const uint32_t at_hand = qb__min_u32(q->count, t->batch), best = t->first[at_hand];
  const int64_t left_ns = qb__queue_left_ns(q, 0);
  const uint32_t fits = most_within(t->slow_ns, best, left_ns);
  if (!fits) {
    give_up_all(t, q, t->problem.shed ? 1 : 0, d);
    return;
  }
  qb_reason reason = fits < best ? QB_REASON_SLO : QB_REASON_THROUGHPUT;
  if (at_hand < t->batch) {
    const int64_t fill_ns = qb__subtract_ns(t->max_wait_ns, q->age_ns);
    const int64_t slo_ns = qb__subtract_ns(left_ns, t->slow_ns[at_hand + 1]);
    const int64_t wait_ns = slo_ns < fill_ns ? slo_ns : fill_ns;
    reason = slo_ns < fill_ns || fits < best ? QB_REASON_SLO : QB_REASON_FILL;
    if (wait_ns > 0) {
      wait_for(t, q, wait_ns, reason, d);
      return;
    }
  }
  run(t, q, fits, reason, d);
}

void qb__round_decide_by(const qb__round_tables *tables, const qb__rate_table *table,
                         const qb__round_queue *queue, qb_decision *decision)
{
  if (tables->problem.shed)
    decide_and_shed(tables, table, queue, decision);
  else
    decide_and_keep(tables, table, queue, decision);
}

void qb__round_decide(const qb__round_tables *tables, double rate_per_s,
                      const qb__round_queue *queue, qb_decision *decision)
{
  const qb__round_policy *policy = &tables->policy;
  if (policy->age_step_ns > 0)
    qb__round_decide_by(tables, qb__round_policy_table(policy, rate_per_s), queue, decision);
  else
    decide_by_split(tables, queue, decision);
}
