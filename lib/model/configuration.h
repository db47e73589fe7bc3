/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QB_MODEL_CONFIGURATION_H
#define QB_MODEL_CONFIGURATION_H

#include <qosbatch/model.h>

enum { QB__MAX_INSTANCES = 65536, QB__MAX_THREADS = 65536 };

/*
 * Checks a host's configuration: members in range, a precision that this build computes, and
 * nothing reserved set. Every public call that takes one comes through here.
 */
qb_status qb__configuration_check(const qb_configuration *configuration);

#endif
