/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file qos.h
 * Work, and the quality of service asked for it: a job or a load, and the limits it must keep.
 */
#ifndef QOSBATCH_QOS_H
#define QOSBATCH_QOS_H

#include <qosbatch/names.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

QB_BEGIN_DECLS

/** What a plan is best in, among all that keep the limits. Values are stable. @since 0.1 */
typedef enum qb_objective {
  QB_OBJECTIVE_LATENCY = 0, /**< service: the least latency; job: the earliest end */
  QB_OBJECTIVE_RATE = 1,    /**< service: the highest rate; job: as QB_OBJECTIVE_LATENCY */
  QB_OBJECTIVE_COST = 2     /**< service: the lowest price per hour; job: the lowest bill */
} qb_objective;

/** @return "latency" and so on; "unknown" for any other value. Thread-safety: safe. @since 0.1 */
static inline const char *qb_objective_name(qb_objective objective)
{
  return qb_enum_name("qb_objective", (int)objective);
}

/**
 * The limits that an answer must keep, and what it is best in. A limit of 0 is none. Every planner
 * takes this struct; each field says whom it concerns.
 * @since 0.1
 */
typedef struct qb_qos {
  size_t size;        /**< sizeof(qb_qos) */
  int64_t latency_ns; /**< service: from a sample's arrival to its answer; job: of a round */
  double percentile;  /**< service: percent of the samples within latency_ns, in (0, 100); 0: 99 */
  int64_t
      deadline_ns; /**< job: from its start to the last answer; its 95 % interval ends by then */
  double budget;   /**< job: of all nodes, at the end of that interval */
  double budget_per_hour; /**< of all nodes together */
  uint64_t memory_bytes;  /**< of a node: weights, activations and scratchpads */
  uint32_t spare_nodes;   /**< service on node types: how many nodes may fail */
  bool shed; /**< service: refuse samples that cannot be answered in time, so that more of the
                  others are in time, instead of answering them late */
  qb_objective objective; /**< what the plan is best in */
  /**
   * Percent of the answers that have to be right, in (0, 100]: precisions qualify whose qb_accuracy says
   * so with its lower end, and 32-bit floats always do. 0: 32-bit floats alone, or the first precision of
   * a profile without them
   */
  double accuracy;
  uint32_t reserve_cores; /**< node types: cores of each node to leave to others, as in
                               qb_node_params; types without another core are left out. 0: the most
                               that a profile's node leaves */
} qb_qos;

#define QB_QOS_INIT QB__INIT(qb_qos)

/** A job: samples that are all there at the start. @since 0.1 */
typedef struct qb_job {
  size_t size;      /**< sizeof(qb_job) */
  uint64_t samples; /**< 1..2^53 */
} qb_job;

#define QB_JOB_INIT QB__INIT(qb_job)

/**
 * The load of a service: samples that arrive independently of each other (a Poisson process), or in
 * bursts. To find `dispersion`, count arrivals in windows of a few burst lengths: it is the
 * variance of the counts over their mean.
 * @since 0.1
 */
typedef struct qb_load {
  size_t size; /**< sizeof(qb_load) */
  double
      rate_per_s; /**< mean samples per second, > 0; 0 to ask for the highest (qb_plan_service()) */
  uint32_t queued;   /**< samples already waiting at the start */
  double dispersion; /**< index of dispersion of counts over long times; 0 or 1: no bursts */
  int64_t burst_ns;  /**< mean length of a burst; 0: 1 s */
} qb_load;

#define QB_LOAD_INIT QB__INIT(qb_load)

/** What decided an answer, or why there is none. Values are stable. @since 0.1 */
typedef enum qb_reason {
  QB_REASON_NONE = 0, /**< decision: no sample waits, or no instance is free; plan: no limit
                                 keeps a better one out */
  QB_REASON_SLO = 1,  /**< the latency target: a larger batch or a longer wait would break it */
  QB_REASON_FILL = 2, /**< filling the batch: waiting gains more than it costs */
  QB_REASON_THROUGHPUT = 3, /**< speed: the best size for the current queue, the fastest plan */
  QB_REASON_CAPACITY = 4,   /**< the rate: it takes, or exceeds, all that the node can do */
  QB_REASON_MEMORY = 5,     /**< the memory limit */
  QB_REASON_BUDGET = 6,     /**< the budget */
  QB_REASON_DEADLINE = 7,   /**< the deadline of a job */
  QB_REASON_LATE = 8,       /**< the oldest sample is late, or sacrificed to keep others in time */
  QB_REASON_COST = 9,       /**< the bill: nothing else costs less */
  QB_REASON_ACCURACY = 10   /**< the accuracy: a faster precision gets too few answers right */
} qb_reason;

/** @return "slo" and so on; "unknown" for any other value. Thread-safety: safe. @since 0.1 */
static inline const char *qb_reason_name(qb_reason reason)
{
  return qb_enum_name("qb_reason", (int)reason);
}

QB_END_DECLS

#endif
