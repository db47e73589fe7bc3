/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that a decision looks up: made from a plan, and made anew from what was observed. The
 * decision itself is in round.c.
 */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "optimize/optimizer_impl.h"
#include "optimize/round_search.h"
#include "plan/demand.h"
#include "profile/profile_impl.h"

#include <math.h>

/* Rounds that are off by more than this are worth a refresh: 5 %, and 2 % in another regime. */
#define DUE            0.05
#define DUE_IN_ANOTHER 0.02

/* What rounds are expected to vary by, as a logarithm, is within these. */
#define LEAST_NOISE 0.05
#define MOST_NOISE  0.15

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
  if (!(plan->rate_per_s >= 0 && isfinite(plan->rate_per_s)))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "plan.rate_per_s is %g; use a plan from qb_plan_service()", plan->rate_per_s);
  return QB_OK;
}

static qb_status check_network(const qb_profile *profile, const qb_service_plan *plan)
{
  return plan->network && profile->info.network && plan->network != profile->info.network
             ? qb__fail(QB_ERROR_MISMATCH,
                        "the plan was made of the profile of another network than this one of "
                        "'%.64s'; plan with it",
                        profile->info.model)
             : QB_OK;
}

static qb_status solve_policy(qb_optimizer *o)
{
  if (!o->qos.latency_ns)
    return QB_OK;
  o->model = (qb__round_model){.instances = o->table.configuration.instances,
                               .target_ns = o->qos.latency_ns,
                               .latency_ns = o->table.latency_ns,
                               .slow_ns = o->table.slow_ns,
                               .shed = o->qos.shed};
  qb_status status = qb__round_policy_solve(o->profile->context, &o->model, &o->policy);
  /* One instance is what the process describes; several get in step. */
  if (!status && o->policy.age_step_ns > 0 && o->model.instances > 1)
    status = qb__round_search(o->profile->context, &o->model, &o->policy);
  return status;
}

static void rescale(int64_t *times_ns, uint32_t count, double factor)
{
  for (uint32_t n = 1; n <= count; n++) {
    const int64_t scaled = qb__clamp_i64((double)times_ns[n] * factor);
    times_ns[n] = scaled > 1 ? scaled : 1;
  }
}

/*
 * Rounds that all take longer by one factor mean that c changed, not p: the profile's times are
 * scaled by it and the best splits stay what they are.
 */
static void follow_node(qb_optimizer *o)
{
  int64_t *const times_ns[] = {o->table.latency_ns, o->table.low_ns, o->table.high_ns,
                               o->table.slow_ns};
  for (size_t i = 0; i < sizeof times_ns / sizeof *times_ns; i++) {
    make_monotone(times_ns[i], o->batch);
    rescale(times_ns[i], o->batch, o->slowdown);
  }
  o->applied = o->slowdown;
  o->regime = o->drift.regimes;
}

static qb_status make_tables(qb_optimizer *o, const qb_configuration *configuration)
{
  qb_context *context = o->profile->context;
  qb_status status = qb__latency_table_init(o->profile, configuration, o->batch, &o->table);
  if (status)
    return status;
  o->first = qb__calloc(context, (size_t)o->batch + 1, sizeof *o->first);
  o->ready = qb__calloc(context, (size_t)o->batch + 1, sizeof *o->ready);
  if (!o->first || !o->ready)
    return QB_ERROR_NO_MEMORY;
  qb__drift_init(&o->drift, fmin(fmax(o->table.spread[o->batch], LEAST_NOISE), MOST_NOISE));
  o->slowdown = qb__drift_factor(&o->drift);
  follow_node(o);
  status = fill_first(context, &o->table, o->first);
  if (!status && o->qos.latency_ns)
    status = qb__round_policy_init(context, o->batch, &o->policy);
  return status ? status : solve_policy(o);
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
    status = check_network(profile, &ours_plan);
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
  o->rate_per_s = ours_plan.rate_per_s;
  o->all_ready = true;
  status = make_tables(o, &ours_plan.configuration);
  if (status) {
    qb_optimizer_free(o);
    return status;
  }
  *optimizer = o;
  return QB_OK;
}

void qb_optimizer_free(qb_optimizer *optimizer)
{
  if (!optimizer)
    return;
  qb_profile *profile = optimizer->profile;
  qb__round_policy_free(profile->context, &optimizer->policy);
  qb__free(profile->context, optimizer->ready);
  qb__free(profile->context, optimizer->first);
  qb__latency_table_free(profile, &optimizer->table);
  qb__free(profile->context, optimizer);
  qb_profile_unref(profile);
}

qb_status qb_optimizer_set_ready(qb_optimizer *optimizer, const uint32_t *batches,
                                 size_t batch_count)
{
  if (!optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "optimizer is NULL");
  if (batches && !batch_count)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "batches are none; give one or more, or NULL");
  for (size_t i = 0; batches && i < batch_count; i++)
    if (batches[i] < 1 || batches[i] > optimizer->batch || (i && batches[i] <= batches[i - 1]))
      return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                      "batches[%zu] is %u, expected rising ones of 1..%u", i, batches[i],
                      optimizer->batch);
  optimizer->all_ready = !batches;
  size_t next = 0;
  for (uint32_t n = 0; batches && n <= optimizer->batch; n++) {
    if (next < batch_count && batches[next] == n)
      next++;
    optimizer->ready[n] = next ? batches[next - 1] : 0;
  }
  return QB_OK;
}

bool qb__optimizer_refresh_due(const qb_optimizer *o)
{
  const double off = o->slowdown / o->applied;
  const double due = 1 + (o->drift.regimes == o->regime ? DUE : DUE_IN_ANOTHER);
  return off > due || 1 / off > due;
}

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
  const double profiled_ns = (double)optimizer->table.latency_ns[ours.batch] / optimizer->applied;
  qb__drift_add(&optimizer->drift, (double)ours.latency_ns, profiled_ns);
  optimizer->slowdown = qb__drift_factor(&optimizer->drift);
  return QB_OK;
}

qb_status qb_optimizer_refresh(qb_optimizer *optimizer)
{
  if (!optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "optimizer is NULL");
  /* From the profile again: a factor upon a factor would lose what rounding and limits cut off. */
  const qb_status status = qb__latency_table_fill(optimizer->profile, &optimizer->table);
  if (status)
    return status;
  follow_node(optimizer);
  return solve_policy(optimizer);
}
