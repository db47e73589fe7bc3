/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes made of figures, and what other rooms read of a node. */
#ifndef QB_NODE_NODE_DATA_H
#define QB_NODE_NODE_DATA_H

#include <qosbatch/model.h>
#include <qosbatch/node.h>

/*
 * What `threads` threads running together sustain: FLOP/s with one instruction set and precision, or
 * B/s, where neither makes a difference: QB_ISA_BEST and 0.
 */
typedef struct qb__sustained {
  qb_isa isa;
  uint32_t threads;
  double per_s;
  qb_precision precision;
} qb__sustained;

/* What a core sustains of 32-bit floats with the best instruction set, while as many as are usable run. */
typedef struct qb__core_speed {
  uint16_t cpu; /* the operating system's number of it */
  double flops_per_s;
} qb__core_speed;

/* The highest bit of qb_feature. */
enum { QB__LAST_FEATURE = QB_FEATURE_BF16 };

/* No price is higher: a node's file is to be readable again. */
#define QB__MOST_PRICE 1e12

/*
 * Makes a node of copies of all that is given; tables may be empty. info.compute_flops_per_s and
 * info.memory_bytes_per_s are worked out from them.
 */
qb_status qb__node_new(qb_context *context, const qb_node_info *info, const qb__sustained *compute,
                       size_t compute_count, const qb__sustained *bandwidth, size_t bandwidth_count,
                       qb_node **node);

/* Gives a node copies of what its cores sustain each, which is not known before. Nobody else has it yet. */
qb_status qb__node_set_cores(qb_node *node, const qb__core_speed *cores, size_t count);

/*
 * What the slowest of the `threads` fastest cores sustains, as a share of their mean; 1 where cores
 * were not measured each.
 */
double qb__node_slowest_share(const qb_node *node, uint32_t threads);

/* A node with the tables of c and m of another one, and a description of its own; of its cores none. */
qb_status qb__node_like(const qb_node *other, const qb_node_info *info, qb_node **node);

/* As long-lived as the node. */
const qb_node_info *qb__node_info(const qb_node *node);

#endif
