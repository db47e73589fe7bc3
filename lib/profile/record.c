/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/record.h"

#include "core/alloc.h"
#include "profile/statistics.h"

#include <math.h>

/* A visit is undisturbed when its yardstick reached this share of the full speed. */
static const double UNDISTURBED = 0.95;

/* Fewer undisturbed visits than these say less than all of them rescaled. */
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

static int64_t rescaled(int64_t latency_ns, double flops, double full_flops)
{
  return flops == 0 || flops >= full_flops ? latency_ns
                                           : llround((double)latency_ns * flops / full_flops);
}

qb_status qb__record_finish(const qb_context *context, qb__record *record, double full_flops)
{
  qb_profile_point *point = &record->point;
  const size_t room =
      record->round_count > record->visit_count ? record->round_count : record->visit_count;
  int64_t *values = qb__calloc(context, room, sizeof *values);
  if (!values)
    return QB_ERROR_NO_MEMORY;
  size_t good = 0;
  for (size_t i = 0; i < record->visit_count; i++)
    good += undisturbed(record->visits[i].flops, full_flops);
  const size_t enough =
      record->visit_count < FEWEST_VISITS ? record->visit_count : (size_t)FEWEST_VISITS;
  point->disturbed = good < enough;
  point->visits = (uint32_t)(point->disturbed ? record->visit_count : good);
  point->set_aside = (uint32_t)(record->visit_count - good);

  size_t count = 0;
  for (size_t i = 0; i < record->visit_count; i++) {
    const qb__visit_note *v = &record->visits[i];
    if (point->disturbed || undisturbed(v->flops, full_flops))
      values[count++] =
          point->disturbed ? rescaled(v->median_ns, v->flops, full_flops) : v->median_ns;
  }
  qb__sort_ns(values, count);
  point->latency_ns = qb__quantile_ns(values, count, 0.5);
  qb__median_interval_ns(values, count, &point->low_ns, &point->high_ns);

  count = 0;
  for (size_t i = 0; i < record->round_count; i++) {
    const qb__round_note *r = &record->rounds[i];
    if (point->disturbed || undisturbed(r->flops, full_flops))
      values[count++] =
          point->disturbed ? rescaled(r->latency_ns, r->flops, full_flops) : r->latency_ns;
  }
  qb__sort_ns(values, count);
  point->p95_ns = qb__quantile_ns(values, count, 0.95);
  if (point->p95_ns < point->latency_ns)
    point->p95_ns = point->latency_ns;
  qb__free(context, values);
  return QB_OK;
}
