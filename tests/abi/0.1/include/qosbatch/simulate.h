/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file simulate.h
 * A service under load before it exists: how a batching policy, ours or another server's, serves the
 * traffic you expect with the rounds of a profile.
 */
#ifndef QOSBATCH_SIMULATE_H
#define QOSBATCH_SIMULATE_H

#include <qosbatch/optimize.h>

QB_BEGIN_DECLS

/** How samples arrive. Values are stable. @since 0.1 */
typedef enum qb_arrivals {
  QB_ARRIVALS_POISSON = 0, /**< independently of each other */
  QB_ARRIVALS_MMPP = 1,    /**< in bursts: a Poisson process with two rates (two-state MMPP) */
  QB_ARRIVALS_ON_OFF = 2,  /**< in bursts, with nothing between them */
  QB_ARRIVALS_DIURNAL = 3, /**< with a rate that swings like a sine over `period_ns` */
  QB_ARRIVALS_TRACE = 4    /**< at `times_ns` */
} qb_arrivals;

/** The samples that arrive. Members that the kind of arrivals does not use are ignored. @since 0.1 */
typedef struct qb_traffic {
  size_t size;             /**< sizeof(qb_traffic) */
  qb_arrivals arrivals;    /**< how samples arrive */
  double rate_per_s;       /**< mean samples per second, > 0; ignored for a trace */
  double burst_ratio;      /**< MMPP: rate in a burst over the rate between, > 1; 0: 5 */
  double burst_share;      /**< MMPP, on-off: share of the time in bursts, in (0, 1); 0: 0.2 */
  int64_t burst_ns;        /**< MMPP, on-off: mean length of a burst; 0: 1 s */
  double swing;            /**< diurnal: the rate is 1 - swing .. 1 + swing times its mean, up to
                                1; 0: 0.8 */
  int64_t period_ns;       /**< diurnal: length of a day; 0: 60 s */
  const int64_t *times_ns; /**< trace: when each sample arrives, from any origin, never falling */
  size_t time_count;       /**< trace: number of samples */
} qb_traffic;

#define QB_TRAFFIC_INIT QB__INIT(qb_traffic)

/** How a simulation runs. @since 0.1 */
typedef struct qb_simulation {
  size_t size;         /**< sizeof(qb_simulation) */
  const char *policy;  /**< who decides the rounds: a name of qb_policy_name(); NULL: "qosbatch" */
  bool tuned;          /**< search another server's settings for the best, not its defaults */
  bool steady;         /**< every round takes its latency_ns, not its measured mean and spread */
  uint32_t max_batch;  /**< samples in a round, at most; 0: the largest measured */
  uint32_t max_queued; /**< refuse a sample that finds this many waiting; 0: no bound */
  uint64_t samples;    /**< samples that arrive, 1 to 1e9; 0: 100,000, or all of a trace */
  uint64_t seed;       /**< the same seed gives the same report, bit by bit */
} qb_simulation;

#define QB_SIMULATION_INIT QB__INIT(qb_simulation)

/**
 * Lists the policies that qb_simulate() knows: ours ("qosbatch"), the best of all largest batches
 * and longest waits ("exhaustive"), "no-batching" and "fixed-batch", then those that other servers
 * document (docs/decision.md). A later version may know others, or one less.
 * @return the name of policy `index`, from 0; NULL after the last. Static, do not free.
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API const char *qb_policy_name(uint32_t index);

/** Results. The first twentieth of the samples fills the queue and is not counted. @since 0.1 */
typedef struct qb_simulation_report {
  size_t size;             /**< sizeof(qb_simulation_report) */
  uint64_t samples;        /**< samples that arrived and are counted */
  uint64_t answered;       /**< samples answered; the others were refused or given up */
  int64_t p50_ns;          /**< median time from arrival to answer; 0: no sample was answered */
  int64_t p95_ns;          /**< 95th percentile of it */
  int64_t p99_ns;          /**< 99th percentile of it */
  int64_t latency_ns;      /**< the percentile asked for */
  double mean_latency_ns;  /**< mean time from arrival to answer */
  double within_slo;       /**< share of all samples answered within the latency target, 0..1 */
  double rate_per_s;       /**< samples that arrived per second */
  double throughput_per_s; /**< answers per second */
  double goodput_per_s;    /**< answers within the target per second */
  double utilisation;      /**< share of time an instance is busy, 0..1 */
  double mean_batch;       /**< samples in a round, on average */
  double cost_per_million; /**< price of the node for a million answers within the target; 0:
                                unknown */
  uint64_t events;         /**< arrivals, ends of rounds and wake-ups simulated */
  int64_t max_wait_ns;     /**< longest wait used; 0 where the policy has none */
  uint32_t batch;          /**< largest batch used: given, by default or by search */
} qb_simulation_report;

#define QB_SIMULATION_REPORT_INIT QB__INIT(qb_simulation_report)

/**
 * Simulates a service, event by event. No round is run: each takes the time the profile says.
 *
 * @param configuration NULL: the profile's with the highest throughput
 * @param qos latency_ns is required
 * @param simulation NULL: the defaults
 * @param[out] report its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NOT_FOUND (no policy of that name);
 * QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_simulate(qb_profile *profile, const qb_configuration *configuration,
                             const qb_traffic *traffic, const qb_qos *qos,
                             const qb_simulation *simulation, qb_simulation_report *report);

QB_END_DECLS

#endif
