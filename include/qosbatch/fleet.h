/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file fleet.h
 * Which node type to pay for, how many of them, and which batch to run there.
 *
 * A profile speaks of a node type if it was measured on a node with the type's processor and as
 * many cores. For any other type it is transferred: times go with c and m in the shares that the
 * roofline gives compute and memory, and the interval widens (docs/cost.md). Of several profiles
 * the one of the type is taken, else the one whose compute power per core is nearest.
 */
#ifndef QOSBATCH_FLEET_H
#define QOSBATCH_FLEET_H

#include <qosbatch/catalogue.h>
#include <qosbatch/estimate.h>
#include <qosbatch/plan.h>
#include <qosbatch/qos.h>

QB_BEGIN_DECLS

/** Samples that are all there at the start. */
typedef struct qb_job {
  size_t size;         /**< sizeof(qb_job) */
  uint64_t samples;    /**< 1..2^53 */
  int64_t deadline_ns; /**< from the order of the nodes to the last answer; 0: none */
  double budget;       /**< the job costs at most this in all; 0: no limit */
} qb_job;

#define QB_JOB_INIT                                                                                \
  {                                                                                                \
    sizeof(qb_job), 0, 0, 0.0                                                                      \
  }

/** One way to run a job. Times count from the order of the nodes, start-up included. */
typedef struct qb_job_fleet {
  size_t size;   /**< sizeof(qb_job_fleet) */
  uint32_t type; /**< index in the catalogue */
  uint32_t nodes;
  qb_configuration configuration; /**< of each node */
  uint32_t batch;                 /**< samples in a round */
  uint64_t samples_per_instance;  /**< of the instance that has most */
  int64_t total_ns;               /**< expected */
  int64_t total_95_ns;            /**< not exceeded with a chance of 95 % */
  double cost;                    /**< bill for total_ns */
  double cost_95;                 /**< bill for total_95_ns */
  double cost_per_1000;           /**< expected, per 1,000 inferences */
  uint64_t memory_bytes;          /**< of a node */
  qb_source source;               /**< QB_SOURCE_MEASURED, or _TRANSFERRED from another node */
} qb_job_fleet;

#define QB_JOB_FLEET_INIT                                                                          \
  {                                                                                                \
    .size = sizeof(qb_job_fleet)                                                                   \
  }

/**
 * The ways to run a job that no other way beats: by rising total_95_ns and falling cost.
 * Thread-safety: safe; immutable after creation.
 */
typedef struct qb_frontier qb_frontier;

/** What was decided. */
typedef struct qb_job_choice {
  size_t size;        /**< sizeof(qb_job_choice) */
  bool feasible;      /**< the demand is met; if not, the fleet is the nearest to it */
  qb_reason reason;   /**< what bound the choice */
  qb_job_fleet fleet; /**< chosen */
  /** If not feasible, the change of one term that would do, the other kept; 0: none would. */
  int64_t nearest_deadline_ns;
  double nearest_budget;
} qb_job_choice;

#define QB_JOB_CHOICE_INIT                                                                         \
  {                                                                                                \
    sizeof(qb_job_choice), false, QB_REASON_NONE, QB_JOB_FLEET_INIT, 0, 0                          \
  }

/**
 * Chooses the fleet for a job by exhaustive search over node types, number of nodes,
 * configurations and batch sizes.
 *
 * With a deadline: the least cost among those that hold it with a chance of 95 %. With a budget
 * alone: the least total_95_ns among those whose cost_95 is within it. With both: the least cost
 * within both. With none: the least cost. Samples are split over all instances of all nodes as
 * evenly as possible, and every node is billed until the last one is done.
 *
 * The 95 % are of two kinds of error: that of the profile, which is the same in every round, so that
 * it does not average out, and that of single rounds, which does. Interruptions (a Poisson process)
 * each cost a start-up and half a round, a whole one at 95 %.
 *
 * @param profiles of one model, one or more
 * @param[out] choice its size is set by the caller
 * @param[out] frontier over all that is within the budget, which has one way at least unless
 * nothing is; may be NULL; give it back with qb_frontier_free()
 * @return QB_OK, also when not feasible; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_MISMATCH (profiles of
 * different models); QB_ERROR_NOT_FOUND (no profile speaks of a type and its c is not known);
 * QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 */
QB_API qb_status qb_plan_job_fleet(const qb_catalogue *catalogue, const qb_profile *const *profiles,
                                   size_t profile_count, const qb_job *job, qb_job_choice *choice,
                                   qb_frontier **frontier);

/** @return the number of ways; 0 for NULL. */
QB_API uint32_t qb_frontier_count(const qb_frontier *frontier);

/** Describes way `index`. @return QB_OK; QB_ERROR_NOT_FOUND; QB_ERROR_INVALID_ARGUMENT */
QB_API qb_status qb_frontier_get(const qb_frontier *frontier, uint32_t index, qb_job_fleet *fleet);

/** NULL is allowed. */
QB_API void qb_frontier_free(qb_frontier *frontier);

/** How to run a service on nodes of one type. */
typedef struct qb_service_fleet {
  size_t size;           /**< sizeof(qb_service_fleet) */
  bool feasible;         /**< the demand is met */
  uint32_t type;         /**< index in the catalogue */
  uint32_t nodes;        /**< spare nodes included */
  double rate_per_s;     /**< of a node while the spare nodes are out */
  qb_service_plan plan;  /**< of a node at that rate */
  double cost_per_hour;  /**< of all nodes; of functions, at this rate */
  double cost_per_1000;  /**< per 1,000 inferences */
  double max_rate_per_s; /**< that this fleet holds with the spare nodes out */
  qb_source source;      /**< QB_SOURCE_MEASURED, or _TRANSFERRED from another node */
} qb_service_fleet;

#define QB_SERVICE_FLEET_INIT                                                                      \
  {                                                                                                \
    sizeof(qb_service_fleet), false, 0, 0, 0, QB_SERVICE_PLAN_INIT, 0, 0, 0, QB_SOURCE_MEASURED    \
  }

/**
 * Chooses the fleet for a service: for each node type the fewest nodes that hold the rate within
 * the latency at the percentile, by qb_plan_service() on an equal part of the rate for each node;
 * then the type that costs least per hour.
 *
 * The latency is held by the upper end of the profile's 95 % interval when the profile was
 * transferred: the times of such a node are taken at that end.
 *
 * @param qos latency, percentile and budget per hour of the whole fleet; the memory limit is the
 * lower of qos and node type
 * @param spare nodes that may fail while the demand is still met
 * @param[out] fleets one for each type, by rising cost_per_hour, those that are not feasible last;
 * `count` of them, the size of each set by the caller
 * @param count qb_catalogue_count(catalogue)
 * @return QB_OK, also when not feasible; as qb_plan_job_fleet()
 * Thread-safety: safe.
 */
QB_API qb_status qb_plan_service_fleet(const qb_catalogue *catalogue,
                                       const qb_profile *const *profiles, size_t profile_count,
                                       const qb_load *load, const qb_qos *qos, uint32_t spare,
                                       qb_service_fleet *fleets, uint32_t count);

QB_END_DECLS

#endif
