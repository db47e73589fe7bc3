/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/record.h"

#include "core/alloc.h"
#include "profile/statistics.h"

/* A visit is undisturbed when its yardstick reached this share of the full speed. */
static const double UNDISTURBED = 0.95;

/* With fewer undisturbed visits than these, the yardstick says less than the visits themselves. */
enum { FEWEST_VISITS = 3 };

void qb__record_clear(const qb_context *context, qb__record *record)
{
  qb__free(context, record->visits);
  qb__free(context, record->rounds);
  record->visits = NULL;
  record->rounds = NULL;
}

qb_status qb__record_add(const qb_context *context, qb__record *record, const qb__visit *visit)
{
  if (!qb__grow(context, &record->visits, record->visit_count, &record->visit_capacity,
                sizeof *record->visits))
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < visit->count; i++) {
    if (!qb__grow(context, &record->rounds, record->round_count, &record->round_capacity,
                  sizeof *record->rounds))
      return QB_ERROR_NO_MEMORY;
    const qb__round_note note = {visit->round_ns[i], visit->flops};
    record->rounds[record->round_count++] = note;
  }
  qb__sort_ns(visit->round_ns, visit->count);
  const qb__visit_note note = {qb__quantile_ns(visit->round_ns, visit->count, 0.5), visit->flops};
  record->visits[record->visit_count++] = note;
  return QB_OK;
}

/* 0 FLOP/s: a clock that does not tell; such visits are taken as they are. */
static bool undisturbed(double flops, double full_flops)
{
  return flops == 0 || flops >= UNDISTURBED * full_flops;
}

/*
 * The quantile of all visits that is taken for a disturbed point. A disturbance only ever makes a
 * round longer, so the fast visits are those it touched least. (Tried: dividing by the yardstick.
 * It lasts far shorter than a round, so it overstates what it happens to see.)
 */
static const double FAST = 0.25;

static size_t take(const qb__record *record, double full_flops, bool all, bool rounds,
                   int64_t *values)
{
  size_t count = 0;
  const size_t most = rounds ? record->round_count : record->visit_count;
  for (size_t i = 0; i < most; i++) {
    const double flops = rounds ? record->rounds[i].flops : record->visits[i].flops;
    if (all || undisturbed(flops, full_flops))
      values[count++] = rounds ? record->rounds[i].latency_ns : record->visits[i].median_ns;
  }
  qb__sort_ns(values, count);
  return count;
}

qb_status qb__record_finish(const qb_context *context, qb__record *record, double full_flops)
{
  qb_profile_point *point = &record->point;
  const size_t room =
      record->round_count > record->visit_count ? record->round_count : record->visit_count;
  int64_t *values = qb__calloc(context, room, sizeof *values);
  if (!values)
    return QB_ERROR_NO_MEMORY;
  size_t count = take(record, full_flops, false, false, values);
  point->set_aside = (uint32_t)(record->visit_count - count);
  point->disturbed = point->set_aside > 0 && count < FEWEST_VISITS;
  if (point->disturbed)
    count = take(record, full_flops, true, false, values);
  point->visits = (uint32_t)count;
  point->latency_ns = qb__quantile_ns(values, count, point->disturbed ? FAST : 0.5);
  qb__median_interval_ns(values, count, &point->low_ns, &point->high_ns);
  if (point->low_ns > point->latency_ns)
    point->low_ns = point->latency_ns;

  count = take(record, full_flops, point->disturbed, true, values);
  point->p95_ns = qb__quantile_ns(values, count, 0.95);
  if (point->p95_ns < point->latency_ns)
    point->p95_ns = point->latency_ns;
  qb__free(context, values);
  return QB_OK;
}
