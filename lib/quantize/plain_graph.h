/* SPDX-License-Identifier: Apache-2.0 */
/* A network as quantizing takes it: each sum an operator of its own. */
#ifndef QB_QUANTIZE_PLAIN_GRAPH_H
#define QB_QUANTIZE_PLAIN_GRAPH_H

#include "model/graph.h"

/*
 * A copy with constants of its own. Where a layer adds what another one computed, its own result,
 * the sum and the activation are three tensors, as a quantized network has ranges for each. Layers
 * keep an activation directly behind them.
 */
qb_status qb__plain_graph(const qb__graph *from, qb__graph *plain);

#endif
