/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of c and m, measured in passes: what is kept of many, and whether it may be believed. */
#ifndef QB_NODE_SUSTAINED_H
#define QB_NODE_SUSTAINED_H

#include "node/node_data.h"

/* Measures one entry in a pass, counted from 0: FLOP/s, or B/s. */
typedef qb_status (*qb__pass)(void *user, const qb__sustained *entry, uint32_t pass, double *per_s);

/*
 * Fills in table[].per_s, ordered by precision, instruction set, threads: the best of passes over all
 * entries in turn, as whatever disturbs only ever slows. They go on for `budget_ns`, at least 3 and
 * at most 25 of them, and for as long again while an entry's best is not confirmed by another pass.
 * A thread alone has as much as each of several: no entry's share of a thread is below that of more
 * threads. The context is warned where `what` could not be confirmed, or an entry was raised by
 * more than noise.
 */
qb_status qb__measure_passes(const qb_context *context, const char *what, qb__pass measure,
                             void *user, int64_t budget_ns, qb__sustained *table, size_t count);

#endif
