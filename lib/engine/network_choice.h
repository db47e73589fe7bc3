/* SPDX-License-Identifier: Apache-2.0 */
/* The algorithms of all of a network's layers, and the weights packed for them. */
#ifndef QB_ENGINE_NETWORK_CHOICE_H
#define QB_ENGINE_NETWORK_CHOICE_H

#include "engine/finite_guards.h"
#include "engine/network_plan.h"

/* What networks are chosen on, and what is known beforehand. */
typedef struct qb__chooser {
  const qb__graph *graph;
  const qb__finite_guards *guards;
  qb__findings *findings;
  struct dnnl_engine *engine;
  struct dnnl_stream *stream;
} qb__chooser;

/*
 * Choices by operator of the graph, for the caller to free, and the weights, into an empty *packed.
 * Layers are computed as `algorithms` says (by operator of the model), where it is not NULL. Else
 * each layer takes what is the fastest on what comes before it; and where that is blocks of
 * channels, which the layers behind it may have to change back, the network without blocks runs
 * beside it, and the faster one of the two is taken. *arena_bytes: a plan's for QB__TRIAL_BATCH.
 */
qb_status qb__network_choose(const qb__chooser *chooser, const qb__layer_algorithm *algorithms,
                             qb__choice **choices, qb__packed *packed, size_t *arena_bytes);

#endif
