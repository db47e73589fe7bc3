/* SPDX-License-Identifier: Apache-2.0 */
/* A profile whose rounds take once_ms + each_ms * batch: what is to be expected is known. */
#ifndef QB_SUPPORT_SCRIPTED_PROFILE_H
#define QB_SUPPORT_SCRIPTED_PROFILE_H

#include <qosbatch/profile.h>

/* Measured at every batch size; p95_factor: 95th percentile of single rounds over the median. */
qb_profile *scripted_profile(qb_context *context, const qb_configuration *configuration,
                             uint32_t max_batch, double once_ms, double each_ms, double p95_factor);

#endif
