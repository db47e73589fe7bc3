/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of qb_node: the public description and the tables of c and m. */
#ifndef QB_NODE_NODE_IMPL_H
#define QB_NODE_NODE_IMPL_H

#include "core/refcount.h"

#include <qosbatch/node.h>

/* What `threads` threads running together sustain: FLOP/s with one instruction set, or B/s. */
typedef struct qb__sustained {
  qb_isa isa; /* QB_ISA_BEST where it makes no difference */
  uint32_t threads;
  double per_s;
} qb__sustained;

/* No price is higher: a node's file is to be readable again. */
#define QB__MOST_PRICE 1e12

struct qb_node {
  qb__refcount references;
  qb_context *context;
  qb_node_info info; /* info.cpu is owned */
  size_t compute_count;
  qb__sustained *compute; /* ordered by isa, then threads */
  size_t bandwidth_count;
  qb__sustained *bandwidth; /* ordered by threads */
};

/*
 * Makes a node of copies of all that is given; tables may be empty. info.compute_flops and
 * info.memory_bytes_per_s are worked out from them.
 */
qb_status qb__node_new(qb_context *context, const qb_node_info *info, const qb__sustained *compute,
                       size_t compute_count, const qb__sustained *bandwidth, size_t bandwidth_count,
                       qb_node **node);

#endif
