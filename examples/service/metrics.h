/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_METRICS_H
#define SERVICE_METRICS_H

#include "batcher.h"

/* In Prometheus' text format; free(). NULL when there is no memory. */
char *metrics_text(batcher *b, const qb_service_plan *plan, const qb_qos *qos);

#endif
