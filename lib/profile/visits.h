/* SPDX-License-Identifier: Apache-2.0 */
/* Visits to points: a few rounds of one batch size in the configuration that is open. */
#ifndef QB_PROFILE_VISITS_H
#define QB_PROFILE_VISITS_H

#include "profile/sweep.h"

/* A visit goes on for this long at least: for a few short rounds, but not for a whole burst. */
enum { QB__VISIT_NS = 50000000 };

/* Tells the host what is done next, and how much of all is done. */
qb_status qb__visits_tell(qb__sweep *sweep, qb_phase phase, const qb_profile_point *point,
                          double done);

/* Visits a point, after an untimed round of `warm_up_batch`. */
qb_status qb__visits_add(const qb__sweep *sweep, qb__record *record, uint32_t warm_up_batch);

#endif
