/* SPDX-License-Identifier: Apache-2.0 */
/* The highest rate that a way to run a service holds. */
#include "plan/service_search.h"

#include <math.h>

static const double STEP = 0.01;

/* A rung that is not held may lie below one that is: a faster load fills batches sooner. */
enum { LOOK_BEYOND = 3 };

double qb__service_rung_rate(int rung)
{
  return exp(STEP * rung);
}

int qb__service_rung_below(double rate_per_s)
{
  return (int)floor(log(rate_per_s) / STEP);
}

static qb_status holds(const qb__service_search *search, const qb__service_way *way, int rung,
                       bool *held)
{
  qb__queue_report report;
  const qb_status status = qb__service_analyse(search, way, qb__service_rung_rate(rung), &report);
  const int64_t target_ns = search->qos.latency_ns;
  *held = !status && !report.saturated && (!target_ns || report.latency_ns <= target_ns);
  return status;
}

/* Between a rung that is held and one that is not, or is not asked about: the last that is. */
static qb_status halve(const qb__service_search *search, const qb__service_way *way, int high,
                       int *low)
{
  /* Most ways do not hold the next rung when a search has come far. */
  for (int next = *low + 1; next < high; next = *low + (high - *low) / 2) {
    bool held;
    const qb_status status = holds(search, way, next, &held);
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

/* The first of a few rungs beyond the next one that is held; `low` if none is. */
static qb_status look_beyond(const qb__service_search *search, const qb__service_way *way, int end,
                             int low, int *found)
{
  *found = low;
  for (int rung = low + 2; rung < end && rung <= low + LOOK_BEYOND; rung++) {
    bool held;
    const qb_status status = holds(search, way, rung, &held);
    if (status || held) {
      *found = rung;
      return status;
    }
  }
  return QB_OK;
}

qb_status qb__service_highest_rung(const qb__service_search *search, const qb__service_way *way,
                                   int from, int most, int *rung)
{
  const int full = qb__service_rung_below(way->capacity_per_s);
  const int end = (full < most ? full : most) + 1;
  int found = from;
  do {
    *rung = found;
    qb_status status = halve(search, way, end, rung);
    found = *rung;
    if (!status && *rung > from)
      status = look_beyond(search, way, end, *rung, &found);
    if (status)
      return status;
  } while (found > *rung);
  return QB_OK;
}
