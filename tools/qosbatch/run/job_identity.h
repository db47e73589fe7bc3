/* SPDX-License-Identifier: Apache-2.0 */
/* All that the output of a job depends on, so that a run goes on only with its own job. */
#ifndef TOOL_JOB_IDENTITY_H
#define TOOL_JOB_IDENTITY_H

#include "run/source.h"

/*
 * One line of JSON, to be freed; NULL after a message. Network and input are known by what is in
 * their files, all of which are read: names and times of change may be others, a byte may not.
 */
char *job_identity(const char *runner, const qb_model *model, const source *samples,
                   const conversion *how);

#endif
