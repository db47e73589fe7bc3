/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far each term is from a demand that nothing meets. A candidate that breaks one term alone
 * would do if that term were as the candidate needs it; the least of these over all candidates is
 * exact, because which candidates there are does not depend on the demand.
 */
#include "plan/service_search.h"

#include <math.h>

/* A share is found from counts: this keeps what is reported on the feasible side of rounding. */
static const double INSIDE = 1 - 1e-9;

static bool within_other_terms(const qb__service_search *s, const qb__service_candidate *candidate)
{
  const qb_qos others = {.memory_bytes = s->qos.memory_bytes,
                         .budget_per_hour = s->qos.budget_per_hour,
                         .latency_ns = s->qos.latency_ns,
                         .accuracy = s->qos.accuracy};
  const qb__needs needs = {.memory_bytes = candidate->table->memory_bytes[candidate->batch],
                           .budget_per_hour = candidate->site->price_per_hour,
                           .latency_ns = candidate->drained_ns,
                           .accuracy = candidate->table->accuracy};
  return qb__fit_of(&others, &needs).met;
}

/*
 * The highest rate at which any candidate meets the other terms; 0 if none does even at a low one.
 */
static qb_status find_rate(const qb__service_search *s, double *rate_per_s)
{
  const int lowest = qb__rate_step_below(qb__service_idle_rate(s));
  const int asked = qb__rate_step_below(s->load.rate_per_s);
  int best = lowest, before;
  do { /* a candidate that misses the next step may reach that after a higher one */
    before = best;
    for (size_t i = 0; i < s->candidate_count; i++)
      if (within_other_terms(s, &s->candidates[i])) {
        const qb_status status = qb__service_highest_step(s, &s->candidates[i], best, asked, &best);
        if (status)
          return status;
      }
  } while (best > before);
  *rate_per_s = best > lowest ? qb__rate_of_step(best) : 0;
  return QB_OK;
}

qb_status qb__service_nearest(const qb__service_search *search, qb_nearest *nearest)
{
  qb_nearest n = {.latency_ns = 0};
  for (size_t i = 0; i < search->candidate_count; i++) {
    const qb__service_candidate *candidate = &search->candidates[i];
    if (candidate->report.saturated)
      continue;
    qb__nearest_note(&candidate->fit, &search->qos, &candidate->needs, &n);
    if (candidate->fit.single && candidate->fit.broken == QB_REASON_SLO &&
        within_other_terms(search, candidate))
      n.percentile = fmax(n.percentile, 100 * INSIDE * candidate->report.in_time);
  }
  const qb_status status = find_rate(search, &n.rate_per_s);
  if (!status)
    *nearest = n;
  return status;
}
