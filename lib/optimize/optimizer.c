/* SPDX-License-Identifier: Apache-2.0 */
/* How an optimizer is made, and what it learns. The decision is in round.c. */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "estimate/normal.h"
#include "optimize/optimizer_impl.h"
#include "plan/demand.h"
#include "profile/profile_data.h"

#include <math.h>

/* What rounds are expected to vary by, as a logarithm, is within these. */
#define LEAST_NOISE 0.05
#define MOST_NOISE  0.15

/*
 * n samples are there. Splitting them into rounds r1, r2, ... makes the first r1 wait T(r1), the
 * next r2 wait T(r1) + T(r2) and so on: while a round runs all that are not answered yet wait. The
 * sum of waiting is therefore V(n) = min over r of n T(r) + V(n - r), and first[n] is that r. Of
 * equal splits the one that begins with the larger round is taken: it needs fewer rounds.
 */
static qb_status fill_first(const qb_context *context, const qb__round_times *table,
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

qb_status qb_optimizer_params_of_plan(const qb_service_plan *plan, qb_optimizer_params *params)
{
  qb_service_plan ours;
  qb_status status = QB__STRUCT_IN(qb_service_plan, &ours, plan);
  if (!status)
    status = QB__STRUCT_CHECK_OUT(qb_optimizer_params, params);
  if (status)
    return status;
  qb_optimizer_params result = QB_OPTIMIZER_PARAMS_INIT;
  result.configuration = ours.configuration;
  result.max_batch = ours.batch;
  result.max_wait_ns = ours.max_wait_ns;
  result.rate_per_s = ours.rate_per_s;
  result.network = ours.network;
  QB__STRUCT_OUT(qb_optimizer_params, params, &result);
  return QB_OK;
}

static qb_status check_params(const qb_optimizer_params *params)
{
  if (params->max_batch < 1 || params->max_batch > QB_MAX_BATCH)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "params.max_batch is %u, expected 1..%u; a plan has one", params->max_batch,
                    QB_MAX_BATCH);
  if (params->max_wait_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "params.max_wait_ns is %lld; give 0 or more",
                    (long long)params->max_wait_ns);
  if (!(params->rate_per_s >= 0 && isfinite(params->rate_per_s)))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "params.rate_per_s is %g; give the samples expected per second, or 0",
                    params->rate_per_s);
  return QB_OK;
}

static qb_status check_network(const qb_profile *profile, const qb_optimizer_params *params)
{
  return params->network && qb__profile_info(profile)->network &&
                 params->network != qb__profile_info(profile)->network
             ? qb__fail(QB_ERROR_MISMATCH,
                        "params are of a plan for another network than '%.64s' of this profile; "
                        "plan with this profile",
                        qb__profile_info(profile)->model)
             : QB_OK;
}

/*
 * What a single round is predicted to be within: the profile may be off, and rounds vary, by the
 * lognormal law that has their mean and 95th percentile.
 */
static void fill_widths(qb_optimizer *o)
{
  const qb__round_times *t = &o->profiled;
  for (uint32_t n = 1; n <= o->batch; n++) {
    const double latency_ns = (double)t->latency_ns[n];
    const double varies = expm1(QB__NORMAL_P97_5 * t->spread[n]);
    o->below[n] = hypot(latency_ns / (double)t->low_ns[n] - 1, varies);
    o->above[n] = hypot((double)t->high_ns[n] / latency_ns - 1, varies);
  }
}

static qb_status read_profile(qb_optimizer *o, const qb_configuration *configuration)
{
  qb_status status = qb__round_times_init(o->profile, NULL, configuration, o->batch, &o->profiled);
  if (status)
    return status;
  o->below = qb__calloc(o->context, 2 * ((size_t)o->batch + 1), sizeof *o->below);
  if (!o->below)
    return QB_ERROR_NO_MEMORY;
  o->above = o->below + o->batch + 1;
  fill_widths(o);
  make_monotone(o->profiled.latency_ns, o->batch);
  make_monotone(o->profiled.slow_ns, o->batch);
  o->first = qb__calloc(o->context, (size_t)o->batch + 1, sizeof *o->first);
  return o->first ? fill_first(o->context, &o->profiled, o->first) : QB_ERROR_NO_MEMORY;
}

/* Says what the regime is to the thread that refreshes. */
static void publish(qb_optimizer *o)
{
  atomic_store_explicit(&o->slowdown, qb__drift_factor(&o->drift), memory_order_relaxed);
  atomic_store_explicit(&o->regime, o->drift.regimes, memory_order_release);
}

static qb_status make_tables(qb_optimizer *o, const qb_optimizer_params *params)
{
  qb_status status = read_profile(o, &params->configuration);
  if (status)
    return status;
  qb__drift_init(&o->drift, fmin(fmax(o->profiled.spread[o->batch], LEAST_NOISE), MOST_NOISE));
  qb__conformal_init(&o->conformal);
  publish(o);
  qb__round_tables *t = &o->tables[0];
  status = qb__round_tables_init(o->context, o->batch, t);
  if (status)
    return status;
  t->max_wait_ns = params->max_wait_ns;
  t->first = o->first;
  t->problem = (qb__round_problem){.instances = params->configuration.instances,
                                   .target_ns = o->qos.latency_ns,
                                   .shed = o->qos.shed};
  return qb__round_tables_fill(o->context, &o->profiled, qb__drift_factor(&o->drift), NULL, t);
}

qb_status qb_optimizer_new(qb_profile *profile, const qb_optimizer_params *params,
                           const qb_qos *qos, qb_optimizer **optimizer)
{
  if (!profile || !optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", profile ? "optimizer" : "profile");
  qb_optimizer_params ours;
  qb_qos ours_qos;
  qb_status status = QB__STRUCT_IN(qb_optimizer_params, &ours, params);
  if (!status)
    status = check_params(&ours);
  if (!status)
    status = check_network(profile, &ours);
  if (!status)
    status = qb__qos_in(qos, &ours_qos);
  if (status)
    return status;

  qb_optimizer *o = qb__calloc(qb__profile_context(profile), 1, sizeof *o);
  if (!o)
    return QB_ERROR_NO_MEMORY;
  o->profile = qb_profile_ref(profile);
  o->context = qb__profile_context(profile);
  o->qos = ours_qos;
  o->batch = ours.max_batch;
  o->rate_per_s = ours.rate_per_s;
  pthread_mutex_init(&o->refreshing, NULL);
  status = make_tables(o, &ours);
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
  qb_context *context = optimizer->context;
  for (int i = 0; i < 2; i++)
    qb__round_tables_free(context, &optimizer->tables[i]);
  pthread_mutex_destroy(&optimizer->refreshing);
  qb__free(context, optimizer->below);
  qb__free(context, optimizer->first);
  qb__round_times_free(profile, &optimizer->profiled);
  qb__free(context, optimizer);
  qb_profile_unref(profile);
}

/* How far a round was from what decisions predicted of it, in half-widths. */
static double score_of(const qb_optimizer *o, uint32_t batch, double measured_ns)
{
  const double predicted_ns = (double)o->profiled.latency_ns[batch] * qb__drift_factor(&o->drift);
  return measured_ns > predicted_ns ? (measured_ns / predicted_ns - 1) / o->above[batch]
                                    : (predicted_ns / measured_ns - 1) / o->below[batch];
}

/* Rounds that revealed another regime say nothing of how rounds vary in it. */
static void learn(qb_optimizer *o, uint32_t batch, double measured_ns)
{
  qb__conformal_add(&o->conformal, score_of(o, batch, measured_ns));
  if (qb__drift_add(&o->drift, measured_ns, (double)o->profiled.latency_ns[batch]))
    qb__conformal_forget(&o->conformal, (uint32_t)o->drift.weight);
  publish(o);
}

qb_status qb_observe(qb_optimizer *optimizer, const qb_round_result *result)
{
  if (!optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "optimizer is NULL");
  qb_round_result ours;
  const qb_status status = QB__STRUCT_IN(qb_round_result, &ours, result);
  if (status)
    return status;
  if (ours.batch < 1 || ours.batch > optimizer->batch)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "result.batch is %u, expected 1..%u", ours.batch,
                    optimizer->batch);
  if (ours.latency_ns <= 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "result.latency_ns is %lld; give the measured time, above 0",
                    (long long)ours.latency_ns);
  learn(optimizer, ours.batch, (double)ours.latency_ns);
  return QB_OK;
}

qb_status qb_optimizer_get_coverage(const qb_optimizer *optimizer, qb_coverage *coverage)
{
  if (!optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "optimizer is NULL");
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_coverage, coverage);
  if (status)
    return status;
  const qb__conformal *c = &optimizer->conformal;
  const qb_coverage found = {.size = sizeof found,
                             .rounds = c->rounds,
                             .inside = c->inside,
                             .recent = qb__conformal_coverage(c),
                             .width = c->width};
  QB__STRUCT_OUT(qb_coverage, coverage, &found);
  return QB_OK;
}
