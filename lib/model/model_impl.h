/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of qb_model: a graph, or the host's callbacks. */
#ifndef QB_MODEL_MODEL_IMPL_H
#define QB_MODEL_MODEL_IMPL_H

#include "core/refcount.h"
#include "model/graph.h"
#include "model/model_data.h"

struct qb_model {
  qb__refcount references;
  qb_context *context;
  qb_model_info info;      /* info.name is owned */
  double bytes_per_sample; /* activations read and written */
  bool is_workload;
  qb_workload workload; /* if so; its name is info.name */
  qb__graph graph;      /* else */
  uint64_t network;     /* its fingerprint; 0 for a workload */
  qb_model *f32, *int8; /* of a joined model, whose graph is that of `f32`; else NULL */
};

#endif
