/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/points.h"

#include "core/alloc.h"
#include "profile/statistics.h"

#include <math.h>
#include <string.h>

/* With fewer visits noise and shape cannot be told apart. */
enum { FEWEST_VISITS_OF_SHAPE = 4 };

/* Fewer visits saw too little of how rounds vary: what was seen elsewhere counts for the rest. */
enum { FEWEST_SPREAD_VISITS = 4 };

/* Points that are settled but short tell how fast the machine is now, by as many visits a session. */
static const int64_t ANCHOR_NS = 50000000;
enum { ANCHOR_VISITS = 3 };

/* Linear interpolation that misses a point between two by more than this has to be helped. */
static const double LARGEST_BEND = 0.03;

void qb__points_clear(const qb_context *context, qb__points *points)
{
  for (size_t i = 0; i < points->count; i++)
    qb__record_clear(context, &points->records[i]);
  qb__free(context, points->records);
  points->records = NULL;
  points->count = points->capacity = 0;
}

qb_status qb__points_find(const qb_context *context, qb__points *points, uint32_t batch,
                          qb__record **record)
{
  size_t at = points->count;
  while (at > 0 && points->records[at - 1].point.batch > batch)
    at--;
  if (at > 0 && points->records[at - 1].point.batch == batch) {
    *record = &points->records[at - 1];
    return QB_OK;
  }
  if (!qb__grow(context, &points->records, points->count, &points->capacity,
                sizeof *points->records))
    return QB_ERROR_NO_MEMORY;
  *record = &points->records[at];
  memmove(*record + 1, *record, (points->count - at) * sizeof **record);
  memset(*record, 0, sizeof **record);
  (*record)->point.size = sizeof(*record)->point;
  (*record)->point.configuration = points->configuration;
  (*record)->point.batch = batch;
  (*record)->throttled = points->throttled;
  (*record)->weight = 1;
  points->count++;
  return QB_OK;
}

qb_status qb__points_add(const qb_context *context, qb__points *points, uint32_t batch)
{
  qb__record *ignored;
  return qb__points_find(context, points, batch, &ignored);
}

qb_status qb__points_add_known(const qb_context *context, qb__points *points,
                               const qb_profile_point *known, double goal)
{
  qb__record *record;
  const qb_status status = qb__points_find(context, points, known->batch, &record);
  if (status)
    return status;
  record->point = *known;
  record->known = known;
  record->settled = qb__point_is_sure(known, goal);
  record->anchor = record == points->records || known->latency_ns <= ANCHOR_NS;
  return QB_OK;
}

/* Half-width of a point's interval, as a logarithm; infinite where too little was seen to tell. */
static double noise(const qb__record *record)
{
  const qb_profile_point *p = &record->point;
  return p->disturbed || qb__visits_of(p) < FEWEST_VISITS_OF_SHAPE
             ? INFINITY
             : 0.5 * log((double)p->high_ns / (double)p->low_ns);
}

/*
 * How far the time of a point is from where its neighbours would put it, as a logarithm, beyond
 * what noise explains.
 */
static double bend(const qb__record *left, const qb__record *mid, const qb__record *right)
{
  const double b0 = left->point.batch, b1 = right->point.batch;
  const double t0 = (double)left->point.latency_ns, t1 = (double)right->point.latency_ns;
  const double guess_ns = t0 + (t1 - t0) * (mid->point.batch - b0) / (b1 - b0);
  return fabs(log((double)mid->point.latency_ns / guess_ns)) - noise(left) - noise(mid) -
         noise(right);
}

qb_status qb__points_add_where_it_bends(const qb_context *context, qb__points *points)
{
  const size_t before = points->count;
  uint32_t *added = qb__calloc(context, 2 * before, sizeof *added);
  if (!added)
    return QB_ERROR_NO_MEMORY;
  size_t count = 0;
  qb_status status = QB_OK;
  for (size_t i = 0; i < before && !status; i++)
    status = qb__record_finish(context, &points->records[i], points->thread_flops_per_s);
  for (size_t i = 1; i + 1 < before && !status; i++) {
    const qb__record *left = &points->records[i - 1], *mid = left + 1, *right = mid + 1;
    if (bend(left, mid, right) > LARGEST_BEND) {
      added[count++] = (uint32_t)lround(sqrt((double)left->point.batch * mid->point.batch));
      added[count++] = (uint32_t)lround(sqrt((double)mid->point.batch * right->point.batch));
    }
  }
  for (size_t i = 0; i < count && !status; i++)
    status = qb__points_add(context, points, added[i]);
  qb__free(context, added);
  return status;
}

qb_status qb__points_full_speed(const qb_context *context, const qb__points *points,
                                uint32_t session, double *flops)
{
  size_t count = 0;
  for (size_t i = 0; i < points->count; i++)
    count += points->records[i].visit_count;
  *flops = points->count ? points->records[0].point.thread_flops_per_s : 0;
  if (!count)
    return QB_OK;
  int64_t *seen = qb__calloc(context, count, sizeof *seen);
  if (!seen)
    return QB_ERROR_NO_MEMORY;
  count = 0;
  for (size_t i = 0; i < points->count; i++)
    for (size_t v = 0; v < points->records[i].visit_count; v++)
      if (!session || points->records[i].visits[v].session == session)
        seen[count++] = (int64_t)points->records[i].visits[v].most_flops;
  qb__sort_ns(seen, count);
  if (count)
    *flops = (double)qb__quantile_ns(seen, count, 0.75);
  qb__free(context, seen);
  return QB_OK;
}

void qb__points_begin_session(qb__points *points)
{
  for (size_t i = 0; i < points->count; i++)
    points->records[i].session_visits = 0;
}

static bool is_open(const qb__record *record)
{
  return !record->settled || record->anchor;
}

/* Whether the configuration needs another visit of the point, which others may have beside it. */
static bool is_needed(const qb__record *record)
{
  return record->settled ? record->anchor && record->session_visits < ANCHOR_VISITS : !record->sure;
}

qb__record *qb__points_next(const qb__points *points, bool sure_too)
{
  qb__record *next = NULL;
  double least = INFINITY;
  bool needed = false;
  for (size_t i = 0; i < points->count; i++) {
    qb__record *record = &points->records[i];
    needed |= is_needed(record);
    if (!is_needed(record) && (record->settled || !sure_too))
      continue;
    const double visits = (double)record->visit_count;
    const double cost =
        visits > 0 ? visits * visits * (double)record->visit_ns / record->weight : -1;
    if (cost < least) {
      least = cost;
      next = record;
    }
  }
  return needed ? next : NULL;
}

/* What points of many visits have in common, as logarithms over their latency. */
typedef struct spread {
  double p95, mean;
  size_t points;
} spread;

static void add_spread(const qb__points *curve, spread *sum)
{
  for (size_t i = 0; i < curve->count; i++) {
    const qb_profile_point *p = &curve->records[i].point;
    if (qb__visits_of(p) < FEWEST_SPREAD_VISITS)
      continue;
    sum->p95 += log((double)p->p95_ns / (double)p->latency_ns);
    sum->mean += log((double)p->mean_ns / (double)p->latency_ns);
    sum->points++;
  }
}

/* One visit sees how rounds vary in its own moment, which is less than they do. */
static void lend_spread(qb_profile_point *p, const spread *common)
{
  const double missing = ((double)FEWEST_SPREAD_VISITS - qb__visits_of(p)) / FEWEST_SPREAD_VISITS /
                         (double)common->points;
  const double p95 = (double)p->latency_ns * exp(missing * common->p95);
  const double mean = (double)p->latency_ns * exp(missing * common->mean);
  p->p95_ns = llround(fmax((double)p->p95_ns, p95));
  p->mean_ns = llround(fmax((double)p->mean_ns, mean));
}

void qb__points_lend_spread(qb__points *curves, size_t curve_count)
{
  spread all = {0, 0, 0};
  for (size_t k = 0; k < curve_count; k++)
    add_spread(&curves[k], &all);
  for (size_t k = 0; k < curve_count && all.points; k++) {
    spread own = {0, 0, 0};
    add_spread(&curves[k], &own);
    for (size_t i = 0; i < curves[k].count; i++) {
      qb_profile_point *p = &curves[k].records[i].point;
      if (qb__visits_of(p) && qb__visits_of(p) < FEWEST_SPREAD_VISITS)
        lend_spread(p, own.points ? &own : &all);
    }
  }
}

uint32_t qb__points_smallest_open(const qb__points *points)
{
  for (size_t i = 0; i < points->count; i++)
    if (is_open(&points->records[i]))
      return points->records[i].point.batch;
  return 0;
}

uint32_t qb__points_largest_open(const qb__points *points)
{
  uint32_t largest = 0;
  for (size_t i = 0; i < points->count; i++)
    if (is_open(&points->records[i]))
      largest = points->records[i].point.batch;
  return largest;
}
