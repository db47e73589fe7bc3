/* SPDX-License-Identifier: Apache-2.0 */
/* What the profiler asks of a session: it runs rounds on all instances at the same time. */
#ifndef QB_ENGINE_SESSION_PROFILING_H
#define QB_ENGINE_SESSION_PROFILING_H

#include "engine/engine.h"
#include "engine/instances.h"

#include <qosbatch/inspect.h>

qb_context *qb__session_context(const qb_session *session);
const qb_model *qb__session_model(const qb_session *session);
const qb_configuration *qb__session_configuration(const qb_session *session);

/* Runs a task on every instance (qb__instances_run_all(), together). */
qb_status qb__session_run_task(qb_session *session, qb__task task, void *argument);

/*
 * Inside such a task: a round of a batch size that is ready, on the task's instance. `times` is as
 * for qb__engine_type.run.
 */
qb_status qb__session_run_round(const qb_session *session, uint32_t instance, uint32_t batch,
                                const void *const *inputs, void *const *outputs,
                                qb_operator_time *times);

/*
 * The configuration asked for, checked, or for NULL one instance on all usable threads but those that
 * are left to others, and on one at least.
 */
qb_status qb__session_choose_configuration(const qb_model *model, const qb_configuration *asked,
                                           uint32_t reserve_cores, qb_configuration *configuration);

/*
 * A session of a checked configuration, with how the network is computed (qb__engine_new()) and with what
 * its cores sustain (qb__instances_start()), each of them or NULL.
 */
qb_status qb__session_new(qb_model *model, const qb_configuration *configuration,
                          const qb__algorithms *algorithms, const qb_node *node,
                          qb_session **session);

/* All that is held, or, of a `batch` that is ready and not 0, what it would take alone. */
qb_status qb__session_memory(qb_session *session, uint32_t batch, qb__engine_memory *memory);

/*
 * Fills in how the network is computed, each operator in an element of algorithms->layers; false if
 * that is not known, as of a workload or before the first batch size is ready. Not while anything
 * else uses the session, to which what is passed over belongs.
 */
bool qb__session_get_algorithms(const qb_session *session, qb__algorithms *algorithms);

#endif
