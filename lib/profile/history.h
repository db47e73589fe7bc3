/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's own history, kept beside the points of a profile. From session to session all
 * batch sizes of a configuration become faster or slower by one factor. What it was in past sessions
 * says how far a later one will be off, which no number of visits in one session can.
 */
#ifndef QB_PROFILE_HISTORY_H
#define QB_PROFILE_HISTORY_H

#include <qosbatch/session.h>

#include <stddef.h>
#include <stdint.h>

/* A session of a profile run. */
typedef struct qb__past_session {
  qb_configuration configuration;
  int64_t run_unix_s;        /* which run: when it ended */
  double level;              /* log of its times over the profile's, the same at all batch sizes */
  double thread_flops_per_s; /* by the yardstick; 0: not known */
} qb__past_session;

/* What sessions differ by, in logarithms. */
typedef struct qb__variation {
  double run_variance;     /* of the mean of a run's sessions */
  double session_variance; /* of a session around that */
  double freedom;          /* how sure the first is, in degrees of freedom */
  double speed_slope;      /* times follow the yardstick's speed to this power, 0..1 */
} qb__variation;

/* By configuration, then run; as qsort() wants it. */
int qb__past_session_compare(const void *a, const void *b);

/* `sessions` are in that order. None: what is known of machines in general. */
qb__variation qb__variation_of(const qb__past_session *sessions, size_t count);

/* How many runs a configuration was measured in. */
size_t qb__past_runs(const qb__past_session *sessions, size_t count, const qb_configuration *k);

/* 95 % half-width of a later session's level around the mean of `runs` > 0 runs. */
double qb__variation_half_width(const qb__variation *variation, size_t runs);

#endif
