/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two parts of a job on a cluster. The dispatcher on rank 0 collects a profile from every
 * worker, places the job, deals out rounds and takes their results in. Workers are all ranks from
 * `first_worker` on: 0 where rank 0 works too, in a thread of its own.
 */
#ifndef MPI_CLUSTER_H
#define MPI_CLUSTER_H

#include "crew.h"

#include <qosbatch/place.h>
#include <qosbatch/profile.h>

/* Where rounds go; calls come from one thread. */
typedef struct cluster_sink {
  void *user;
  size_t row_elements; /* 0: rounds carry no rows */
  /* The job is placed and every worker is ready. Returns the exit status. */
  int (*begin)(void *user, const dispatch *work);
  /* A round is done. Returns the exit status. */
  int (*take)(void *user, const crew_round *round);
  /* Called a few times a second. */
  void (*progress)(void *user, const dispatch *work, int64_t elapsed_ns);
} cluster_sink;

typedef struct cluster_job {
  uint64_t samples;
  const bool *done;     /* by sample, from an earlier run; NULL: none */
  uint32_t fixed_batch; /* as in dispatch_params */
  double accuracy;
  int first_worker, workers;
} cluster_job;

/* A worker's part. */
typedef struct cluster_worker {
  void *user;
  const char *profile; /* its text, as saved */
  size_t profile_bytes;
  size_t row_elements;
  /* Makes a crew ready for a share; NULL with the reason in `failure`. */
  crew *(*prepare)(void *user, const qb_share *share, char failure[256]);
} cluster_worker;

/* What the dispatcher knows in the end. */
typedef struct cluster_result {
  dispatch *work;     /* dispatch_free() */
  int64_t elapsed_ns; /* from the first round dealt out to the last one taken in */
  int given_up;       /* ranks that are stopped, and will not end by themselves */
} cluster_result;

/* Returns the exit status, after a message; *result is filled all the same. */
int cluster_dispatch(qb_context *context, const cluster_job *job, const cluster_sink *sink,
                     cluster_result *result);

/* Returns when the dispatcher says so. */
void cluster_work(const cluster_worker *worker);

#endif
