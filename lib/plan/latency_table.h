/* SPDX-License-Identifier: Apache-2.0 */
/* The rounds of one configuration, estimated once, so that a search over them only looks up. */
#ifndef QB_PLAN_LATENCY_TABLE_H
#define QB_PLAN_LATENCY_TABLE_H

#include <qosbatch/estimate.h>

/* Arrays are indexed by samples in the round, 0..max_batch; a round of 0 takes no time. */
typedef struct qb__latency_table {
  qb_configuration configuration;
  uint32_t max_batch;
  int64_t *latency_ns;
  int64_t *low_ns;
  int64_t *high_ns;
  int64_t *mean_ns; /* of single rounds */
  int64_t *slow_ns; /* the longest of high_ns, their 95th percentile and their mean */
  uint64_t *memory_bytes;
  /* The lognormal law of single rounds that has their mean and their 95th percentile: */
  int64_t *median_ns;
  double *spread; /* standard deviation of the logarithm */
} qb__latency_table;

/* Estimates the rounds of 1..max_batch samples; memory comes from the profile's context. */
qb_status qb__latency_table_init(const qb_profile *profile, const qb_configuration *configuration,
                                 uint32_t max_batch, qb__latency_table *table);

/* Estimates them anew, in the same memory. */
qb_status qb__latency_table_fill(const qb_profile *profile, qb__latency_table *table);

/* A table of zeros is allowed. */
void qb__latency_table_free(const qb_profile *profile, qb__latency_table *table);

#endif
