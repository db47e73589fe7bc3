/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file plan.h
 * Decisions taken once, before work starts: how to run a job, how to run a service.
 *
 * Six calls of one shape plan work. A job (qb_job) or a load (qb_load) meets a quality of service
 * (qb_qos) on one of three kinds of nodes:
 *
 * |                               | job                 | service                 |
 * |-------------------------------|---------------------|-------------------------|
 * | the nodes of these profiles   | qb_plan_job()       | qb_plan_service()       |
 * | node types that can be bought | qb_plan_job_fleet() | qb_plan_service_fleet() |
 * | all of these nodes together   | qb_place_job()      | qb_place_service()      |
 *
 * The first four give one plan, and its alternatives as a frontier. A demand that cannot be met is
 * an answer, not an error: the plan is then the nearest one, and qb_nearest says what would be
 * feasible. It keeps the accuracy asked for, whatever else it breaks, unless no precision does.
 *
 * ## How long a job takes
 * T is the sum of the rounds of the busiest instance, each at its mean. It has two errors. Neither
 * averages out over rounds, so standard deviations add up. That of the profile, S in all, is the
 * same on every node. That of a node, D in all, comes from neighbours, who slow all rounds they
 * meet. Nodes have different neighbours: N nodes end with the slowest of N normal deviates, whose
 * median is m and whose 97.5 % quantile is q:
 *
 *     total = T + m D
 *     high  = total + sqrt((1.96 S)^2 + (q - m)^2 D^2)
 *     low   = the sum of the rounds' low_ns
 *
 * The start-up of bought nodes, and their interruptions, come on top (fleet.h). S follows from
 * qb_latency_estimate's interval, D from its p95_ns and mean_ns. A job of one round on one quiet
 * node has the interval of that round's estimate. docs/cost.md explains the formula.
 */
#ifndef QOSBATCH_PLAN_H
#define QOSBATCH_PLAN_H

#include <qosbatch/estimate.h>
#include <qosbatch/qos.h>

QB_BEGIN_DECLS

/**
 * For each limit, the least change that alone would make an infeasible demand feasible; 0 where no
 * change of that limit alone helps. A value type: it has no size and never grows.
 * @since 0.1
 */
typedef struct qb_nearest {
  int64_t latency_ns;     /**< the least latency target that can be met at this rate */
  double rate_per_s;      /**< the highest rate that can be held with this latency target */
  double percentile;      /**< the highest percentile that the latency target holds for */
  int64_t deadline_ns;    /**< the least deadline that can be met */
  double budget;          /**< the least budget that suffices */
  double budget_per_hour; /**< the least budget per hour that suffices */
  uint64_t memory_bytes;  /**< the least memory limit that suffices */
  double accuracy;        /**< the highest accuracy that another precision reaches, in percent */
  uint64_t reserved[3];   /**< 0 */
} qb_nearest;

/**
 * A division of a node's cores that was not measured and is expected to do better than the plan, were
 * it as fast as its estimate; qb_profile_run() with the profile as params.known measures it. A value type:
 * it has no size and never grows.
 * @since 0.1
 */
typedef struct qb_untried {
  qb_configuration configuration; /**< 0 instances: there is none */
  double gain; /**< latency or time that would be saved, or rate that would be gained, as a share of
                    the plan's; 1 if only this would meet the demand */
  uint64_t reserved[2]; /**< 0 */
} qb_untried;

/** How to run a job: which nodes, and which rounds on each. @since 0.1 */
typedef struct qb_job_plan {
  size_t size;      /**< sizeof(qb_job_plan) */
  bool feasible;    /**< every limit is kept; if not, this is the nearest plan */
  qb_reason reason; /**< feasible: what keeps a better plan out; else: the limit violated most */
  uint32_t profile; /**< index of the profile whose times are used */
  uint32_t type;    /**< index of the node type in the catalogue; 0 without one */
  uint32_t nodes;   /**< how many nodes run the job; 0: none has the memory */
  qb_source source; /**< QB_SOURCE_MEASURED or QB_SOURCE_TRANSFERRED: where its times come from */
  qb_configuration configuration; /**< of each node */
  uint32_t batch;                 /**< samples in a round */
  uint32_t remainder;             /**< samples in the last round of the busiest instance; 0: none */
  uint64_t samples_per_instance;  /**< of the busiest instance; others have this or one less */
  uint64_t rounds_per_instance;   /**< full rounds of the busiest instance */
  int64_t total_ns;               /**< from the start to the last answer; batch sizes are prepared
                                       before, or during start-up */
  int64_t low_ns;                 /**< 95 % interval of total_ns (see above): its lower end ... */
  int64_t high_ns;                /**< ... and its upper end */
  double throughput_per_s;        /**< samples / total */
  double cost;                    /**< bill for total_ns; 0 if no price is known */
  double cost_high;               /**< bill for high_ns */
  double cost_per_1000;           /**< bill for 1,000 samples, at `cost` */
  uint64_t memory_bytes;          /**< of a node */
  qb_nearest nearest;             /**< if not feasible; all 0 in a frontier. Feasible and bound by
                                       QB_REASON_ACCURACY: the accuracy that a better plan has */
  qb_untried untried;             /**< of qb_plan_job(); else all 0 */
} qb_job_plan;

#define QB_JOB_PLAN_INIT QB__INIT(qb_job_plan)

/** How to run a service: which nodes, and how each forms its rounds. @since 0.1 */
typedef struct qb_service_plan {
  size_t size;      /**< sizeof(qb_service_plan) */
  bool feasible;    /**< every limit is kept; if not, this is the nearest plan */
  qb_reason reason; /**< feasible: the limit that keeps a better plan out, QB_REASON_NONE if none
                         does; else: the limit violated most */
  uint32_t profile; /**< index of the profile whose times are used */
  uint32_t type;    /**< index of the node type in the catalogue; 0 without one */
  uint32_t nodes;   /**< how many nodes run the service, spare ones included */
  qb_source source; /**< QB_SOURCE_MEASURED or QB_SOURCE_TRANSFERRED: where its times come from */
  qb_configuration configuration; /**< of each node */
  uint32_t batch;                 /**< the most samples in a round */
  int64_t max_wait_ns;            /**< the longest time a free instance waits for a batch to fill */
  int64_t p50_ns;        /**< predicted time from arrival to answer; 0: the queue grows for ever */
  int64_t p95_ns;        /**< the same at the 95th percentile */
  int64_t p99_ns;        /**< the same at the 99th percentile */
  int64_t latency_ns;    /**< predicted at the percentile asked for */
  double mean_batch;     /**< predicted samples in a round */
  double utilisation;    /**< predicted share of time an instance is busy, 0..1 */
  double rate_per_s;     /**< that each node serves, the spare nodes being out */
  double max_rate_per_s; /**< the highest rate that all nodes but the spare ones hold within the
                              latency target, to 1 %; if not feasible, their capacity */
  double cost_per_hour;  /**< of all nodes; 0 if no price is known */
  double cost_per_1000;  /**< price of 1,000 samples at the rate asked for */
  uint64_t memory_bytes; /**< of a node */
  uint64_t network;      /**< of the profile, as in qb_profile_info; 0: not known */
  qb_nearest nearest;    /**< as in qb_job_plan */
  qb_untried untried;    /**< of qb_plan_service(); else all 0 */
} qb_service_plan;

#define QB_SERVICE_PLAN_INIT QB__INIT(qb_service_plan)

/**
 * The plans of a job that keep all limits but the deadline and that no other beats: none ends as
 * early and costs as little. In ascending order of high_ns, and so in descending order of cost.
 * frontier.h reads it. Thread-safety: safe; immutable after creation.
 * @since 0.1
 */
typedef struct qb_job_frontier qb_job_frontier;

/**
 * The plans of a service worth choosing from. Of qb_plan_service(): those that keep all limits and
 * that no other beats (none has as high a max_rate_per_s, as low a latency_ns and as low a
 * cost_per_hour), in ascending order of latency_ns. Of qb_plan_service_fleet(): one for each node
 * type, in ascending order of cost_per_hour, the infeasible ones last.
 * frontier.h reads it. Thread-safety: safe; immutable after creation.
 * @since 0.1
 */
typedef struct qb_service_frontier qb_service_frontier;

/**
 * Plans a job on the node of one of the profiles, by exhaustive search over profiles,
 * configurations and batch sizes. Of all plans that keep the limits it takes the one that ends
 * first (high_ns), or with QB_OBJECTIVE_COST the one with the lowest cost; of equally good ones the
 * cheapest, or the one that ends first. Samples are split over the instances as evenly as possible.
 *
 * @param profiles the nodes to choose among, `profile_count` of them, 1 or more
 * @param qos NULL: no limits
 * @param[in,out] plan its size is set by the caller
 * @param[out] frontier empty if nothing keeps the limits but the deadline; free it with
 * qb_job_frontier_free(). NULL if not wanted
 * @return QB_OK, also when not feasible; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_plan_job(qb_profile *const *profiles, size_t profile_count, const qb_job *job,
                             const qb_qos *qos, qb_job_plan *plan, qb_job_frontier **frontier);

/**
 * Plans a service on the node of one of the profiles: of all configurations, largest batches and
 * longest waits that keep the limits at this load, the best by qos.objective:
 * - QB_OBJECTIVE_LATENCY: the least latency_ns, then the least cost, then the highest
 *   max_rate_per_s;
 * - QB_OBJECTIVE_RATE: the highest max_rate_per_s, then the least cost, then the least latency_ns;
 * - QB_OBJECTIVE_COST: the least cost_per_hour, then the least latency_ns, then the highest
 *   max_rate_per_s. An unknown price counts as 0.
 *
 * Of equal plans it takes the one with the fewest threads, then the smallest batch, then the
 * shortest wait. Every batch size up to 8 is tried, and 4 per octave above; the waits tried are 0,
 * 1/8, 1/4, 1/2 and 1 times the duration of a full round, since after a longer wait an immediate
 * round would have answered sooner. Latencies come from a simulation of the queue
 * (docs/decision.md).
 *
 * @param profiles the nodes to choose among, `profile_count` of them, 1 or more
 * @param load with QB_OBJECTIVE_RATE its rate may be 0: the plan is then for the highest rate
 * @param qos NULL: no limits
 * @param[in,out] plan its size is set by the caller
 * @param[out] frontier needs a rate; empty if nothing keeps the limits; free it with
 * qb_service_frontier_free(). NULL if not wanted: finding it takes several times as long as the
 * plan
 * @return QB_OK, also when not feasible; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_plan_service(qb_profile *const *profiles, size_t profile_count,
                                 const qb_load *load, const qb_qos *qos, qb_service_plan *plan,
                                 qb_service_frontier **frontier);

QB_END_DECLS

#endif
