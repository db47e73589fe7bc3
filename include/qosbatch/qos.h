/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file qos.h
 * The quality of service a user asks for, and the load it has to hold under.
 */
#ifndef QOSBATCH_QOS_H
#define QOSBATCH_QOS_H

#include <qosbatch/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

QB_BEGIN_DECLS

/** What the plan of a service is best in, among all that meet the demand. Values are stable. */
typedef enum qb_objective {
  QB_OBJECTIVE_LATENCY = 0, /**< the least latency at the percentile asked for */
  QB_OBJECTIVE_RATE = 1,    /**< the highest rate that the latency target holds under */
  QB_OBJECTIVE_COST = 2     /**< the least price per hour */
} qb_objective;

/** @return "latency" and so on; "unknown" for a number that is none. Thread-safety: safe. */
QB_API const char *qb_objective_name(qb_objective objective);

/** A field that is 0 asks for nothing. */
typedef struct qb_qos {
  size_t size;            /**< sizeof(qb_qos) */
  int64_t latency_ns;     /**< a sample is answered within this time of its arrival ... */
  double percentile;      /**< ... in this many cases of 100, in (0, 100); 0: 99 */
  int64_t deadline_ns;    /**< a job is done within this time of its start */
  double budget_per_hour; /**< price of the node per hour is at most this */
  uint64_t memory_bytes;  /**< weights, activations and scratchpads stay below this */
  bool shed;              /**< a service refuses samples that it cannot answer in time, rather than
                               answer them late: more of the others are in time */
  qb_objective objective; /**< of the plan of a service */
} qb_qos;

#define QB_QOS_INIT                                                                                \
  {                                                                                                \
    sizeof(qb_qos), 0, 0.0, 0, 0.0, 0, false, QB_OBJECTIVE_LATENCY                                 \
  }

/**
 * Samples that arrive: independently of each other (a Poisson process), or in bursts. Count your
 * own arrivals in windows of a few burst lengths: `dispersion` is the variance of the counts over
 * their mean.
 */
typedef struct qb_load {
  size_t size; /**< sizeof(qb_load) */
  double
      rate_per_s; /**< samples per second in the mean, > 0; 0 where only the highest is asked for */
  uint32_t queued;   /**< samples that wait already at the start */
  double dispersion; /**< index of dispersion of counts over long times; 0 or 1: no bursts */
  int64_t burst_ns;  /**< mean length of a burst; 0: 1 s */
} qb_load;

#define QB_LOAD_INIT                                                                               \
  {                                                                                                \
    sizeof(qb_load), 0.0, 0, 0.0, 0                                                                \
  }

/** What an answer was decided by, or why there is none. Values are stable. */
typedef enum qb_reason {
  QB_REASON_NONE = 0,       /**< nothing to decide: no samples wait, or no instance is free; of a
                                 plan: no limit keeps a better one out */
  QB_REASON_SLO = 1,        /**< the latency promised: a larger batch or a longer wait breaks it */
  QB_REASON_FILL = 2,       /**< filling the batch: waiting gains more than it costs */
  QB_REASON_THROUGHPUT = 3, /**< of all sizes the best one for what waits */
  QB_REASON_CAPACITY = 4,   /**< the rate: it needs (or exceeds) the node's throughput */
  QB_REASON_MEMORY = 5,     /**< the memory limit */
  QB_REASON_BUDGET = 6,     /**< the price limit */
  QB_REASON_DEADLINE = 7,   /**< the deadline of a job */
  QB_REASON_LATE = 8,       /**< the oldest sample is late, or made late for the others' sake */
  QB_REASON_COST = 9        /**< the bill: nothing else costs less */
} qb_reason;

/** @return "slo" and so on; "unknown" for a number that is none. Thread-safety: safe. */
QB_API const char *qb_reason_name(qb_reason reason);

QB_END_DECLS

#endif
