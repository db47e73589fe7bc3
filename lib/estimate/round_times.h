/* SPDX-License-Identifier: Apache-2.0 */
/* The rounds of a profile on a node, estimated once, so that a search over them only looks up. */
#ifndef QB_ESTIMATE_ROUND_TIMES_H
#define QB_ESTIMATE_ROUND_TIMES_H

#include <qosbatch/estimate.h>

/*
 * Of one configuration. Arrays are indexed by samples in the round, 0..max_batch; a round of 0
 * takes no time. A larger round never has a lower mean.
 */
typedef struct qb__round_times {
  qb_configuration configuration;
  uint32_t max_batch;
  bool transferred; /* from another configuration or node */
  double accuracy;  /* of a set's: percent of the answers that are right; 0: not known */
  int64_t *latency_ns;
  int64_t *low_ns;
  int64_t *high_ns;
  int64_t *mean_ns; /* of single rounds */
  int64_t *p95_ns;  /* of single rounds */
  /*
   * The longest of p95_ns, mean_ns and the end of the interval as long as the machine is as it was
   * when it was profiled: who runs rounds sees when it is not.
   */
  int64_t *slow_ns;
  uint64_t *memory_bytes;
  /* The lognormal law of single rounds that has their mean and their 95th percentile: */
  int64_t *median_ns;
  double *spread; /* standard deviation of the logarithm */
} qb__round_times;

/*
 * Estimates the rounds of 1..max_batch samples. NULL stands for the profile's own node; memory
 * comes from the profile's context.
 */
qb_status qb__round_times_init(const qb_profile *profile, const qb_node *node,
                               const qb_configuration *configuration, uint32_t max_batch,
                               qb__round_times *table);

/* A table of zeros is allowed. */
void qb__round_times_free(const qb_profile *profile, qb__round_times *table);

/* Tables of all configurations to choose among. */
typedef struct qb__round_set {
  const qb_profile *profile;
  size_t count;
  qb__round_times *tables;
  bool transferred;   /* from another node */
  uint32_t max_batch; /* of all tables */
} qb__round_set;

/* How many configurations were measured. */
size_t qb__configuration_count(const qb_profile *profile);

/* The `index`-th of them, in the profile's order, and its largest measured batch. */
void qb__configuration_at(const qb_profile *profile, size_t index, qb_configuration *configuration,
                          uint32_t *max_batch);

/*
 * The measured configurations of a profile's first precision, or with `any` of those that are candidates
 * (qb__precision_is_candidate()), on a node (NULL: the profile's own). On another node an instance
 * keeps its threads where there are as many cores, and instances fill the same part of the node; of
 * configurations that become the same the first is kept. With `single`, for functions, all have one
 * instance. With `unmeasured` the profile's own node has its other splits, too, their times as sure as
 * measured ones. Free the set also after a failure.
 */
qb_status qb__round_set_init(const qb_profile *profile, const qb_node *node, bool single, bool any,
                             bool unmeasured, qb__round_set *set);

/* Whether there are splits of its node that the profile does not have, and c to estimate them by. */
bool qb__splits_are_missing(const qb_profile *profile);

/* Takes all rounds to last as long as the upper end of their interval. */
void qb__round_set_take_high(qb__round_set *set);

/* A set of zeros is allowed. */
void qb__round_set_free(qb__round_set *set);

#endif
