/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of a placement, checked, and their shares. */
#ifndef QB_PLACE_PLACE_NODES_H
#define QB_PLACE_PLACE_NODES_H

#include <qosbatch/place.h>

/* The caller's arrays, whose elements may be larger or smaller than ours. */
typedef struct qb__place {
  const qb_context *context; /* of the first profile */
  size_t count;
  qb_place_node *nodes; /* copies of ours; to be freed */
  qb_share *shares;     /* of ours, to be filled in; to be freed */
  uint32_t *order;      /* of nodes: equal ones stand beside each other; to be freed */
  qb_share *their_shares;
  qb_placement *their_placement; /* may be NULL */
} qb__place;

/*
 * Checks what the caller gives, and that profiles are of one model. Memory comes from the context
 * of the first profile; free the place also after a failure.
 */
qb_status qb__place_init(const qb_place_node *nodes, size_t count, qb_share *shares,
                         qb_placement *placement, qb__place *place);

/* Gives shares and placement to the caller. */
void qb__place_out(const qb__place *place, const qb_placement *placement);

void qb__place_free(qb__place *place);

/* Of equal profile and node, and so of equal times but for the speed. */
bool qb__place_same_times(const qb_place_node *a, const qb_place_node *b);

/* Equal in all that a share of a service depends on. */
bool qb__place_same_node(const qb_place_node *a, const qb_place_node *b);

#endif
