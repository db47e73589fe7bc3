/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/sweep.h"

#include "core/alloc.h"
#include "core/hooks.h"
#include "model/configuration.h"
#include "profile/levels.h"
#include "profile/scouting.h"
#include "profile/visits.h"

#include <math.h>

/* Fewer visits say too little of how they vary, so no point is sure before. */
enum { FEWEST_SURE_VISITS = 6 };

/* The share of a session's progress that preparation stands for. */
static const double PREPARATION = 0.2;

/* What a search may take of the time: the rest makes what it found certain. */
static const double SEARCH = 0.6;

/* A configuration being measured, over a part of the progress. */
typedef struct stint {
  qb__points *points;
  bool first;
  int64_t share_ns;
  double from, part; /* of all progress */
} stint;

static double progress_of(const stint *t, double done)
{
  return t->from + t->part * fmin(done, 1);
}

/* The largest comes first, for memory to be taken once. */
static qb_status prepare_all(qb__sweep *s, const stint *t)
{
  qb__points *c = t->points;
  qb_status status = QB_OK;
  for (size_t i = c->count; i-- > 0 && !status;) {
    qb_profile_point *point = &c->records[i].point;
    if (c->records[i].settled && !c->records[i].anchor)
      continue;
    const double done = (double)(c->count - 1 - i) / (double)c->count;
    status = qb__visits_tell(s, QB_PHASE_PREPARE, point, progress_of(t, PREPARATION * done));
    if (!status)
      status = s->visitor->prepare(s->user, point);
  }
  return status;
}

static qb_status visit_until_sure(const qb__sweep *s, const qb__points *c, qb__record *record)
{
  qb_status status = qb__visits_add(s, record, qb__points_smallest_open(c));
  if (status || (!record->known && record->visit_count < FEWEST_SURE_VISITS))
    return status;
  status = qb__record_finish(s->context, record, c->thread_flops_per_s);
  const qb_profile_point joined = qb__record_joined(record);
  record->sure = !status && qb__point_is_sure(&joined, s->goal);
  return status;
}

/*
 * Visits the batch sizes of a session, interleaved, until most of another visit would be beyond its
 * share of the time, or all points are sure. Every point is visited at least once, whatever that takes,
 * unless it is settled.
 */
static qb_status measure(qb__sweep *s, const stint *t, int64_t budget_ns)
{
  const qb__points *c = t->points;
  const int64_t start_ns = qb__now_ns(s->context);
  int64_t elapsed_ns = 0;
  qb__record *next;
  while ((next = qb__points_next(c, t->first)) &&
         (elapsed_ns + next->visit_ns / 2 < budget_ns || !next->visit_count)) {
    const double done = PREPARATION + (1 - PREPARATION) * (double)elapsed_ns / (double)budget_ns;
    qb_status status = qb__visits_tell(s, QB_PHASE_MEASURE, &next->point, progress_of(t, done));
    if (!status)
      status = visit_until_sure(s, c, next);
    if (status)
      return status;
    elapsed_ns = qb__now_ns(s->context) - start_ns;
  }
  s->measure_ns += elapsed_ns;
  return qb__visits_tell(s, QB_PHASE_MEASURE, &c->records[c->count - 1].point, progress_of(t, 1));
}

/* What getting ready has left of a session's share; at least half, or little would be measured. */
static int64_t time_left(const qb__sweep *s, int64_t start_ns, int64_t share_ns)
{
  const int64_t left_ns = share_ns - (qb__now_ns(s->context) - start_ns);
  return left_ns > share_ns / 2 ? left_ns : share_ns / 2;
}

static qb_status run_session(qb__sweep *s, size_t index, const stint *t)
{
  const int64_t start_ns = qb__now_ns(s->context);
  qb__points_begin_session(t->points);
  qb_status status =
      s->visitor->open(s->user, s->first + index, qb__points_largest_open(t->points));
  if (!status)
    status = prepare_all(s, t);
  if (!status)
    status = measure(s, t, time_left(s, start_ns, t->share_ns));
  if (!status && t->first && s->adaptive)
    status = qb__points_add_where_it_bends(s->context, t->points);
  s->visitor->close(s->user);
  return status;
}

/* The candidates of each precision. */
typedef struct searches {
  size_t count;
  qb__sweep sweeps[QB__PRECISIONS];
  qb__scouting scoutings[QB__PRECISIONS];
} searches;

/* The curves from `first` on that have its precision, with their share of the time. */
static qb__sweep part_of(const qb__sweep *all, size_t first)
{
  qb__sweep part = *all;
  part.first = all->first + first;
  part.curves = all->curves + first;
  part.prior_ns = all->prior_ns + first * all->batch_count;
  part.curve_count = 0;
  for (size_t k = first; k < all->curve_count && all->curves[k].configuration.precision ==
                                                     part.curves->configuration.precision;
       k++)
    part.curve_count++;
  const double share = (double)part.curve_count / (double)all->curve_count;
  part.budget_ns = (int64_t)(share * (double)all->budget_ns);
  return part;
}

/* One precision after the other: a search over all would measure the fastest one alone. */
static qb_status search_all(qb__sweep *all, searches *made)
{
  qb_status status = QB_OK;
  for (size_t first = 0; first < all->curve_count && !status;) {
    qb__sweep *part = &made->sweeps[made->count];
    qb__scouting *x = &made->scoutings[made->count++];
    *part = part_of(all, first);
    const double each = SEARCH / (double)all->curve_count;
    *x = (qb__scouting){.sweep = part,
                        .share_ns = (int64_t)(SEARCH * (double)part->budget_ns),
                        .from = each * (double)first,
                        .part = each * (double)part->curve_count};
    status = qb__scouting_run(x);
    all->measure_ns = part->measure_ns;
    all->done = part->done;
    first += part->curve_count;
  }
  return status;
}

/* The time of a session of each: the same, or what a candidate's answers are worth. */
static qb_status share_out(const qb__sweep *s, searches *made, int64_t left_ns)
{
  const int64_t rounds = QB__SESSIONS + 1 - s->session;
  const double round_ns = (double)(left_ns > rounds ? left_ns / rounds : 1);
  qb_status status = QB_OK;
  for (size_t i = 0; i < made->count && !status; i++) {
    const double share = (double)made->sweeps[i].curve_count / (double)s->curve_count;
    status = qb__scouting_share_out(&made->scoutings[i], share * round_ns);
  }
  for (size_t k = 0; k < s->curve_count && !made->count; k++)
    s->curves[k].session_ns = 1 + s->budget_ns / (int64_t)(QB__SESSIONS * s->curve_count);
  return status;
}

/* A session of each that has time for one, over a part of all progress. */
static qb_status run_round(qb__sweep *s, double from, double part)
{
  double all_ns = 0, spent_ns = 0;
  for (size_t k = 0; k < s->curve_count; k++)
    all_ns += (double)s->curves[k].session_ns;
  for (size_t k = 0; k < s->curve_count; k++) {
    const int64_t its_ns = s->curves[k].session_ns;
    if (!its_ns || !qb__points_largest_open(&s->curves[k]))
      continue;
    const stint t = {&s->curves[k], s->session == 1, its_ns, from + part * spent_ns / all_ns,
                     part * (double)its_ns / all_ns};
    const qb_status status = run_session(s, k, &t);
    if (status)
      return status;
    spent_ns += (double)its_ns;
  }
  return QB_OK;
}

static qb_status run_sessions(qb__sweep *s, searches *made, int64_t start_ns)
{
  const double from = s->done, part = (1 - from) / QB__SESSIONS;
  qb_status status = QB_OK;
  for (s->session = 1; s->session <= QB__SESSIONS && !status; s->session++) {
    status = share_out(s, made, s->budget_ns - (qb__now_ns(s->context) - start_ns));
    if (!status)
      status = run_round(s, from + part * (s->session - 1), part);
  }
  return status;
}

static qb_status finish_points(const qb__sweep *s, const qb__points *points)
{
  qb_status status = QB_OK;
  for (size_t i = 0; i < points->count && !status; i++)
    status = qb__record_finish(s->context, &points->records[i], points->thread_flops_per_s);
  return status;
}

static qb_status finish(const qb__sweep *s)
{
  qb_status status = QB_OK;
  for (size_t k = 0; k < s->curve_count && !status; k++) {
    status = finish_points(s, &s->curves[k]);
    if (!status && qb__levels_align(&s->curves[k]))
      status = finish_points(s, &s->curves[k]);
  }
  if (status)
    return status;
  qb__points_lend_spread(s->curves, s->curve_count);
  for (size_t k = 0; k < s->curve_count; k++)
    qb__levels_join(&s->curves[k]);
  return QB_OK;
}

qb_status qb__sweep_run(qb__sweep *sweep)
{
  const int64_t start_ns = qb__now_ns(sweep->context);
  searches *made = qb__calloc(sweep->context, 1, sizeof *made);
  qb_status status = made ? QB_OK : QB_ERROR_NO_MEMORY;
  if (!status && sweep->prior_ns)
    status = search_all(sweep, made);
  if (!status)
    status = run_sessions(sweep, made, start_ns);
  if (!status)
    status = finish(sweep);
  for (size_t i = 0; made && i < made->count; i++) {
    if (!status)
      qb__scouting_tell_what_is_open(&made->scoutings[i]);
    qb__search_free(made->scoutings[i].search);
  }
  qb__free(sweep->context, made);
  return status;
}
