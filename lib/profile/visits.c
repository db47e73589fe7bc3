/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/visits.h"

#include "core/hooks.h"

#include <math.h>

qb_status qb__visits_tell(qb__sweep *sweep, qb_phase phase, const qb_profile_point *point,
                          double done)
{
  sweep->done = fmax(sweep->done, fmin(done, 1));
  return sweep->visitor->tell(sweep->user, phase, point, sweep->done);
}

qb_status qb__visits_add(const qb__sweep *sweep, qb__record *record, uint32_t warm_up_batch)
{
  const int64_t start_ns = qb__now_ns(sweep->context), last_ns = record->last_ns;
  int64_t rounds = last_ns > 0 ? QB__VISIT_NS / last_ns : 1;
  rounds = rounds < 1 ? 1 : rounds > QB__MOST_ROUNDS ? QB__MOST_ROUNDS : rounds;
  qb__visit seen;
  qb_status status = sweep->visitor->visit(sweep->user, record->point.batch, (uint32_t)rounds,
                                           warm_up_batch, &seen);
  if (!status)
    status = qb__record_add(sweep->context, record, &seen);
  if (!status) {
    record->visits[record->visit_count - 1].session = sweep->session;
    record->session_visits++;
  }
  record->visit_ns = qb__now_ns(sweep->context) - start_ns;
  return status;
}
