/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of qb_node: the public description, the tables of c and m, and c of each core. */
#ifndef QB_NODE_NODE_IMPL_H
#define QB_NODE_NODE_IMPL_H

#include "core/refcount.h"
#include "node/node_data.h"

struct qb_node {
  qb__refcount references;
  qb_context *context;
  qb_node_info info; /* info.cpu is owned */
  size_t compute_count;
  qb__sustained *compute; /* ordered by precision, isa, threads */
  size_t bandwidth_count;
  qb__sustained *bandwidth; /* ordered by threads */
  size_t core_count;        /* 0: cores were not measured each */
  qb__core_speed *cores;    /* the fastest first, of equal ones the lowest CPU */
};

#endif
