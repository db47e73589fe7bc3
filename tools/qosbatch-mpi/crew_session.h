/* SPDX-License-Identifier: Apache-2.0 */
/* A crew that runs rounds of a source's samples in a session. */
#ifndef MPI_CREW_SESSION_H
#define MPI_CREW_SESSION_H

#include "crew.h"
#include "run/source.h"

#include <qosbatch/place.h>

/*
 * Starts a thread for each instance. Batch sizes are made ready before: that of the share, its half,
 * its quarter and 1, of which any smaller round is made up. NULL with the reason in `failure`.
 */
crew *crew_start(qb_model *model, const qb_profile *profile, source *samples, const qb_share *share,
                 char failure[256]);

/* Rounds that wait are dropped. NULL is allowed. */
void crew_stop(crew *self);

#endif
