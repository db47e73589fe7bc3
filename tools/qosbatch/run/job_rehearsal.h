/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a round of a job takes with all that is done around it: reading samples, handing them over,
 * writing rows and noting them. For a small network that is more than the round itself, and no
 * profile of the network knows it.
 */
#ifndef TOOL_JOB_REHEARSAL_H
#define TOOL_JOB_REHEARSAL_H

#include "run/job_runner.h"

/*
 * Runs the first rounds of a job for a tenth of a second or so, into files without a name in the
 * folder of `output`. `job` has neither output, journal nor what is done; *round_ns is the time
 * from round to round of an instance, 0 if there were too few. Returns the exit status, after a
 * message.
 */
int job_rehearse(const job_params *job, qb_session *session, const char *output, uint64_t columns,
                 double *round_ns);

#endif
