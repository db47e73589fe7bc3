/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision before every round; docs/decision.md gives the reasoning. All that costs time is
 * done when the optimizer is made or refreshed, so that a decision is a few table look-ups.
 */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "optimize/demand.h"
#include "optimize/latency_table.h"
#include "optimize/service.h"
#include "profile/profile_impl.h"

#include <qosbatch/optimize.h>

#include <math.h>

/* How much of its distance to the last round the observed drift moves, and at most how far. */
#define DRIFT_WEIGHT (1.0 / 16)
#define DRIFT_CLAMP  0.25
/* Drift (as a logarithm: 5 %) and change of rate worth a refresh. */
#define DRIFT_DUE 0.0488
#define RATE_DUE  0.25
enum { DRIFT_ROUNDS = 16 }; /* before that the drift is not trusted */

struct qb_optimizer {
  qb_profile *profile;
  qb_qos qos;
  uint32_t batch; /* B */
  int64_t max_wait_ns;
  double rate_per_s;       /* max_wait_ns was chosen for it; 0: not known yet */
  double rate_seen_per_s;  /* last one the host told; 0: none */
  qb__latency_table table; /* T, low and H over 0..B, rescaled by refreshes; none ever falls */
  uint32_t *first;         /* first round of the best split of 0..B samples */
  double drift;            /* mean of log(measured / T) over the last rounds */
  uint32_t drift_rounds;   /* that it was made from, up to DRIFT_ROUNDS */
};

/*
 * n samples are there. Splitting them into rounds r1, r2, ... makes the first r1 wait T(r1), the
 * next r2 wait T(r1) + T(r2) and so on: while a round runs all that are not answered yet wait. The
 * sum of waiting is therefore V(n) = min over r of n T(r) + V(n - r), and first[n] is that r. Of
 * equal splits the one that begins with the larger round is taken: it needs fewer rounds.
 */
static qb_status fill_first(const qb_context *context, const qb__latency_table *table,
                            uint32_t *first)
{
  double *sum = qb__calloc(context, (size_t)table->max_batch + 1, sizeof *sum);
  if (!sum)
    return QB_ERROR_NO_MEMORY;
  for (uint32_t n = 1; n <= table->max_batch; n++) {
    sum[n] = INFINITY;
    for (uint32_t r = n; r >= 1; r--) {
      const double candidate = (double)n * (double)table->latency_ns[r] + sum[n - r];
      if (candidate < sum[n]) {
        sum[n] = candidate;
        first[n] = r;
      }
    }
  }
  qb__free(context, sum);
  return QB_OK;
}

/* The interval of a larger round may end earlier; a promise must not rely on that. */
static void make_monotone(int64_t *times_ns, uint32_t count)
{
  for (uint32_t n = 1; n <= count; n++)
    if (times_ns[n] < times_ns[n - 1])
      times_ns[n] = times_ns[n - 1];
}

static qb_status check_plan(const qb_service_plan *plan)
{
  if (plan->batch < 1 || plan->batch > QB_MAX_BATCH)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "plan.batch is %u, expected 1..%u; use a plan from qb_plan_service()",
                    plan->batch, QB_MAX_BATCH);
  if (plan->max_wait_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "plan.max_wait_ns is %lld; use a plan from qb_plan_service()",
                    (long long)plan->max_wait_ns);
  return QB_OK;
}

qb_status qb_optimizer_new(qb_profile *profile, const qb_service_plan *plan, const qb_qos *qos,
                           qb_optimizer **optimizer)
{
  if (!profile || !optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", profile ? "optimizer" : "profile");
  qb_service_plan ours_plan;
  qb_qos ours_qos;
  qb_status status = qb__struct_in(&ours_plan, sizeof ours_plan, sizeof ours_plan, plan, "plan");
  if (!status)
    status = check_plan(&ours_plan);
  if (!status)
    status = qb__qos_in(qos, &ours_qos);
  if (status)
    return status;

  qb_optimizer *o = qb__calloc(profile->context, 1, sizeof *o);
  if (!o)
    return QB_ERROR_NO_MEMORY;
  o->profile = qb_profile_ref(profile);
  o->qos = ours_qos;
  o->batch = ours_plan.batch;
  o->max_wait_ns = ours_plan.max_wait_ns;
  status = qb__latency_table_init(profile, &ours_plan.configuration, o->batch, &o->table);
  if (status)
    goto fail;
  make_monotone(o->table.latency_ns, o->batch);
  make_monotone(o->table.low_ns, o->batch);
  make_monotone(o->table.high_ns, o->batch);
  o->first = qb__calloc(profile->context, (size_t)o->batch + 1, sizeof *o->first);
  if (!o->first) {
    status = QB_ERROR_NO_MEMORY;
    goto fail;
  }
  status = fill_first(profile->context, &o->table, o->first);
  if (status)
    goto fail;
  *optimizer = o;
  return QB_OK;

fail:
  qb_optimizer_free(o);
  return status;
}

void qb_optimizer_free(qb_optimizer *optimizer)
{
  if (!optimizer)
    return;
  qb_profile *profile = optimizer->profile;
  qb__free(profile->context, optimizer->first);
  qb__latency_table_free(profile, &optimizer->table);
  qb__free(profile->context, optimizer);
  qb_profile_unref(profile);
}

static int64_t add_ns(int64_t a, int64_t b)
{
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* The largest of 1..most samples that are answered within left_ns even if all goes slowly; 0: none.
 */
static uint32_t most_within(const int64_t *high_ns, uint32_t most, int64_t left_ns)
{
  if (high_ns[most] <= left_ns)
    return most;
  uint32_t fits = 0, beyond = most;
  while (beyond - fits > 1) {
    const uint32_t middle = fits + (beyond - fits) / 2;
    if (high_ns[middle] <= left_ns)
      fits = middle;
    else
      beyond = middle;
  }
  return high_ns[fits] <= left_ns ? fits : 0;
}

static void predict(const qb_optimizer *o, uint32_t samples, int64_t start_age_ns, qb_decision *d)
{
  d->latency_ns = o->table.latency_ns[samples];
  d->low_ns = o->table.low_ns[samples];
  d->high_ns = o->table.high_ns[samples];
  d->oldest_latency_ns = add_ns(start_age_ns, d->latency_ns);
}

static void decide(const qb_optimizer *o, uint32_t queued, int64_t age_ns, qb_decision *d)
{
  const uint32_t at_hand = queued < o->batch ? queued : o->batch;
  /* Time until the oldest sample is late; negative if it is. */
  const int64_t left_ns = o->qos.latency_ns ? o->qos.latency_ns - age_ns : INT64_MAX;
  const uint32_t best = o->first[at_hand];
  const uint32_t run = most_within(o->table.high_ns, best, left_ns);
  if (!run) {
    d->action = QB_ACTION_INFEASIBLE;
    d->reason = QB_REASON_LATE;
    d->batch = best;
    predict(o, best, age_ns, d);
    return;
  }

  qb_reason reason = run < best ? QB_REASON_SLO : QB_REASON_THROUGHPUT;
  if (at_hand < o->batch) {
    const int64_t fill_ns = o->max_wait_ns - age_ns;
    const int64_t slo_ns = left_ns - o->table.high_ns[at_hand + 1];
    const int64_t wait_ns = slo_ns < fill_ns ? slo_ns : fill_ns;
    reason = slo_ns < fill_ns || run < best ? QB_REASON_SLO : QB_REASON_FILL;
    if (wait_ns > 0) {
      d->action = QB_ACTION_WAIT;
      d->reason = reason;
      d->batch = o->batch;
      d->max_wait_ns = wait_ns;
      predict(o, at_hand, add_ns(age_ns, wait_ns), d);
      return;
    }
  }
  d->action = QB_ACTION_RUN;
  d->reason = reason;
  d->batch = run;
  predict(o, run, age_ns, d);
}

static bool refresh_due(const qb_optimizer *o)
{
  if (o->drift_rounds == DRIFT_ROUNDS && fabs(o->drift) > DRIFT_DUE)
    return true;
  return o->rate_per_s > 0 && fabs(o->rate_seen_per_s - o->rate_per_s) > RATE_DUE * o->rate_per_s;
}

qb_status qb_optimize(qb_optimizer *optimizer, const qb_round_state *state, qb_decision *decision)
{
  if (!optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "optimizer is NULL");
  qb_round_state now;
  qb_status status = qb__struct_in(&now, sizeof now, sizeof now, state, "state");
  if (!status)
    status = qb__struct_check_out(decision, sizeof *decision, "decision");
  if (status)
    return status;
  if (now.oldest_age_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "state.oldest_age_ns is %lld; an age is 0 or more, check the clock it is from",
                    (long long)now.oldest_age_ns);
  if (!(now.rate_per_s >= 0 && isfinite(now.rate_per_s)))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "state.rate_per_s is %g; give samples per second, or 0 for the plan's rate",
                    now.rate_per_s);
  if (now.rate_per_s > 0) {
    optimizer->rate_seen_per_s = now.rate_per_s;
    if (optimizer->rate_per_s == 0)
      optimizer->rate_per_s = now.rate_per_s;
  }

  qb_decision ours = QB_DECISION_INIT;
  if (now.queued && now.free_instances)
    decide(optimizer, now.queued, now.oldest_age_ns, &ours);
  ours.refresh_due = refresh_due(optimizer);
  qb__struct_out(decision, &ours, sizeof ours);
  return QB_OK;
}

/*
 * An exponentially weighted mean of log(measured / predicted): it forgets, and a ratio of 2 weighs
 * as much as one of 1/2. A single round moves it by DRIFT_CLAMP * DRIFT_WEIGHT (1.6 %) at most, so
 * a round that the machine interrupted is no drift.
 */
qb_status qb_observe(qb_optimizer *optimizer, const qb_round_result *result)
{
  if (!optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "optimizer is NULL");
  qb_round_result ours;
  const qb_status status = qb__struct_in(&ours, sizeof ours, sizeof ours, result, "result");
  if (status)
    return status;
  if (ours.batch < 1 || ours.batch > optimizer->batch)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "result.batch is %u, the plan has rounds of 1..%u",
                    ours.batch, optimizer->batch);
  if (ours.latency_ns <= 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "result.latency_ns is %lld; give the measured time, above 0",
                    (long long)ours.latency_ns);
  const double predicted_ns = (double)optimizer->table.latency_ns[ours.batch];
  const double off = log((double)ours.latency_ns / predicted_ns) - optimizer->drift;
  optimizer->drift += DRIFT_WEIGHT * fmax(-DRIFT_CLAMP, fmin(DRIFT_CLAMP, off));
  if (optimizer->drift_rounds < DRIFT_ROUNDS)
    optimizer->drift_rounds++;
  return QB_OK;
}

static void rescale(int64_t *times_ns, uint32_t count, double factor)
{
  for (uint32_t n = 1; n <= count; n++) {
    const int64_t scaled = qb__clamp_i64((double)times_ns[n] * factor);
    times_ns[n] = scaled > 1 ? scaled : 1;
  }
}

/*
 * Rounds that all take longer by one factor mean that c changed, not p: all times are rescaled and
 * the best splits stay what they are.
 */
qb_status qb_optimizer_refresh(qb_optimizer *optimizer)
{
  if (!optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "optimizer is NULL");
  if (optimizer->drift_rounds == DRIFT_ROUNDS) {
    const double factor = exp(optimizer->drift);
    rescale(optimizer->table.latency_ns, optimizer->batch, factor);
    rescale(optimizer->table.low_ns, optimizer->batch, factor);
    rescale(optimizer->table.high_ns, optimizer->batch, factor);
    optimizer->drift = 0;
    optimizer->drift_rounds = 0;
  }
  if (optimizer->rate_seen_per_s > 0) {
    const qb_status status =
        qb__service_best_wait(optimizer->profile->context, &optimizer->table, optimizer->batch,
                              optimizer->rate_seen_per_s, &optimizer->qos, &optimizer->max_wait_ns);
    if (status)
      return status;
    optimizer->rate_per_s = optimizer->rate_seen_per_s;
  }
  return QB_OK;
}
