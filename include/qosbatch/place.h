/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file place.h
 * Work over nodes that are there: shares that end together, each node with its own best batch.
 */
#ifndef QOSBATCH_PLACE_H
#define QOSBATCH_PLACE_H

#include <qosbatch/profile.h>
#include <qosbatch/qos.h>

QB_BEGIN_DECLS

/** A node that takes part. */
typedef struct qb_place_node {
  size_t size;               /**< sizeof(qb_place_node) */
  const qb_profile *profile; /**< of this node, or of one of its kind */
  double speed;              /**< of the node as a multiple of the profile's, > 0 */
  uint64_t memory_bytes; /**< weights, activations and scratchpads stay below this; 0: no limit */
  int64_t ready_ns;      /**< the node can begin this long after the start; >= 0 */
} qb_place_node;

#define QB_PLACE_NODE_INIT                                                                         \
  {                                                                                                \
    sizeof(qb_place_node), NULL, 1.0, 0, 0                                                         \
  }

/** What a node is given. A node that is given nothing has batch 0. */
typedef struct qb_share {
  size_t size; /**< sizeof(qb_share) */
  qb_configuration configuration;
  uint32_t batch;      /**< samples in a round; of a service, at most */
  uint64_t samples;    /**< job: of the node, split over its instances as evenly as possible */
  int64_t total_ns;    /**< job: when the node is done, ready_ns included */
  double rate_per_s;   /**< service: of the node */
  int64_t max_wait_ns; /**< service: longest time a free instance waits for a batch to fill */
} qb_share;

#define QB_SHARE_INIT                                                                              \
  {                                                                                                \
    .size = sizeof(qb_share)                                                                       \
  }

typedef struct qb_placement {
  size_t size;           /**< sizeof(qb_placement) */
  bool feasible;         /**< service: the nodes hold the rate */
  uint32_t used;         /**< nodes that are given something */
  int64_t total_ns;      /**< job: when the last node is done */
  int64_t bound_ns;      /**< job: no placement ends before: all work over all best rates */
  double max_rate_per_s; /**< service: that all nodes together hold */
} qb_placement;

#define QB_PLACEMENT_INIT                                                                          \
  {                                                                                                \
    sizeof(qb_placement), false, 0, 0, 0, 0                                                        \
  }

/**
 * Splits a job over nodes so that the last one is done as soon as possible. Each node runs its
 * share in one configuration, in rounds of one batch size and a smaller last one; shares are whole
 * samples. Exact: no such placement ends sooner. Takes O(n log n) for n nodes.
 *
 * @param nodes `count` of them; profiles are of one model
 * @param samples 1..2^53
 * @param[out] shares one for each node, the size of each set by the caller
 * @param[out] placement may be NULL
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_MISMATCH (profiles of different models);
 * QB_ERROR_INFEASIBLE (no node has the memory for a round of one sample); QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 */
QB_API qb_status qb_place_job(const qb_place_node *nodes, size_t count, uint64_t samples,
                              qb_share *shares, qb_placement *placement);

/**
 * Splits the rate of a service over nodes: in proportion to the highest rate at which each holds
 * the latency at the percentile, so that all have the same reserve. If the rate is more than all
 * hold, each is given the most that it holds.
 *
 * @param qos latency and percentile; the memory limit is the lower of qos and node
 * @return as qb_place_job(); QB_OK also when the rate cannot be held
 * Thread-safety: safe.
 */
QB_API qb_status qb_place_load(const qb_place_node *nodes, size_t count, const qb_load *load,
                               const qb_qos *qos, qb_share *shares, qb_placement *placement);

QB_END_DECLS

#endif
