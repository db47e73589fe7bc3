/* SPDX-License-Identifier: Apache-2.0 */
/* The profiles that a job is planned by: the user's own, or those that are made for the job alone. */
#ifndef TOOL_JOB_PROFILE_H
#define TOOL_JOB_PROFILE_H

#include "common/measure.h"

#include <qosbatch/qosbatch.h>

struct source; /* run/source.h */

typedef struct job_demand {
  const char *model, *profile, *int8; /* names; profile NULL: one is made, int8 NULL: none */
  struct source *input;
  uint64_t samples;
  int64_t deadline_ns;       /* from start_ns on; 0: none */
  int64_t start_ns;          /* of the command, CLOCK_MONOTONIC */
  uint64_t reserve_cores;    /* RESERVE_USUAL: the profile's */
  double budget;             /* 0: none */
  double price_per_hour;     /* 0: the profile's */
  double accuracy;           /* percent of the answers that have to be right; 0: not asked for */
  precision_list precisions; /* that were asked for */
  bool quiet;
} job_demand;

/* Fills an empty list. Returns the exit status, after a message. */
int job_profile_get(qb_context *context, qb_model *model, const job_demand *demand,
                    profile_list *list);

#endif
