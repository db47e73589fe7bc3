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
  qb__instances *instances;
  qb__engine *engine;
  pthread_mutex_t ready_lock;
  uint32_t *ready; /* batch sizes that are ready on every instance */
  size_t ready_count, ready_capacity;
};

#endif
