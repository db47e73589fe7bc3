/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of qb_session, for the profiler, which runs all instances at the same time. */
#ifndef QB_ENGINE_SESSION_IMPL_H
#define QB_ENGINE_SESSION_IMPL_H

#include "core/refcount.h"
#include "engine/engine.h"
#include "engine/instances.h"

#include <qosbatch/session.h>

#include <pthread.h>

struct qb_session {
  qb__refcount references;
  qb_context *context;
  qb_model *model;
  qb_configuration configuration;
  uint32_t pinned_threads;
  bool as_profiled;
  qb__instances *instances;
  qb__engine *engine;
  pthread_mutex_t ready_lock;
  uint32_t *ready; /* batch sizes that are ready on every instance */
  size_t ready_count, ready_capacity;
};

/* qb_session_new() with the algorithm of each operator, or NULL (qb__engine_new()). */
qb_status qb__session_new(qb_model *model, const qb_configuration *configuration,
                          const qb__layer_algorithm *algorithms, qb_session **session);

/* All that is held, or, of a `batch` that is ready and not 0, what it would take alone. */
qb_status qb__session_memory(qb_session *session, uint32_t batch, qb__engine_memory *memory);

/*
 * Fills in the algorithm of each operator; false if there are none, as of a workload or before the
 * first batch size is ready. While nothing else uses the session.
 */
bool qb__session_get_algorithms(const qb_session *session, qb__layer_algorithm *algorithms);

#endif
