/* SPDX-License-Identifier: Apache-2.0 */
/* The part of service planning that a running service repeats when its rate changes. */
#ifndef QB_OPTIMIZE_SERVICE_H
#define QB_OPTIMIZE_SERVICE_H

#include "optimize/latency_table.h"

#include <qosbatch/qos.h>

/*
 * The longest wait with the least predicted latency at qos's percentile, the configuration and the
 * largest batch given; 0 when the rate is beyond the capacity, as then batches fill by themselves.
 */
qb_status qb__service_best_wait(const qb_context *context, const qb__latency_table *table,
                                uint32_t batch, double rate_per_s, const qb_qos *qos,
                                int64_t *max_wait_ns);

#endif
