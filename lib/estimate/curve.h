/* SPDX-License-Identifier: Apache-2.0 */
/* The time of a round over the batch size, for one configuration, from its measured points. */
#ifndef QB_ESTIMATE_CURVE_H
#define QB_ESTIMATE_CURVE_H

#include <qosbatch/estimate.h>

typedef struct qb__curve_value {
  double latency_ns;
  double low_ns, high_ns; /* 95 % interval, of the sessions that were measured */
  double p95_ns;
  double mean_ns; /* of single rounds; never falls with the batch size */
  double memory_bytes;
  double thread_flops_per_s; /* beside the points; 0: not known */
  qb_source source;          /* never QB_SOURCE_TRANSFERRED */
} qb__curve_value;

/* `points` are those of one configuration by rising batch, `count` >= 1; `batch` >= 1. */
qb__curve_value qb__curve_at(const qb_profile_point *points, size_t count, uint32_t batch);

#endif
