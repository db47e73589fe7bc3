/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/levels.h"

#include <math.h>

/* A node that differs by this much is another one: as qb_profile_check() has it for c. */
static const double ANOTHER = 0.25;

/* No more runs than these count: the machine of long ago is less and less that of today. */
static const double MOST_WEIGHT = 7;

/* An interval that is a point tells that clocks are coarse. */
static const double LEAST_WIDTH = 1e-3;

static double width_of(const qb_profile_point *p)
{
  return fmax(log((double)p->high_ns / (double)p->low_ns), LEAST_WIDTH);
}

/* The log of what the run measured over what is known, by precision; false if nothing tells. */
static bool find_shift(const qb__points *points, double *shift)
{
  double sum = 0, weights = 0;
  for (size_t i = 0; i < points->count; i++) {
    const qb__record *r = &points->records[i];
    if (!r->known || !r->visit_count)
      continue;
    const double weight = 1 / (pow(width_of(&r->point), 2) + pow(width_of(r->known), 2));
    sum += weight * log((double)r->point.latency_ns / (double)r->known->latency_ns);
    weights += weight;
  }
  *shift = sum / weights;
  return weights > 0;
}

static int64_t scaled_ns(int64_t ns, double factor)
{
  const int64_t scaled = llround((double)ns * factor);
  return scaled > 1 ? scaled : 1;
}

static void scale(qb_profile_point *p, double factor)
{
  p->latency_ns = scaled_ns(p->latency_ns, factor);
  p->low_ns = scaled_ns(p->low_ns, factor);
  p->high_ns = scaled_ns(p->high_ns, factor);
  p->p95_ns = scaled_ns(p->p95_ns, factor);
  p->mean_ns = scaled_ns(p->mean_ns, factor);
}

void qb__levels_join(qb__points *points)
{
  double shift;
  if (!find_shift(points, &shift))
    return;
  points->known_is_over = fabs(shift) > log1p(ANOTHER);
  const double share =
      points->known_is_over ? 1 : 1 / (fmin((double)points->known_runs, MOST_WEIGHT) + 1);
  points->run_share = share;
  points->known_level = -shift * share;
  points->run_level = shift * (1 - share);
  for (size_t i = 0; i < points->count; i++) {
    qb__record *r = &points->records[i];
    qb_profile_point known = r->known ? *r->known : r->point;
    scale(&known, exp(-points->known_level));
    scale(&r->point, exp(-points->run_level));
    if (!r->visit_count)
      r->point = known;
    else if (r->known && !points->known_is_over)
      qb__point_join(&r->point, &known);
  }
}

double qb__levels_speed(const qb__points *points, double run_flops)
{
  for (size_t i = 0; i < points->count && points->run_share > 0; i++) {
    const qb_profile_point *known = points->records[i].known;
    if (known && known->thread_flops_per_s > 0)
      return pow(run_flops, points->run_share) *
             pow(known->thread_flops_per_s, 1 - points->run_share);
  }
  return run_flops;
}

/* The mean logarithm of the faster half of a session's visits; NAN: there is none. */
static double time_in(const qb__record *record, uint32_t session)
{
  size_t count = 0, taken = 0;
  double sum = 0;
  for (size_t v = 0; v < record->visit_count; v++)
    count += record->visits[v].session == session;
  const size_t kept = (count + 1) / 2;
  for (size_t v = 0; v < record->visit_count && taken < kept; v++) /* the fastest come first */
    if (record->visits[v].session == session) {
      sum += log((double)record->visits[v].sum_ns);
      taken++;
    }
  return kept ? sum / (double)kept : NAN;
}

/* By how much each session was off their mean, at batch sizes that all of them visited. */
static size_t compare_sessions(const qb__points *points, double off[QB__SESSIONS])
{
  size_t compared = 0;
  for (size_t i = 0; i < points->count; i++) {
    double times[QB__SESSIONS], mean = 0;
    for (uint32_t s = 0; s < QB__SESSIONS; s++) {
      times[s] = time_in(&points->records[i], s + 1);
      mean += times[s] / QB__SESSIONS;
    }
    if (isnan(mean))
      continue;
    for (uint32_t s = 0; s < QB__SESSIONS; s++)
      off[s] += times[s] - mean;
    compared++;
  }
  for (uint32_t s = 0; s < QB__SESSIONS && compared; s++)
    off[s] /= (double)compared;
  return compared;
}

static void scale_visit(qb__visit_note *visit, size_t parts, double factor)
{
  visit->sum_ns = scaled_ns(visit->sum_ns, factor);
  for (size_t p = 0; p < parts; p++)
    visit->part_ns[p] = scaled_ns(visit->part_ns[p], factor);
  for (size_t i = 0; i < visit->round_count; i++)
    visit->round_ns[i] = scaled_ns(visit->round_ns[i], factor);
}

bool qb__levels_align(qb__points *points)
{
  double off[QB__SESSIONS] = {0}, fastest = INFINITY;
  bool aligned = false;
  if (!compare_sessions(points, off))
    return false;
  for (uint32_t s = 0; s < QB__SESSIONS; s++)
    fastest = fmin(fastest, off[s]);
  for (uint32_t s = 0; s < QB__SESSIONS; s++) {
    if (off[s] - fastest <= log1p(ANOTHER))
      continue;
    aligned = true;
    for (size_t i = 0; i < points->count; i++) {
      qb__record *r = &points->records[i];
      for (size_t v = 0; v < r->visit_count; v++)
        if (r->visits[v].session == s + 1)
          scale_visit(&r->visits[v], r->parts, exp(fastest - off[s]));
    }
  }
  return aligned;
}

qb_status qb__levels_of(const qb_context *context, const qb__points *points, int64_t run_unix_s,
                        qb__past_session sessions[QB__SESSIONS], size_t *count)
{
  double off[QB__SESSIONS] = {0};
  bool visited = false;
  qb_status status = QB_OK;
  *count = 0;
  for (size_t i = 0; i < points->count; i++)
    visited |= points->records[i].visit_count > 0;
  if (!visited)
    return QB_OK;
  const bool is_whole = !compare_sessions(points, off);
  const size_t made = is_whole ? 1 : QB__SESSIONS;
  for (uint32_t s = 0; s < made && !status; s++) {
    sessions[s] = (qb__past_session){.configuration = points->configuration,
                                     .run_unix_s = run_unix_s,
                                     .level = points->run_level + off[s]};
    status = qb__points_full_speed(context, points, is_whole ? 0 : s + 1,
                                   &sessions[s].thread_flops_per_s);
  }
  *count = status ? 0 : made;
  return status;
}
