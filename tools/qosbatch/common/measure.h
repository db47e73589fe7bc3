/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring within a time budget, with a progress bar. Returned is the exit status. */
#ifndef TOOL_MEASURE_H
#define TOOL_MEASURE_H

#include <qosbatch/profile.h>

/* Takes at most a quarter of a budget, which may be 0 for the library's; *left_ns is the rest. */
int measure_node(qb_context *context, double price_per_hour, double budget_s, qb_node **node,
                 int64_t *left_ns);

int measure_profile(qb_model *model, qb_node *node, const qb_profile_params *params, bool quiet,
                    qb_profile **profile);

#endif
