/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance brings to plans to run them: a stream of oneDNN's, one arena, and the plans'
 * slots as memories in it.
 */
#ifndef QB_ENGINE_WORKSPACE_H
#define QB_ENGINE_WORKSPACE_H

#include "engine/finite_guards.h"
#include "engine/network_plan.h"
#include "engine/weight_copies.h"

#include <qosbatch/inspect.h>
#include <qosbatch/session.h>

struct qb__binding;

/* All zero before qb__workspace_init(). */
typedef struct qb__workspace {
  const qb_context *context;
  struct dnnl_engine *engine;
  struct dnnl_stream *stream;
  void *arena;
  size_t arena_bytes;        /* what the largest plan needs */
  qb__weight_copies *copies; /* to bind instead of packed weights, made as needed; NULL: none */
  struct qb__binding *bindings;
  size_t count, capacity;
} qb__workspace;

/* A round of the caller's. */
typedef struct qb__round_data {
  const qb__graph *graph;
  const qb__finite_guards *guards;
  const void *const *inputs;
  void *const *outputs;
  uint32_t *flags;         /* by sample, or NULL */
  qb_operator_time *times; /* by operator of the model, or NULL; the round is added to them */
} qb__round_data;

/* On the instance's thread. Needs a qb__workspace_clear(), also after a failure. */
qb_status qb__workspace_init(qb__workspace *workspace, const qb_context *context,
                             struct dnnl_engine *engine);
void qb__workspace_clear(qb__workspace *workspace);

/* Makes a plan, which outlives the workspace, ready to run in it. */
qb_status qb__workspace_bind(qb__workspace *workspace, const qb__network_plan *plan);

/* Forgets a plan that is bound. */
void qb__workspace_forget(qb__workspace *workspace, const qb__network_plan *plan);

/* The arguments of a step of a plan that is bound. */
struct dnnl_memory *const *qb__workspace_arguments(const qb__workspace *workspace,
                                                   const qb__network_plan *plan, size_t step);

/* Runs a plan that is bound on as many samples as it is for, from sample `first` of the round on. */
qb_status qb__workspace_run(qb__workspace *workspace, const qb__network_plan *plan,
                            const qb__round_data *round, uint32_t first);

#endif
