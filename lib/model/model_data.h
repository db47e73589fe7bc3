/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How other folders make a model of a graph, and what they read of one: constant, and as long-lived
 * as the model.
 */
#ifndef QB_MODEL_MODEL_DATA_H
#define QB_MODEL_MODEL_DATA_H

#include "model/graph.h"

/*
 * Makes a model of a graph, optimizing it first. Takes the graph over, which is empty after, on
 * failure too; a failure in graph->status is handed on.
 */
qb_status qb__model_from_graph(qb__graph *graph, const char *name, qb_model **model);

/* The model that is computed in a precision: of a joined one the part for it, else itself. */
qb_model *qb__model_in(const qb_model *model, qb_precision precision);

qb_context *qb__model_context(const qb_model *model);
const qb_model_info *qb__model_info(const qb_model *model);
bool qb__model_is_workload(const qb_model *model);
/* Of a workload; all zero of a network. */
const qb_workload *qb__model_workload(const qb_model *model);
/* Of a network; empty of a workload. */
const qb__graph *qb__model_graph(const qb_model *model);
/* The network's fingerprint; 0 for a workload. */
uint64_t qb__model_network(const qb_model *model);
/* Activations read and written. */
double qb__model_bytes_per_sample(const qb_model *model);

#endif
