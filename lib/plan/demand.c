/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/demand.h"

#include "core/error.h"
#include "core/structs.h"

#include <math.h>

qb_status qb__profiles_check(qb_profile *const *profiles, size_t profile_count)
{
  if (!profiles || !profile_count || profile_count > UINT32_MAX)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%zu profiles at %p; give one or more",
                    profile_count, (const void *)profiles);
  for (size_t i = 0; i < profile_count; i++)
    if (!profiles[i])
      return qb__fail(QB_ERROR_INVALID_ARGUMENT, "profiles[%zu] is NULL", i);
  return QB_OK;
}

qb_status qb__qos_in(const qb_qos *theirs, qb_qos *ours)
{
  qb_qos qos = QB_QOS_INIT;
  if (theirs) {
    const qb_status status = QB__STRUCT_IN(qb_qos, &qos, theirs);
    if (status)
      return status;
  }
  if (qos.latency_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "qos.latency_ns is %lld; give a time above 0, or 0 for no target",
                    (long long)qos.latency_ns);
  if (!(qos.percentile >= 0 && qos.percentile < 100))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "qos.percentile is %g; give a number between 0 and 100, or 0 for 99",
                    qos.percentile);
  if (qos.deadline_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "qos.deadline_ns is %lld; give a time above 0, or 0 for no deadline",
                    (long long)qos.deadline_ns);
  if (!(qos.accuracy >= 0 && qos.accuracy <= 100))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "qos.accuracy is %g; give a percentage above 0, or 0 for 32-bit floats alone",
                    qos.accuracy);
  if (!(qos.budget >= 0 && isfinite(qos.budget)))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "qos.budget is %g; give an amount above 0, or 0 for no limit", qos.budget);
  if (!(qos.budget_per_hour >= 0 && isfinite(qos.budget_per_hour)))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "qos.budget_per_hour is %g; give a price above 0, or 0 for no limit",
                    qos.budget_per_hour);
  if ((unsigned)qos.objective > QB_OBJECTIVE_COST)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "qos.objective is %d; give a QB_OBJECTIVE_ value",
                    (int)qos.objective);
  if (qos.percentile == 0)
    qos.percentile = 99;
  *ours = qos;
  return QB_OK;
}

qb_status qb__job_in(const qb_job *theirs, qb_job *ours)
{
  const qb_status status = QB__STRUCT_IN(qb_job, ours, theirs);
  if (status)
    return status;
  if (ours->samples < 1 || ours->samples > UINT64_C(1) << 53)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "job.samples is %llu; give 1..2^53",
                    (unsigned long long)ours->samples);
  return QB_OK;
}

qb_status qb__load_in(const qb_load *theirs, bool may_be_any, qb_load *ours)
{
  const qb_status status = QB__STRUCT_IN(qb_load, ours, theirs);
  if (status)
    return status;
  const bool given = ours->rate_per_s > 0 && isfinite(ours->rate_per_s);
  if (!given && !(may_be_any && ours->rate_per_s == 0))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "load.rate_per_s is %g; give the samples that arrive per second, above 0",
                    ours->rate_per_s);
  if (!(ours->dispersion >= 0 && isfinite(ours->dispersion)) || ours->burst_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "load.dispersion is %g and .burst_ns %lld; give 0 or more", ours->dispersion,
                    (long long)ours->burst_ns);
  return QB_OK;
}

uint64_t qb__lower_limit(uint64_t a, uint64_t b)
{
  return a && (!b || a < b) ? a : b;
}

static void break_term(qb__fit *fit, qb_reason term, double need, double limit)
{
  fit->single = fit->met;
  fit->met = false;
  if (need / limit > fit->excess) {
    fit->excess = need / limit;
    fit->broken = term;
  }
}

qb__fit qb__fit_of(const qb_qos *qos, const qb__needs *needs)
{
  qb__fit fit = {.met = true, .broken = QB_REASON_NONE};
  if (qos->memory_bytes && needs->memory_bytes > qos->memory_bytes)
    break_term(&fit, QB_REASON_MEMORY, (double)needs->memory_bytes, (double)qos->memory_bytes);
  if (qos->budget > 0 && needs->budget > qos->budget)
    break_term(&fit, QB_REASON_BUDGET, needs->budget, qos->budget);
  if (qos->budget_per_hour > 0 && needs->budget_per_hour > qos->budget_per_hour)
    break_term(&fit, QB_REASON_BUDGET, needs->budget_per_hour, qos->budget_per_hour);
  if (qos->latency_ns && needs->latency_ns > qos->latency_ns)
    break_term(&fit, QB_REASON_SLO, (double)needs->latency_ns, (double)qos->latency_ns);
  if (qos->deadline_ns && needs->deadline_ns > qos->deadline_ns)
    break_term(&fit, QB_REASON_DEADLINE, (double)needs->deadline_ns, (double)qos->deadline_ns);
  if (needs->accuracy < qos->accuracy)
    break_term(&fit, QB_REASON_ACCURACY, INFINITY, 1);
  return fit;
}

static void note_time(int64_t need_ns, int64_t *nearest_ns)
{
  if (!*nearest_ns || need_ns < *nearest_ns)
    *nearest_ns = need_ns;
}

static void note_price(double need, double *nearest)
{
  if (*nearest == 0 || need < *nearest)
    *nearest = need;
}

void qb__nearest_note(const qb__fit *fit, const qb_qos *qos, const qb__needs *needs,
                      qb_nearest *nearest)
{
  if (!fit->single)
    return;
  switch (fit->broken) {
  case QB_REASON_MEMORY:
    if (!nearest->memory_bytes || needs->memory_bytes < nearest->memory_bytes)
      nearest->memory_bytes = needs->memory_bytes;
    break;
  case QB_REASON_BUDGET:
    if (qos->budget > 0 && needs->budget > qos->budget)
      note_price(needs->budget, &nearest->budget);
    else
      note_price(needs->budget_per_hour, &nearest->budget_per_hour);
    break;
  case QB_REASON_SLO: note_time(needs->latency_ns, &nearest->latency_ns); break;
  case QB_REASON_DEADLINE: note_time(needs->deadline_ns, &nearest->deadline_ns); break;
  case QB_REASON_ACCURACY: nearest->accuracy = fmax(nearest->accuracy, needs->accuracy); break;
  default: break;
  }
}
