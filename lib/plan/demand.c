/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/demand.h"

#include "core/error.h"
#include "core/structs.h"

#include <math.h>

qb_status qb__profiles_check(const qb_profile *const *profiles, size_t profile_count)
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
    const qb_status status = qb__struct_in(&qos, sizeof qos, sizeof qos, theirs, "qos");
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
  if (qos->budget_per_hour > 0 && needs->budget_per_hour > qos->budget_per_hour)
    break_term(&fit, QB_REASON_BUDGET, needs->budget_per_hour, qos->budget_per_hour);
  if (qos->latency_ns && needs->latency_ns > qos->latency_ns)
    break_term(&fit, QB_REASON_SLO, (double)needs->latency_ns, (double)qos->latency_ns);
  if (qos->deadline_ns && needs->deadline_ns > qos->deadline_ns)
    break_term(&fit, QB_REASON_DEADLINE, (double)needs->deadline_ns, (double)qos->deadline_ns);
  return fit;
}

void qb__nearest_note(const qb__fit *fit, const qb__needs *needs, qb_nearest *nearest)
{
  if (!fit->single)
    return;
  switch (fit->broken) {
  case QB_REASON_MEMORY:
    if (!nearest->memory_bytes || needs->memory_bytes < nearest->memory_bytes)
      nearest->memory_bytes = needs->memory_bytes;
    break;
  case QB_REASON_BUDGET:
    if (nearest->budget_per_hour == 0 || needs->budget_per_hour < nearest->budget_per_hour)
      nearest->budget_per_hour = needs->budget_per_hour;
    break;
  case QB_REASON_SLO:
    if (!nearest->latency_ns || needs->latency_ns < nearest->latency_ns)
      nearest->latency_ns = needs->latency_ns;
    break;
  case QB_REASON_DEADLINE:
    if (!nearest->deadline_ns || needs->deadline_ns < nearest->deadline_ns)
      nearest->deadline_ns = needs->deadline_ns;
    break;
  default: break;
  }
}
