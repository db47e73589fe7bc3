/* SPDX-License-Identifier: Apache-2.0 */
/* Which network a graph is, whatever its file is called and whatever its weights are. */
#ifndef QB_MODEL_FINGERPRINT_H
#define QB_MODEL_FINGERPRINT_H

#include "model/graph.h"

/*
 * A number made of the operators, in order, of what they read and of all shapes: equal for a
 * network that was trained further, renamed or copied. Never 0. To be asked before
 * qb__graph_optimize(), so that it outlives changes of what that makes.
 */
qb_status qb__graph_fingerprint(const qb__graph *graph, uint64_t *fingerprint);

#endif
