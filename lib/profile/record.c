/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/record.h"

#include "core/alloc.h"
#include "profile/composite.h"
#include "profile/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Visits, or yardsticks, that differ by no more than this tell of the same conditions. */
static const double ALIKE = 0.10;

static void clear_visit(const qb_context *context, qb__visit_note *visit)
{
  qb__free(context, visit->round_ns);
  qb__free(context, visit->part_ns);
}

void qb__record_clear(const qb_context *context, qb__record *record)
{
  for (size_t i = 0; i < record->visit_count; i++)
    clear_visit(context, &record->visits[i]);
  qb__free(context, record->visits);
  record->visits = NULL;
  record->visit_count = record->visit_capacity = 0;
}

qb_status qb__record_add(const qb_context *context, qb__record *record, const qb__visit *visit)
{
  qb__visit_note note = {
      .flops = visit->flops, .most_flops = visit->most_flops, .round_count = visit->count};
  note.round_ns = qb__calloc(context, visit->count, sizeof *note.round_ns);
  note.part_ns = qb__calloc(context, visit->parts, sizeof *note.part_ns);
  if (!note.round_ns || !note.part_ns ||
      !qb__grow(context, &record->visits, record->visit_count, &record->visit_capacity,
                sizeof *record->visits)) {
    clear_visit(context, &note);
    return QB_ERROR_NO_MEMORY;
  }
  for (size_t p = 0; p < visit->parts; p++) {
    for (size_t i = 0; i < visit->count; i++)
      note.round_ns[i] = visit->part_ns[i * visit->parts + p];
    qb__sort_ns(note.round_ns, visit->count);
    note.part_ns[p] = qb__quantile_ns(note.round_ns, visit->count, 0.5);
    note.sum_ns += note.part_ns[p];
  }
  memcpy(note.round_ns, visit->round_ns, visit->count * sizeof *note.round_ns);
  qb__sort_ns(note.round_ns, visit->count);
  record->parts = visit->parts;
  record->last_ns = note.sum_ns;
  record->visits[record->visit_count++] = note;
  return QB_OK;
}

static int by_sum(const void *a, const void *b)
{
  const qb__visit_note *x = a, *y = b;
  return x->sum_ns < y->sum_ns ? -1 : x->sum_ns > y->sum_ns;
}

/* Of the `count` fastest visits; 0 FLOP/s: a clock that does not tell. */
static bool disturbed(const qb__visit_note *visits, size_t count, double full_flops)
{
  double flops = 0;
  for (size_t i = 0; i < count; i++)
    flops = fmax(flops, visits[i].flops);
  return (double)visits[count - 1].sum_ns > (1 + ALIKE) * (double)visits[0].sum_ns ||
         (flops > 0 && flops < (1 - ALIKE) * full_flops);
}

/*
 * Of all visits that were hardly slower than the `kept` fastest. What neighbours do is left out,
 * but a quota comes again, however long the rounds go on.
 */
static qb_status single_rounds(const qb_context *context, const qb__record *record, size_t kept,
                               int64_t *p95_ns, int64_t *mean_ns)
{
  const qb__visit_note *visits = record->visits;
  const double most_ns =
      record->throttled ? INFINITY : (1 + ALIKE) * (double)visits[kept - 1].sum_ns;
  size_t alike = 0, count = 0;
  for (; alike < record->visit_count && (double)visits[alike].sum_ns <= most_ns; alike++)
    count += visits[alike].round_count;
  int64_t *round_ns = qb__calloc(context, count, sizeof *round_ns);
  if (!round_ns)
    return QB_ERROR_NO_MEMORY;
  size_t filled = 0;
  for (size_t v = 0; v < alike; filled += visits[v++].round_count)
    memcpy(round_ns + filled, visits[v].round_ns, visits[v].round_count * sizeof *round_ns);
  qb__sort_ns(round_ns, count);
  *p95_ns = qb__quantile_ns(round_ns, count, 0.95);
  *mean_ns = qb__mean_ns(round_ns, count);
  qb__free(context, round_ns);
  return QB_OK;
}

/*
 * How much longer a round takes than an undisturbed one, of which `share` is the old measurement's.
 */
static double joint_ratio(int64_t old_ns, int64_t old_latency_ns, int64_t new_ns,
                          int64_t new_latency_ns, double share)
{
  return pow((double)old_ns / (double)old_latency_ns, share) *
         pow((double)new_ns / (double)new_latency_ns, 1 - share);
}

void qb__point_join(qb_profile_point *point, const qb_profile_point *known)
{
  if (known->low_ns > point->high_ns || known->high_ns < point->low_ns)
    return;
  const double least = 1e-3; /* an interval that is a point tells that clocks are coarse */
  const double old_width = fmax(log((double)known->high_ns / (double)known->low_ns), least);
  const double new_width = fmax(log((double)point->high_ns / (double)point->low_ns), least);
  const double share = 1 / (1 + pow(old_width / new_width, 2)); /* of the old one */
  const double latency_ns =
      pow((double)known->latency_ns, share) * pow((double)point->latency_ns, 1 - share);
  const double narrower = sqrt(1 - share); /* than the new one's alone */
  const double below = log((double)point->latency_ns / (double)point->low_ns);
  const double above = log((double)point->high_ns / (double)point->latency_ns);
  const double p95 =
      joint_ratio(known->p95_ns, known->latency_ns, point->p95_ns, point->latency_ns, share);
  const double mean =
      joint_ratio(known->mean_ns, known->latency_ns, point->mean_ns, point->latency_ns, share);
  point->latency_ns = (int64_t)(latency_ns + 0.5);
  point->low_ns = (int64_t)(latency_ns * exp(-below * narrower));
  point->high_ns = (int64_t)ceil(latency_ns * exp(above * narrower));
  point->p95_ns = (int64_t)ceil(latency_ns * p95);
  point->mean_ns = (int64_t)ceil(latency_ns * mean);
  point->visits += known->visits;
  point->set_aside += known->set_aside;
  point->disturbed = point->disturbed && known->disturbed;
}

uint32_t qb__visits_of(const qb_profile_point *point)
{
  return point->visits + point->set_aside;
}

qb_profile_point qb__record_joined(const qb__record *record)
{
  qb_profile_point point = record->point;
  if (record->known && record->visit_count)
    qb__point_join(&point, record->known);
  return point;
}

bool qb__point_is_sure(const qb_profile_point *point, double goal)
{
  const double allowed_ns = goal * (double)point->latency_ns;
  return !point->disturbed && (double)(point->high_ns - point->latency_ns) <= allowed_ns &&
         (double)(point->latency_ns - point->low_ns) <= allowed_ns;
}

qb_status qb__record_finish(const qb_context *context, qb__record *record, double full_flops)
{
  qb_profile_point *point = &record->point;
  const size_t count = record->visit_count;
  if (!count)
    return QB_OK; /* known, or not yet */
  qsort(record->visits, count, sizeof *record->visits, by_sum);
  int64_t *part_ns = qb__calloc(context, count, record->parts * sizeof *part_ns);
  if (!part_ns)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < count; i++)
    memcpy(part_ns + record->parts * i, record->visits[i].part_ns, record->parts * sizeof *part_ns);
  qb__composite made;
  qb_status status = qb__compose(context, part_ns, count, record->parts, &made);
  int64_t p95_ns = 0, mean_ns = 0;
  if (!status)
    status = single_rounds(context, record, made.kept, &p95_ns, &mean_ns);
  if (!status) {
    point->visits = (uint32_t)made.kept;
    point->set_aside = (uint32_t)(count - made.kept);
    point->disturbed = disturbed(record->visits, made.kept, full_flops);
    point->latency_ns = made.latency_ns;
    point->low_ns = made.low_ns;
    point->high_ns = made.high_ns;
    point->p95_ns = p95_ns > made.latency_ns ? p95_ns : made.latency_ns;
    point->mean_ns = mean_ns > made.latency_ns ? mean_ns : made.latency_ns;
  }
  qb__free(context, part_ns);
  return status;
}
