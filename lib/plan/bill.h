/* SPDX-License-Identifier: Apache-2.0 */
/* Bills. */
#ifndef QB_PLAN_BILL_H
#define QB_PLAN_BILL_H

#include "estimate/round_times.h"

#include <qosbatch/catalogue.h>

/* Time that is billed for a time that was used. */
int64_t qb__billed_ns(const qb_billing *billing, int64_t used_ns);

/* QB_BILLING_TIME: `nodes` nodes for a time. */
double qb__cost_of_time(const qb_billing *billing, uint32_t nodes, int64_t used_ns);

/*
 * QB_BILLING_CALLS: a job of `samples` samples, as evenly as possible on `workers` workers, each
 * call `stretch` times as long as expected; the start-up of each worker is billed as time.
 */
double qb__cost_of_calls(const qb_node_type *type, const qb__round_times *table, uint64_t samples,
                         uint64_t workers, uint32_t batch, double stretch);

/* QB_BILLING_CALLS: a single call. */
double qb__cost_of_call(const qb_node_type *type, double time_ns);

#endif
