/* SPDX-License-Identifier: Apache-2.0 */
/* What the optimizer asks of a profile beside qb_estimate(). */
#ifndef QB_ESTIMATE_ESTIMATE_H
#define QB_ESTIMATE_ESTIMATE_H

#include <qosbatch/estimate.h>

/* How many configurations were measured. */
size_t qb__configuration_count(const qb_profile *profile);

/* The `index`-th of them, in the profile's order, and its largest measured batch. */
void qb__configuration_at(const qb_profile *profile, size_t index, qb_configuration *configuration,
                          uint32_t *max_batch);

#endif
