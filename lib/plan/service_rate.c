/* SPDX-License-Identifier: Apache-2.0 */
/* The highest rate that a candidate to run a service holds. */
#include "plan/service_search.h"

#include <math.h>

static const double STEP = 0.01;

/* A step that is not held may lie below one that is: a faster load fills batches sooner. */
enum { LOOK_BEYOND = 3 };

double qb__rate_of_step(int step)
{
  return exp(STEP * step);
}

int qb__rate_step_below(double rate_per_s)
{
  return (int)floor(log(rate_per_s) / STEP);
}

static qb_status holds(const qb__service_search *search, const qb__service_candidate *candidate,
                       int step, bool *held)
{
  qb__queue_report report;
  const qb_status status = qb__service_analyse(search, candidate, qb__rate_of_step(step), &report);
  const int64_t target_ns = search->qos.latency_ns;
  *held = !status && !report.saturated && (!target_ns || report.latency_ns <= target_ns);
  return status;
}

/* Between a step that is held and one that is not, or is not asked about: the last that is. */
static qb_status halve(const qb__service_search *search, const qb__service_candidate *candidate,
                       int high, int *low)
{
  /* Most candidates do not hold the next step when a search has come far. */
  for (int next = *low + 1; next < high; next = *low + (high - *low) / 2) {
    bool held;
    const qb_status status = holds(search, candidate, next, &held);
    if (status)
      return status;
    if (held)
      *low = next;
    else
      high = next;
    if (high - *low < 2)
      break;
  }
  return QB_OK;
}

/* The first of a few steps beyond the next one that is held; `low` if none is. */
static qb_status look_beyond(const qb__service_search *search,
                             const qb__service_candidate *candidate, int end, int low, int *found)
{
  *found = low;
  for (int step = low + 2; step < end && step <= low + LOOK_BEYOND; step++) {
    bool held;
    const qb_status status = holds(search, candidate, step, &held);
    if (status || held) {
      *found = step;
      return status;
    }
  }
  return QB_OK;
}

qb_status qb__service_highest_step(const qb__service_search *search,
                                   const qb__service_candidate *candidate, int from, int most,
                                   int *step)
{
  const int full = qb__rate_step_below(candidate->capacity_per_s);
  const int end = (full < most ? full : most) + 1;
  int found = from;
  do {
    *step = found;
    qb_status status = halve(search, candidate, end, step);
    found = *step;
    if (!status && *step > from)
      status = look_beyond(search, candidate, end, *step, &found);
    if (status)
      return status;
  } while (found > *step);
  return QB_OK;
}
