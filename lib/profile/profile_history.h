/* SPDX-License-Identifier: Apache-2.0 */
/* The history of a machine that a profile keeps: which sessions, and what a run adds to them. */
#ifndef QB_PROFILE_PROFILE_HISTORY_H
#define QB_PROFILE_PROFILE_HISTORY_H

#include "profile/profile_impl.h"
#include "profile/sweep.h"

/* Before anybody else sees the profile; `sessions`, in any order, are copied. */
qb_status qb__profile_set_sessions(qb_profile *profile, const qb__past_session *sessions,
                                   size_t count);

/* Gives a profile the sessions of a run that ended now, behind those that are known. */
qb_status qb__profile_take_sessions(qb_profile *profile, const qb__sweep *sweep,
                                    const qb_profile *known, int64_t now_unix_s);

#endif
