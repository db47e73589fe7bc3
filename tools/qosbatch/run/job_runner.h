/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of a job: one reads samples ahead, one for each instance runs rounds, writes their
 * rows and notes them in the journal. The caller watches, and may change the batch size.
 */
#ifndef TOOL_JOB_RUNNER_H
#define TOOL_JOB_RUNNER_H

#include "run/journal.h"
#include "run/results.h"
#include "run/source.h"

#include <qosbatch/session.h>

typedef struct job_runner job_runner;

/* All of it belongs to the caller and outlives the runner. */
typedef struct job_params {
  qb_model *model;
  uint32_t instances, batch;
  source *samples;
  results *output;
  journal *progress;
  bool *done;                /* by sample: not to be run; changed as the job goes */
  int64_t elapsed_before_ns; /* by earlier runs of the job */
} job_params;

typedef struct job_state {
  bool ended;       /* all is done, or something failed, or it was stopped */
  uint64_t samples; /* done by this run */
  row_counts rows;  /* of them */
  uint64_t rounds;
  int64_t elapsed_ns; /* since job_run(); until the last round once it ended */
  int64_t busy_ns;    /* instances were running rounds, all together */
  int64_t waiting_ns; /* instances were waiting for samples, all together */
} job_state;

/*
 * Sizes of the last rounds, over which the rest is spread evenly: *larger and, if not 0, *smaller.
 */
void job_last_rounds(uint64_t samples, uint32_t instances, uint32_t batch, uint32_t *larger,
                     uint32_t *smaller);

/*
 * Begins to read samples, so that they are there when the session is ready. Returns the exit
 * status, after a message.
 */
int job_start(const job_params *params, job_runner **started);

/*
 * Time of a core that reading a sample takes, in the fastest of the rounds that were read by now,
 * as the first one waits for a decoder to start. 0: none was.
 */
double job_reading_ns(job_runner *self);

/* Begins to run rounds, once, in a session of the instances announced. Returns the exit status. */
int job_run(job_runner *self, qb_session *session);

/* Waits for so many milliseconds, or until the job has ended. */
void job_watch(job_runner *self, int milliseconds, job_state *state);

/* For rounds that are not being read yet. */
void job_set_batch(job_runner *self, uint32_t batch);

/* No new rounds are begun. */
void job_stop(job_runner *self);

/*
 * Waits for the threads to end and frees the job, run or stopped. Returns the exit status; the
 * message was given.
 */
int job_join(job_runner *self);

#endif
