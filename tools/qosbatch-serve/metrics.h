/* SPDX-License-Identifier: Apache-2.0 */
/* What Prometheus is told. */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H

#include "batcher.h"
#include "door.h"

#include <stdatomic.h>

enum { MOST_STATUS = 600 };

/* Answers by HTTP status. */
typedef struct response_counts {
  atomic_uint_least64_t by_status[MOST_STATUS];
} response_counts;

/* In Prometheus' text format; free(). NULL when there is no memory. */
char *metrics_text(batcher *b, const qb_qos *qos, response_counts *responses,
                   const door_counts *connections, size_t memory_bytes);

#endif
