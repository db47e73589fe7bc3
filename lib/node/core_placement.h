/* SPDX-License-Identifier: Apache-2.0 */
/* Which cores instances run on. */
#ifndef QB_NODE_CORE_PLACEMENT_H
#define QB_NODE_CORE_PLACEMENT_H

#include "node/topology.h"

#include <qosbatch/context.h>

/*
 * Fills in a CPU for each thread of each instance, instance by instance. An instance has cores of
 * one NUMA node, and of one kind, as long as some node has enough of them left: of these nodes the
 * one with the most, so that instances share the bandwidth of all. Faster kinds are taken first.
 * What does not fit into any node spans several.
 *
 * @param cpus of instances * threads, at most as many as there are cores
 */
qb_status qb__place_instances(const qb_context *context, const qb__topology *topology,
                              uint32_t instances, uint32_t threads, uint16_t *cpus);

#endif
