/* SPDX-License-Identifier: Apache-2.0 */
/* How fast a configuration as a whole was in each session of a run, and in earlier runs. */
#ifndef QB_PROFILE_LEVELS_H
#define QB_PROFILE_LEVELS_H

#include "profile/history.h"
#include "profile/points.h"

/*
 * Where sessions of a run, seconds apart, differ by more than a quarter at all batch sizes together, a
 * neighbour was busy in the slower one: its visits become as long as if it had been like the other. To be
 * called with all records finished; those of which it changed visits are to be finished again.
 *
 * @return whether there were any
 */
bool qb__levels_align(qb__points *points);

/*
 * Joins what a run measured with what is known. First both are moved to the mean level of all runs,
 * as from run to run all batch sizes of a configuration become faster or slower by one factor; then
 * they are joined point by point. Points that the run did not visit are moved, too. If the level
 * differs by more than a quarter, the run stands alone. To be called once, with all records
 * finished.
 */
void qb__levels_join(qb__points *points);

/* A thread's FLOP/s at the mean level, after joining; `run_flops` are those of the run. */
double qb__levels_speed(const qb__points *points, double run_flops);

/*
 * The sessions of the run, at most QB__SESSIONS, with levels over the joined points; none without
 * visits. One session alone stands for the run.
 */
qb_status qb__levels_of(const qb_context *context, const qb__points *points, int64_t run_unix_s,
                        qb__past_session sessions[QB__SESSIONS], size_t *count);

#endif
