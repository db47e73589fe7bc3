/* SPDX-License-Identifier: Apache-2.0 */
/* Which cores instances run on. */
#ifndef QB_NODE_CORE_PLACEMENT_H
#define QB_NODE_CORE_PLACEMENT_H

#include "node/node_data.h"
#include "node/topology.h"

/*
 * Makes the kinds of cores those that were measured: a kind's slowest core sustains at least 90 % of
 * what its fastest does. Without a node, or with one that does not know all of these cores, the kinds
 * stay what the system told.
 */
void qb__rank_cores(qb__topology *topology, const qb_node *node);

/*
 * Fills in a CPU for each thread of each instance, instance by instance. A layer waits for its slowest
 * thread, so an instance is as fast as its slowest core, and alike cores belong together. Each instance
 * in turn gets cores of one NUMA node, as long as some node has enough: of the node where the slowest of
 * them is of the fastest kind, and among these of the one that has the most, so that instances share the
 * bandwidth of all. Its cores are of one kind where faster ones would only wait for slower ones. What
 * does not fit into any node spans several.
 *
 * @param cpus of instances * threads, at most as many as there are cores
 */
qb_status qb__place_instances(const qb_context *context, const qb__topology *topology,
                              uint32_t instances, uint32_t threads, uint16_t *cpus);

#endif
