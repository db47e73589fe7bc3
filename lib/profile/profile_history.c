/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/profile_history.h"

#include "core/alloc.h"
#include "profile/levels.h"

#include <stdlib.h>
#include <string.h>

/* Of a configuration; the oldest are forgotten. */
enum { MOST_RUNS = 12 };

qb_status qb__profile_set_sessions(qb_profile *profile, const qb__past_session *sessions,
                                   size_t count)
{
  qb__past_session *copy = qb__calloc(profile->context, count, sizeof *copy);
  if (!copy)
    return QB_ERROR_NO_MEMORY;
  if (count) {
    memcpy(copy, sessions, count * sizeof *copy);
    qsort(copy, count, sizeof *copy, qb__past_session_compare);
  }
  qb__free(profile->context, profile->sessions);
  profile->sessions = copy;
  profile->session_count = count;
  profile->variation = qb__variation_of(copy, count);
  profile->info.runs = 0;
  for (size_t i = 0; i < profile->point_count; i++) {
    const size_t runs = qb__profile_runs(profile, &profile->points[i].configuration);
    if (runs > profile->info.runs)
      profile->info.runs = (uint32_t)runs;
  }
  return QB_OK;
}

/*
 * What is known of a configuration, at the level that joining moved it to. A profile without a
 * history was made by one run.
 */
static size_t take_known(const qb_profile *known, const qb__points *points,
                         qb__past_session *sessions)
{
  const qb_configuration *k = &points->configuration;
  const size_t runs = qb__past_runs(known->sessions, known->session_count, k);
  int64_t oldest_unix_s = INT64_MIN;
  size_t count = 0;
  for (size_t i = 0; i < known->session_count; i++) {
    const qb__past_session *each = &known->sessions[i];
    if (qb__configuration_compare(&each->configuration, k))
      continue;
    if (!count && runs >= MOST_RUNS && oldest_unix_s == INT64_MIN)
      oldest_unix_s = each->run_unix_s;
    if (each->run_unix_s == oldest_unix_s)
      continue;
    sessions[count] = *each;
    sessions[count++].level += points->known_level;
  }
  if (!runs)
    sessions[count++] = (qb__past_session){.configuration = *k,
                                           .run_unix_s = known->info.created_unix_s,
                                           .level = points->known_level};
  return count;
}

/* Later than any that is known, whatever the clock says. */
static int64_t time_of_run(const qb_profile *known, int64_t now_unix_s)
{
  int64_t latest = known ? known->info.created_unix_s : INT64_MIN;
  for (size_t i = 0; known && i < known->session_count; i++)
    if (known->sessions[i].run_unix_s > latest)
      latest = known->sessions[i].run_unix_s;
  return now_unix_s > latest ? now_unix_s : latest + 1;
}

qb_status qb__profile_take_sessions(qb_profile *profile, const qb__sweep *sweep,
                                    const qb_profile *known, int64_t now_unix_s)
{
  const size_t room = sweep->curve_count * (QB__SESSIONS + 1) + (known ? known->session_count : 0);
  const int64_t run_unix_s = time_of_run(known, now_unix_s);
  qb__past_session *sessions = qb__calloc(sweep->context, room, sizeof *sessions);
  if (!sessions)
    return QB_ERROR_NO_MEMORY;
  size_t count = 0;
  qb_status status = QB_OK;
  for (size_t k = 0; k < sweep->curve_count && !status; k++) {
    const qb__points *points = &sweep->curves[k];
    size_t added = 0;
    if (points->known_runs && !points->known_is_over)
      count += take_known(known, points, &sessions[count]);
    status = qb__levels_of(sweep->context, points, run_unix_s, &sessions[count], &added);
    count += added;
  }
  if (!status)
    status = qb__profile_set_sessions(profile, sessions, count);
  qb__free(sweep->context, sessions);
  return status;
}

const qb__variation *qb__profile_variation(const qb_profile *profile)
{
  return &profile->variation;
}

size_t qb__profile_runs(const qb_profile *profile, const qb_configuration *k)
{
  return qb__past_runs(profile->sessions, profile->session_count, k);
}
