/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds that were measured before, visited again: a machine of which everything is known. */
#ifndef BENCH_REPLAY_TABLE_H
#define BENCH_REPLAY_TABLE_H

#include "profile/profile_data.h"
#include "profile/sweep.h"
#include "queue/random_stream.h"

/* Rows of a file that are alike, or one with the quantiles of many. */
typedef struct table_point {
  uint32_t instances, threads, batch;
  double latency_ns, p95_ns, mean_ns; /* of single rounds: median, 95th percentile, mean */
  double error; /* standard deviation of the logarithm of latency_ns; 0: not known */
} table_point;

typedef struct table {
  size_t point_count;
  table_point *points; /* by instances, threads, batch */
  size_t split_count;
  qb_configuration *splits;
  size_t batch_count;
  uint32_t *batches; /* rising: all that some split has */
} table;

/* All of these end the program with a message where they fail. */

table table_read(const char *path);

/* Takes the points over, in any order. */
table table_of(table_point *points, size_t count);
void table_free(table *t);

/* The table as it might have been measured, going by the errors of its points. */
table table_again(const table *t, qb__random_stream *random);

/* NULL: it was not measured. */
const table_point *table_find(const table *t, const qb_configuration *split, uint32_t batch);

/* Of a node of which nothing else is known. */
qb_profile *replay_profile(qb_context *context, const qb_profile_point *points, size_t count);

/* What is known when all is. */
qb_profile *table_truth(qb_context *context, const table *t);

/*
 * Visits that cost and show what they would have. Single rounds vary as the table says, most of all
 * from instance to instance; whole visits are longer by |z| times `unrest`, z normal, as neighbours
 * make them.
 */
typedef struct replay {
  const table *table;
  double unrest;
  int64_t opening_ns; /* what getting a split ready takes */
  qb__random_stream random;
  int64_t now_ns;
  size_t visits;
  double probe_ns; /* of visits alone */
  const qb_configuration *open;
  int64_t *round_ns;
} replay;

/* A context on the clock of the replay. */
qb_context *replay_context(replay *r);

typedef struct replay_run {
  replay *replay;
  const qb__sweep *sweep;
} replay_run;

extern const qb__visitor replay_visitor; /* its user is a replay_run */

#endif
