/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of a placement, checked. */
#ifndef QB_PLACE_PLACE_NODES_H
#define QB_PLACE_PLACE_NODES_H

#include <qosbatch/place.h>

/* Checks nodes, shares to be filled, and that the profiles are of one model. */
qb_status qb__place_check(const qb_place_node *nodes, size_t count, const qb_share *shares,
                          const qb_placement *placement);

/* Orders nodes of equal profile, speed and memory beside each other. */
int qb__place_compare(const qb_place_node *a, const qb_place_node *b);

/* Indices of the nodes in that order, in room for `count`. */
qb_status qb__place_order(const qb_place_node *nodes, size_t count, uint32_t *order);

#endif
