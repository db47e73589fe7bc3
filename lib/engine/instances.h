/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of a session: a worker for each instance, on cores of its own, which is the master of
 * an OpenMP team of the instance's size. All that computes runs on them, so the host's threads keep
 * their affinity and OpenMP settings.
 */
#ifndef QB_ENGINE_INSTANCES_H
#define QB_ENGINE_INSTANCES_H

#include "engine/homes.h"

#include <qosbatch/model.h>
#include <qosbatch/node.h>

#include <stdbool.h>

/* Thread-safety: safe. */
typedef struct qb__instances qb__instances;

/* Runs on an instance's worker thread. */
typedef qb_status (*qb__task)(void *argument, uint32_t instance);

/*
 * Starts the workers. Each thread gets a core of its own if there are enough; *pinned is the number
 * of threads that did, all or 0. `node`, unless it is NULL, tells which cores are fast
 * (qb__rank_cores()). With `own_threads` a worker may run on all cores of its instance, so that threads
 * which an engine starts there may, too.
 */
qb_status qb__instances_start(qb_context *context, const qb_configuration *configuration,
                              const qb_node *node, bool own_threads, qb__instances **instances,
                              uint32_t *pinned);

/* Where the instances' threads run; as long-lived as these. */
const qb__homes *qb__instances_homes(const qb__instances *instances);

/* Ends and frees the workers; nothing may be under way. NULL is allowed. */
void qb__instances_stop(qb__instances *instances);

/*
 * Runs a task on the first instance that is free and returns what it returns, its message included.
 * Callers that have to wait are served in no particular order.
 */
qb_status qb__instances_run(qb__instances *instances, qb__task task, void *argument);

/*
 * Waits until no task is under way, keeps others out, and runs a task on every instance: all at the
 * same time if `together`, else one after the other from 0 up until one fails. Returns the first
 * failure.
 */
qb_status qb__instances_run_all(qb__instances *instances, bool together, qb__task task,
                                void *argument);

/*
 * To be called inside a task: the FLOP/s of the slowest thread of this instance's team over about
 * `microseconds` (qb__yardstick()).
 */
double qb__instance_yardstick(uint32_t threads, uint32_t microseconds);

#endif
