/* SPDX-License-Identifier: Apache-2.0 */
/* A profile of points that were not measured by this library. */
#ifndef QB_PROFILE_PROFILE_GIVEN_H
#define QB_PROFILE_PROFILE_GIVEN_H

#include <qosbatch/measurements.h>
#include <qosbatch/profile.h>

enum { QB__MAX_GIVEN_POINTS = 100000, QB__MAX_GIVEN_CORES = 65536 };

/* Where the points are from. */
typedef struct qb__points_origin {
  const char *engine;
  const char *name; /* of the model, where params names none */
  int64_t created_unix_s;
  int64_t measure_ns;
} qb__points_origin;

/* As qb_profile_from_points(), of points and params of ours that are complete. */
qb_status qb__profile_of_given(qb_context *context, const qb__points_origin *origin,
                               const qb_measurements_params *params, const qb_profile_point *points,
                               size_t count, qb_profile **profile);

#endif
