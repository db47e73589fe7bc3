/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which candidates are worth measuring, and how long: found out by first looks, and by visits that
 * may change an answer.
 */
#ifndef QB_PROFILE_SCOUTING_H
#define QB_PROFILE_SCOUTING_H

#include "profile/search.h"
#include "profile/sweep.h"

/* All candidates are of one precision. */
typedef struct qb__scouting {
  qb__sweep *sweep;   /* of them alone */
  int64_t share_ns;   /* of the sweep's budget, to scout in */
  double from, part;  /* of all progress */
  qb__search *search; /* to be freed by the caller, also after a failure */
  int64_t start_ns;
  size_t open; /* curve; SIZE_MAX: none */
  size_t openings;
  int64_t visiting_ns;
  double opening_ns; /* what it takes to get a configuration and its batch sizes ready */
} qb__scouting;

/* Visits candidates for about scouting->share_ns, or until no answer is open. */
qb_status qb__scouting_run(qb__scouting *scouting);

/*
 * Divides the time of one session of each among the candidates that may be the best answer to a
 * question, as far as they can be got ready in half of it: fills in session_ns, by how much the errors
 * of their points matter, and that as the weights of these.
 */
qb_status qb__scouting_share_out(qb__scouting *scouting, double round_ns);

/* Says where more time could change an answer, when the sweep is over. */
void qb__scouting_tell_what_is_open(const qb__scouting *scouting);

#endif
