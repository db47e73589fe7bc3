/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file plan.h
 * Decisions taken once, before work starts: how to run a job, how to run a service.
 */
#ifndef QOSBATCH_PLAN_H
#define QOSBATCH_PLAN_H

#include <qosbatch/estimate.h>
#include <qosbatch/qos.h>

QB_BEGIN_DECLS

/**
 * The least change of each term that would make an infeasible demand feasible, the others kept; 0
 * where changing that term alone does not help. A value type: it has no size and never grows.
 */
typedef struct qb_nearest {
  int64_t latency_ns;     /**< the least latency target that can be met at this rate */
  double rate_per_s;      /**< the highest rate that can be held with this latency target */
  int64_t deadline_ns;    /**< the least deadline that can be met */
  double budget_per_hour; /**< the least budget that suffices */
  uint64_t memory_bytes;  /**< the least memory limit that suffices */
  double percentile;      /**< the highest percentile that the latency target holds for */
  uint64_t reserved[4];   /**< 0 */
} qb_nearest;

/** How to run a job of `samples` samples that are all there at the start. */
typedef struct qb_job_plan {
  size_t size;      /**< sizeof(qb_job_plan) */
  bool feasible;    /**< the demand is met; if not, the plan is the nearest to it */
  qb_reason reason; /**< what bound the choice */
  uint32_t profile; /**< index of the profile (the node) chosen */
  qb_configuration configuration;
  uint32_t batch;                /**< samples in a round */
  uint64_t samples_per_instance; /**< of the instance that has most; others have this or one less */
  uint64_t rounds_per_instance;  /**< full rounds of the instance that has most */
  uint32_t remainder;            /**< samples in the last round after them; 0: none */
  int64_t total_ns; /**< end-to-end time of rounds of mean length; batch sizes are ready before */
  int64_t low_ns; /**< 95 % interval of it: from all rounds undisturbed to all as long as 1 in 20 */
  int64_t high_ns;
  double throughput_per_s; /**< samples / total */
  double cost;             /**< total at the node's price; 0 if not known */
  uint64_t memory_bytes;
  qb_nearest nearest; /**< if not feasible */
} qb_job_plan;

#define QB_JOB_PLAN_INIT                                                                           \
  {                                                                                                \
    .size = sizeof(qb_job_plan)                                                                    \
  }

/**
 * Plans a job: the profile, configuration and batch size with the least end-to-end time, the
 * remainder included, among those within the memory limit, the budget and, where a latency is asked
 * for, whose rounds take no longer. Samples are split over the instances as evenly as possible. Of
 * equal plans the one with the fewest threads, then the smallest batch, is taken.
 *
 * @param profiles of the nodes to choose among
 * @param samples 1 or more
 * @param qos NULL: nothing asked for
 * @return QB_OK, also when not feasible; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 */
QB_API qb_status qb_plan_job(const qb_profile *const *profiles, size_t profile_count,
                             uint64_t samples, const qb_qos *qos, qb_job_plan *plan);

/** How to run a service. */
typedef struct qb_service_plan {
  size_t size;      /**< sizeof(qb_service_plan) */
  bool feasible;    /**< the demand is met; if not, the plan is the nearest to it */
  qb_reason reason; /**< feasible: the limit that keeps a better plan out, QB_REASON_NONE if none
                         does; else the limit that the nearest plan breaks worst */
  uint32_t profile; /**< index of the profile (the node) chosen */
  qb_configuration configuration;
  uint32_t batch;      /**< largest number of samples in a round */
  int64_t max_wait_ns; /**< longest time a free instance waits for a batch to fill */
  int64_t p50_ns;      /**< predicted time from arrival to answer */
  int64_t p95_ns;
  int64_t p99_ns;
  int64_t latency_ns;    /**< predicted at the percentile asked for */
  double mean_batch;     /**< predicted samples in a round */
  double utilisation;    /**< predicted share of time an instance is busy */
  double max_rate_per_s; /**< highest rate this plan holds with the latency target, to 1 %; of a
                              plan that is not feasible, its capacity */
  double cost_per_hour;  /**< 0 if not known */
  uint64_t memory_bytes;
  qb_nearest nearest; /**< if not feasible */
  double rate_per_s;  /**< it was made for */
  uint64_t network;   /**< of the profile it was made of; 0: not known */
} qb_service_plan;

#define QB_SERVICE_PLAN_INIT                                                                       \
  {                                                                                                \
    .size = sizeof(qb_service_plan)                                                                \
  }

/**
 * Plans a service: of all configurations, largest batches and longest waits that meet the demand at
 * this load the best in what qos.objective asks for:
 * - QB_OBJECTIVE_LATENCY: the least latency_ns, then the least cost, then the highest max_rate_per_s;
 * - QB_OBJECTIVE_RATE: the highest max_rate_per_s, then the least cost, then the least latency_ns;
 * - QB_OBJECTIVE_COST: the least cost_per_hour, then the least latency_ns, then the highest
 *   max_rate_per_s. A price that is not known counts as 0.
 *
 * Of equal ones that with the fewest threads, then the smallest batch, then the shortest wait. Beyond
 * 8 samples, 4 batch sizes an octave are looked at; waits are 0, 1/8, 1/4, 1/2 and all of the time
 * of a full round: who waits for longer would be answered sooner by a round at once.
 *
 * @param profiles of the nodes to choose among
 * @param load the rate is required but for QB_OBJECTIVE_RATE: without one the plan is for the highest
 * rate (plan->rate_per_s)
 * @param qos NULL: nothing asked for
 * @return QB_OK, also when not feasible; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 */
QB_API qb_status qb_plan_service(const qb_profile *const *profiles, size_t profile_count,
                                 const qb_load *load, const qb_qos *qos, qb_service_plan *plan);

/**
 * The plans that meet a demand and that no other beats: none has as high a max_rate_per_s, as low a
 * latency_ns and as low a cost_per_hour at once. By rising latency.
 * Thread-safety: safe; immutable after creation.
 */
typedef struct qb_service_frontier qb_service_frontier;

/**
 * Finds all plans of a service worth choosing from. The plans of the three objectives are among
 * them. As qb_plan_service(), but that the rate is required and qos.objective has no say.
 *
 * @param[out] frontier empty if the demand is not feasible (qb_plan_service() then says why); give
 * it back with qb_service_frontier_free()
 */
QB_API qb_status qb_plan_service_frontier(const qb_profile *const *profiles, size_t profile_count,
                                          const qb_load *load, const qb_qos *qos,
                                          qb_service_frontier **frontier);

/** @return the number of plans; 0 for NULL. */
QB_API uint32_t qb_service_frontier_count(const qb_service_frontier *frontier);

/** Describes plan `index`. @return QB_OK; QB_ERROR_NOT_FOUND; QB_ERROR_INVALID_ARGUMENT */
QB_API qb_status qb_service_frontier_get(const qb_service_frontier *frontier, uint32_t index,
                                         qb_service_plan *plan);

/** NULL is allowed. */
QB_API void qb_service_frontier_free(qb_service_frontier *frontier);

QB_END_DECLS

#endif
