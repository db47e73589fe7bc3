/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a job while it runs and when it is done. */
#ifndef TOOL_JOB_REPORT_H
#define TOOL_JOB_REPORT_H

#include "run/job_plan.h"
#include "run/job_runner.h"
#include "run/pace.h"

typedef struct job_report {
  const char *model, *input, *output;
  const job_demand *demand;
  const job_plan *plan;
  uint64_t samples, done_before; /* of the job; by earlier runs of it */
  row_counts rows_before;        /* of those */
  uint64_t left_out;             /* entries of the folder that are no samples */
  int64_t elapsed_before_ns;     /* of earlier runs */
  int64_t prepare_ns;
  int64_t hash_ns;   /* to read what the network and the samples are */
  double reading_ns; /* time of a core that reading a sample takes */
  bool core_left;    /* for reading, beside the rounds */
  uint32_t batch;    /* at the end */
  job_state state;
  bool slow_told, late_told;
} job_report;

/* Of this run's samples, from the first round on. */
int64_t job_report_predicted_ns(const job_report *self);

/* The bar, and once each what the plan did not foresee: a slow machine, a deadline missed. */
void job_report_progress(job_report *self, const pace *speed);

void job_report_json(const job_report *self);
void job_report_text(const job_report *self);

#endif
