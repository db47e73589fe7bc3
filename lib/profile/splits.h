/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways to divide a node's cores among instances that are worth a look, and what c and m say of
 * them.
 */
#ifndef QB_PROFILE_SPLITS_H
#define QB_PROFILE_SPLITS_H

#include <qosbatch/model.h>
#include <qosbatch/node.h>
#include <qosbatch/session.h>

enum { QB__MOST_SPLITS = 32 };

/*
 * All threads divided evenly among instances, the least and the most of them first; then as many threads
 * as a quota has in full, and half of all, as bandwidth may be used up by fewer; and one thread, which
 * others are compared with. Where no even division is near, instances of 2, 3, 4, 6, 8, ... threads may
 * leave a quarter out. No instance has cores of two NUMA nodes.
 */
size_t qb__splits_of(const qb_node_info *node, qb_configuration splits[QB__MOST_SPLITS]);

/*
 * The time of a round by arithmetic at c and traffic at m, one after the other; a scale for splits
 * to be compared on, no estimate. Of work that is not known, what batch and threads make of any.
 */
double qb__split_prior_ns(const qb_model *model, const qb_node *node, const qb_configuration *split,
                          uint32_t batch);

#endif
