/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file simulate.h
 * A service under load before it exists: what a policy, ours or another server's, makes of a
 * profile and of the traffic you expect.
 */
#ifndef QOSBATCH_SIMULATE_H
#define QOSBATCH_SIMULATE_H

#include <qosbatch/optimize.h>

QB_BEGIN_DECLS

/** How samples arrive. Values are stable. */
typedef enum qb_arrivals {
  QB_ARRIVALS_POISSON = 1, /**< independently of each other */
  QB_ARRIVALS_MMPP = 2,    /**< in bursts: a Poisson process with two rates (two-state MMPP) */
  QB_ARRIVALS_ON_OFF = 3,  /**< in bursts, with nothing between them */
  QB_ARRIVALS_DIURNAL = 4, /**< with a rate that swings like a sine over `period_ns` */
  QB_ARRIVALS_TRACE = 5    /**< at `times_ns` */
} qb_arrivals;

/** @return "poisson" and so on; "unknown" for a number that is none. Thread-safety: safe. */
QB_API const char *qb_arrivals_name(qb_arrivals arrivals);

/** The samples that arrive. Fields that the kind of arrivals does not use are ignored. */
typedef struct qb_traffic {
  size_t size; /**< sizeof(qb_traffic) */
  qb_arrivals arrivals;
  double rate_per_s;       /**< mean, > 0; of a trace ignored */
  double burst_ratio;      /**< MMPP: rate in a burst over that between bursts, > 1 */
  double burst_share;      /**< MMPP, on-off: share of the time in bursts, in (0, 1) */
  int64_t burst_ns;        /**< MMPP, on-off: mean length of a burst, > 0 */
  double swing;            /**< diurnal: the rate is 1 - swing .. 1 + swing times its mean, 0..1 */
  int64_t period_ns;       /**< diurnal: > 0 */
  const int64_t *times_ns; /**< trace: one a sample, from any origin, never falling */
  size_t time_count;
} qb_traffic;

#define QB_TRAFFIC_INIT                                                                            \
  {                                                                                                \
    sizeof(qb_traffic), QB_ARRIVALS_POISSON, 0.0, 5.0, 0.2, 1000000000, 0.8, 60000000000, NULL, 0  \
  }

/**
 * Who decides the rounds. The rules are those that the other servers document; docs/decision.md
 * says which, with their sources. Values are stable.
 */
typedef enum qb_policy {
  QB_POLICY_QOSBATCH = 1,           /**< qb_optimize() */
  QB_POLICY_EXHAUSTIVE = 2,         /**< largest batch and longest wait, the best of all of them */
  QB_POLICY_NO_BATCHING = 3,        /**< one sample a round */
  QB_POLICY_FIXED_BATCH = 4,        /**< always the same batch, however long it takes to fill */
  QB_POLICY_TENSORFLOW_SERVING = 5, /**< largest batch and timeout */
  QB_POLICY_TRITON = 6,             /**< preferred batch sizes and a delay */
  QB_POLICY_BENTOML = 7,            /**< dispatcher with regression online */
  QB_POLICY_CLIPPER_AIMD = 8,       /**< batch grows by addition and shrinks by a factor */
  QB_POLICY_CLIPPER_DEADLINE = 9    /**< throughput times what is left until the deadline */
} qb_policy;

/** @return "qosbatch" and so on; "unknown" for a number that is none. Thread-safety: safe. */
QB_API const char *qb_policy_name(qb_policy policy);

typedef struct qb_simulation {
  size_t size; /**< sizeof(qb_simulation) */
  qb_policy policy;
  bool tuned;          /**< another server's settings are searched for the best instead of its
                           defaults */
  uint32_t max_batch;  /**< no round has more samples; 0: the largest measured */
  uint64_t samples;    /**< that arrive, 1 to 1e9; 0: 100,000, of a trace all */
  uint64_t seed;       /**< the same seed gives the same report, bit by bit */
  uint32_t queue_most; /**< a sample that finds so many waiting is refused; 0: no bound */
  bool steady; /**< every round takes its latency_ns instead of its measured mean and spread */
} qb_simulation;

#define QB_SIMULATION_INIT                                                                         \
  {                                                                                                \
    sizeof(qb_simulation), QB_POLICY_QOSBATCH, false, 0, 0, 1, 0, false                            \
  }

/** What came of it. The first twentieth of the samples fills the queue and is not counted. */
typedef struct qb_simulation_report {
  size_t size;       /**< sizeof(qb_simulation_report) */
  uint64_t samples;  /**< that arrived and are counted */
  uint64_t answered; /**< of them; the others were refused or given up */
  int64_t p50_ns;    /**< from arrival to answer, of those answered; 0: none was */
  int64_t p95_ns;
  int64_t p99_ns;
  int64_t latency_ns; /**< at the percentile asked for */
  double mean_latency_ns;
  double within_slo;       /**< share of all samples answered within the latency target, 0..1 */
  double rate_per_s;       /**< samples that arrived */
  double throughput_per_s; /**< answers */
  double goodput_per_s;    /**< answers within the target */
  double utilisation;      /**< share of time an instance is busy */
  double mean_batch;
  double cost_per_million; /**< price of the node for a million answers within the target; 0: not
                                known */
  uint64_t events;         /**< arrivals, ends of rounds and wake-ups that were simulated */
  uint32_t batch;          /**< largest batch that was used: given, by default or by search */
  int64_t max_wait_ns;     /**< longest wait that was used; 0 where the policy has none */
} qb_simulation_report;

#define QB_SIMULATION_REPORT_INIT                                                                  \
  {                                                                                                \
    sizeof(qb_simulation_report), 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0,  \
        0                                                                                          \
  }

/**
 * Simulates a service, event by event. Nothing runs; a round takes what the profile says.
 *
 * @param configuration NULL: the profile's with the highest throughput
 * @param qos latency_ns is required
 * @param simulation NULL: the defaults
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 */
QB_API qb_status qb_simulate(qb_profile *profile, const qb_configuration *configuration,
                             const qb_traffic *traffic, const qb_qos *qos,
                             const qb_simulation *simulation, qb_simulation_report *report);

QB_END_DECLS

#endif
