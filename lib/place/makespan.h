/* SPDX-License-Identifier: Apache-2.0 */
/* How long a job takes on a fleet, and how sure that is. */
#ifndef QB_PLACE_MAKESPAN_H
#define QB_PLACE_MAKESPAN_H

#include "place/rounds.h"

/*
 * The largest of `workers` independent standard normal errors: its median, and how far its upper
 * end of the confidence asked for lies above that.
 */
typedef struct qb__spread {
  double confidence;
  double workers;
  double median;
  double above;
  double single; /* quantile of one error */
} qb__spread;

qb__spread qb__spread_of(double workers, double confidence);

/* Numbers from which the bill follows. */
typedef struct qb__makespan {
  double rounds_ns;    /* of the busiest instance, one after the other */
  int64_t total_ns;    /* expected, from the order on */
  int64_t total_95_ns; /* not exceeded with a chance of 95 % */
} qb__makespan;

/*
 * `most` samples on each instance in rounds of `batch` and one of what is left, on `nodes` nodes of
 * a type. `spread` is of all their instances, with the confidence of qb__confidence().
 */
qb__makespan qb__makespan_of(const qb_node_type *type, uint32_t nodes, const qb__rounds *rounds,
                             uint64_t most, uint32_t batch, const qb__spread *spread);

/* What each cause of delay must hold, so that all together hold 95 %. */
double qb__confidence(const qb_node_type *type);

#endif
