/* SPDX-License-Identifier: Apache-2.0 */
/* The highest rate that a way to run a service holds. */
#include "optimize/service_search.h"

#include <math.h>

static const double STEP = 0.01;

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

qb_status qb__service_highest_rung(const qb__service_search *search, const qb__service_way *way,
                                   int from, int most, int *rung)
{
  const int full = qb__service_rung_below(way->capacity_per_s);
  int low = from, high = (full < most ? full : most) + 1;
  /* Most ways do not hold the next rung when a search has come far. */
  for (int next = from + 1; next < high; next = low + (high - low) / 2) {
    bool held;
    const qb_status status = holds(search, way, next, &held);
    if (status)
      return status;
    if (held)
      low = next;
    else
      high = next;
    if (high - low < 2)
      break;
  }
  *rung = low;
  return QB_OK;
}
