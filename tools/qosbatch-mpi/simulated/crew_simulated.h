/* SPDX-License-Identifier: Apache-2.0 */
/* A crew whose rounds take the time that a profile says, and no work is done. */
#ifndef MPI_CREW_SIMULATED_H
#define MPI_CREW_SIMULATED_H

#include "crew.h"

#include <qosbatch/place.h>
#include <qosbatch/profile.h>

typedef struct crew_model {
  const qb_profile *profile;
  int64_t slow_from_ns; /* rounds that begin from then on take twice as long; INT64_MAX: never */
  uint64_t seed;        /* of the noise of rounds; not 0 */
} crew_model;

/* NULL if the profile has no such rounds. */
crew *crew_simulate(const crew_model *model, const qb_share *share);
void crew_free(crew *self); /* NULL is allowed */

#endif
