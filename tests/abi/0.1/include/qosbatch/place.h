/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file place.h
 * Splits work over existing nodes so that all finish together, or have the same reserve.
 */
#ifndef QOSBATCH_PLACE_H
#define QOSBATCH_PLACE_H

#include <qosbatch/plan.h>

QB_BEGIN_DECLS

/** A node that takes part. @since 0.1 */
typedef struct qb_place_node {
  size_t size;               /**< sizeof(qb_place_node) */
  const qb_profile *profile; /**< of this node, of one like it, or, with `node`, of any other */
  const qb_node *node;       /**< this node, for times by qb_estimate(); NULL: as profiled */
  double speed;              /**< of the node now, as a multiple of that, 1e-6..1e6 */
  uint64_t memory_bytes;     /**< limit for weights, activations and scratchpads; 0: none */
  int64_t ready_ns;          /**< when the node can begin, from the start of the job; >= 0 */
} qb_place_node;

#define QB_PLACE_NODE_INIT                                                                         \
  {                                                                                                \
    .size = sizeof(qb_place_node), .speed = 1                                                      \
  }

/** The share of one node. A node without work has batch 0. @since 0.1 */
typedef struct qb_share {
  size_t size;                    /**< sizeof(qb_share) */
  qb_configuration configuration; /**< of the node */
  uint32_t batch;                 /**< samples in a round; service: at most */
  uint64_t samples;    /**< job: of the node, split over its instances as evenly as possible */
  int64_t total_ns;    /**< job: when the node is done, ready_ns included */
  double rate_per_s;   /**< service: of the node */
  int64_t max_wait_ns; /**< service: longest time a free instance waits for a batch to fill */
} qb_share;

#define QB_SHARE_INIT QB__INIT(qb_share)

/** All shares together. @since 0.1 */
typedef struct qb_placement {
  size_t size;           /**< sizeof(qb_placement) */
  bool feasible;         /**< job: done by the deadline; service: the nodes hold the rate */
  uint32_t used;         /**< nodes that have work */
  int64_t total_ns;      /**< job: when the last node is done, each round at its mean */
  int64_t bound_ns;      /**< job: no placement ends earlier: all samples over all best rates */
  double max_rate_per_s; /**< service: the highest rate that all nodes together hold */
} qb_placement;

#define QB_PLACEMENT_INIT QB__INIT(qb_placement)

/**
 * Splits a job over nodes so that the last one is done as early as possible. Each node runs its
 * share in one configuration, in rounds of one batch size and a smaller last one; shares are whole
 * samples. Exact: no such placement ends earlier. Takes O(n log n) for n nodes.
 *
 * @param nodes `count` of them; their profiles are of one model
 * @param qos deadline and latency, and the memory limit if it is below the node's; NULL: no limits
 * @param[in,out] shares one for each node, in the same order; the caller sets the size of each
 * @param[in,out] placement may be NULL; else its size is set by the caller
 * @return QB_OK, also when the deadline cannot be met; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_MISMATCH
 * (profiles of different models); QB_ERROR_NOT_FOUND (as qb_estimate()); QB_ERROR_INFEASIBLE (no
 * node can run a round of one sample within the limits); QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_place_job(const qb_place_node *nodes, size_t count, const qb_job *job,
                              const qb_qos *qos, qb_share *shares, qb_placement *placement);

/**
 * Splits the load of a service over nodes, in proportion to the highest rate at which each holds
 * the latency at the percentile, so that all have the same reserve. If the rate exceeds what all
 * hold together, each gets the most it holds.
 *
 * @param qos latency and percentile, and the memory limit if it is below the node's
 * @return as qb_place_job(); QB_OK also when the rate cannot be held
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_place_service(const qb_place_node *nodes, size_t count, const qb_load *load,
                                  const qb_qos *qos, qb_share *shares, qb_placement *placement);

QB_END_DECLS

#endif
