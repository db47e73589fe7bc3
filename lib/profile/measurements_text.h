/* SPDX-License-Identifier: Apache-2.0 */
/* Measurements that are in memory already. */
#ifndef QB_PROFILE_MEASUREMENTS_TEXT_H
#define QB_PROFILE_MEASUREMENTS_TEXT_H

#include <qosbatch/measurements.h>
#include <qosbatch/profile.h>

/*
 * As qb_profile_from_measurements(), of `bytes` bytes of CSV, which are changed. `path` stands in
 * messages and, without a model, names the profile; `params` is complete.
 */
qb_status qb__measurements_parse(qb_context *context, const char *path, char *text, size_t bytes,
                                 const qb_measurements_params *params, qb_profile **profile);

#endif
