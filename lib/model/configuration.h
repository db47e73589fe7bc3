/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QB_MODEL_CONFIGURATION_H
#define QB_MODEL_CONFIGURATION_H

#include <qosbatch/model.h>

enum { QB__MAX_INSTANCES = 65536, QB__MAX_THREADS = 65536, QB__PRECISIONS = 3 };

/*
 * Checks a host's configuration: members in range, and nothing reserved set. Every public call that
 * takes one comes through here. Whether a model can be computed in a precision is the engine's to
 * say.
 */
qb_status qb__configuration_check(const qb_configuration *configuration);

/* By precision, then instances, then threads: the order of a profile; 0: the same. */
int qb__configuration_compare(const qb_configuration *a, const qb_configuration *b);

#endif
