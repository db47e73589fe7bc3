/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file optimize.h
 * The decision before every inference round.
 */
#ifndef QOSBATCH_OPTIMIZE_H
#define QOSBATCH_OPTIMIZE_H

#include <qosbatch/plan.h>

QB_BEGIN_DECLS

/**
 * Decides the rounds of a service. Two threads may use an optimizer at once: one in qb_optimize() or
 * qb_observe(), and one in qb_optimizer_refresh(). A service whose instances have a thread each
 * calls the first two under the lock of its queue and the last one without it. Several optimizers
 * may share a profile.
 * @since 0.1
 */
typedef struct qb_optimizer qb_optimizer;

/** What an optimizer decides for. @since 0.1 */
typedef struct qb_optimizer_params {
  size_t size;                    /**< sizeof(qb_optimizer_params) */
  qb_configuration configuration; /**< that the session runs in */
  uint32_t max_batch;             /**< the most samples in a round, 1..QB_MAX_BATCH */
  int64_t max_wait_ns; /**< how long the oldest sample waits for a batch to fill; ignored with a
                            latency target, whose rule has waits of its own */
  double rate_per_s;   /**< samples expected per second, until they have been counted; 0: few */
  uint64_t network;    /**< of the plan; another network's profile is refused. 0: not checked */
} qb_optimizer_params;

#define QB_OPTIMIZER_PARAMS_INIT QB__INIT(qb_optimizer_params)

/**
 * Fills the parameters with those of a plan.
 * @param[out] params its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_optimizer_params_of_plan(const qb_service_plan *plan,
                                             qb_optimizer_params *params);

/**
 * Makes an optimizer.
 * @param profile of the node that the rounds run on; the optimizer keeps a reference
 * @param qos latency_ns and shed are used; NULL: no target
 * @param[out] optimizer to be freed with qb_optimizer_free()
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_MISMATCH (the plan was for another network);
 * QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_optimizer_new(qb_profile *profile, const qb_optimizer_params *params,
                                  const qb_qos *qos, qb_optimizer **optimizer);

/**
 * Frees an optimizer; NULL is allowed.
 * Thread-safety: safe; no thread may use the optimizer any more.
 * @since 0.1
 */
QB_API void qb_optimizer_free(qb_optimizer *optimizer);

/**
 * The queue just before a round. All times are by one monotonic clock of the host.
 *
 * With the deadline of each sample a decision knows which samples a round would be too late for, and
 * requests may have targets of their own. An array of deadlines is handed over as it is, from
 * element `deadline_first` on; for a ring, `deadline_room` says after how many elements it wraps
 * around.
 * @since 0.1
 */
typedef struct qb_round_state {
  size_t size;                /**< sizeof(qb_round_state) */
  uint32_t queued;            /**< samples in the queue */
  uint32_t free_instances;    /**< instances that could start a round now */
  int64_t now_ns;             /**< the time now */
  int64_t oldest_arrival_ns;  /**< when the oldest sample arrived. Not needed with deadlines and a
                                  latency target. Without deadlines, the other samples' ages are
                                  taken to be spread evenly below the oldest's */
  const int64_t *deadline_ns; /**< when samples have to be answered, the most urgent first */
  uint32_t deadline_count;    /**< samples with a deadline: all that are queued, or the first ones,
                                   and the others are no more urgent; 0: none */
  uint32_t deadline_first;    /**< index of the first one's deadline */
  uint32_t deadline_room;     /**< elements of the ring; 0: an array that does not wrap around */
  uint64_t arrived; /**< samples that have arrived since any origin, for counting the rate; 0: not
                         counted */
} qb_round_state;

#define QB_ROUND_STATE_INIT                                                                        \
  {                                                                                                \
    .size = sizeof(qb_round_state), .free_instances = 1                                            \
  }

/** What to do. Values are stable. @since 0.1 */
typedef enum qb_action {
  QB_ACTION_RUN = 1,       /**< run a round of `batch` samples now */
  QB_ACTION_WAIT = 2,      /**< ask again when a sample arrives, or after max_wait_ns */
  QB_ACTION_INFEASIBLE = 3 /**< the most urgent sample misses its target whatever is done. With
                                 qos.shed: refuse the first `give_up` samples and ask again.
                                 Otherwise run `batch` samples all the same */
} qb_action;

/** @return "run" and so on; "unknown" for any other value. Thread-safety: safe. @since 0.1 */
static inline const char *qb_action_name(qb_action action)
{
  return qb_enum_name("qb_action", (int)action);
}

/** The decision on a round. @since 0.1 */
typedef struct qb_decision {
  size_t size;         /**< sizeof(qb_decision) */
  qb_action action;    /**< what to do */
  qb_reason reason;    /**< why */
  uint32_t batch;      /**< samples to run; when waiting, to wait for; 0: none */
  bool refresh_due;    /**< qb_optimizer_refresh() would change decisions */
  int64_t max_wait_ns; /**< when waiting: at most this long; 0 with an empty queue: no limit */
  int64_t latency_ns;  /**< predicted duration of the round */
  int64_t low_ns;      /**< 95 % interval of it, lower end; as wide as observed rounds need it */
  int64_t high_ns;     /**< upper end */
  int64_t oldest_latency_ns; /**< predicted time from arrival to answer of the oldest sample */
  uint32_t
      give_up;     /**< with qos.shed: number of samples to refuse from the front of the queue: they
                         would miss their target or make others miss theirs */
  double slowdown; /**< time of observed rounds over profiled time: 1 on a node as profiled, 1.5 on
                         one that lost a third of its compute power; 0: no decision */
  double coverage; /**< share of the last 200 observed rounds that lay within their predicted
                         interval, or of all if there were fewer; 0: none was observed */
} qb_decision;

#define QB_DECISION_INIT                                                                           \
  {                                                                                                \
    .size = sizeof(qb_decision), .action = QB_ACTION_WAIT                                          \
  }

/**
 * Decides the next round. The hot path: no allocation, no lock, no system call, no I/O.
 *
 * With a latency target the decision follows the rule that keeps most answers in time in the long
 * run (docs/decision.md); without one, batches fill up to the longest wait.
 *
 * - Waiting breaks no promise: after `max_wait_ns` the most urgent sample can still be answered in
 *   time, in a round of one sample more than are queued now, even if that round is a slow one.
 * - Samples run in the order given. With qos.shed all samples that run are predicted to be in time,
 *   and the others are given up. Without it all are answered, and a round may be longer than the most
 *   urgent sample has left (reason QB_REASON_LATE) where sparing that sample would make more of the
 *   others late.
 *
 * @param[out] decision its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT (an arrival after now_ns, deadlines that do not fit into
 * their ring, or a bad size)
 * Thread-safety: one thread at a time in qb_optimize() and qb_observe() of an optimizer; safe beside
 * qb_optimizer_refresh().
 * @since 0.1
 */
QB_API qb_status qb_optimize(qb_optimizer *optimizer, const qb_round_state *state,
                             qb_decision *decision);

/** How long a round took. @since 0.1 */
typedef struct qb_round_result {
  size_t size;        /**< sizeof(qb_round_result) */
  uint32_t batch;     /**< samples in the round */
  int64_t latency_ns; /**< measured duration of the round, > 0 */
} qb_round_result;

#define QB_ROUND_RESULT_INIT QB__INIT(qb_round_result)

/**
 * Reports the duration of a round. Constant time and memory, no allocation, no lock.
 *
 * A change-point test of measured over profiled time tells noise from a change of the node: its
 * frequency, its quota, a neighbour. When the test fires (after about four rounds for a 1.5 x
 * slowdown), `slowdown` becomes the ratio since the change, and decisions have `refresh_due` set. The
 * end of a slowdown is found in the same way.
 *
 * It also counts whether the round lay within the interval that was predicted for it. Intervals
 * widen or narrow so that 95 % of the rounds do (qb_optimizer_get_coverage()).
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: as qb_optimize().
 * @since 0.1
 */
QB_API qb_status qb_observe(qb_optimizer *optimizer, const qb_round_result *result);

/** How many observed rounds lay within their predicted 95 % intervals. @since 0.1 */
typedef struct qb_coverage {
  size_t size;     /**< sizeof(qb_coverage) */
  uint64_t rounds; /**< observed */
  uint64_t inside; /**< of these, within their interval */
  double recent;   /**< share of the last 200 that were, or of all if there were fewer; 0: none */
  double width;    /**< what the profile's intervals are multiplied by: 1 as profiled */
} qb_coverage;

#define QB_COVERAGE_INIT QB__INIT(qb_coverage)

/**
 * Tells whether predictions hold: the next round is expected to lie within the interval of its
 * decision with a probability of 95 %, whatever noise and changes of the node were like so far.
 * @param[out] coverage its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: as qb_optimize().
 * @since 0.1
 */
QB_API qb_status qb_optimizer_get_coverage(const qb_optimizer *optimizer, qb_coverage *coverage);

/**
 * Recomputes the tables for the observed slowdown: c has changed, p and its dependence on the batch
 * have not. Takes tens of milliseconds, so call it from a thread that may be late: qb_optimize() and
 * qb_observe() go on beside it, and the first decision after it has returned uses the new tables.
 * Returns at once when nothing was observed since the last refresh. Allocates, and two calls for one
 * optimizer run one after the other.
 * @return QB_OK; QB_ERROR_NO_MEMORY (the tables stay as they were)
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_optimizer_refresh(qb_optimizer *optimizer);

/**
 * Writes the reason for a decision as a sentence, in English, with its figures.
 * @param text of `text_bytes` bytes, always terminated; NULL if text_bytes is 0
 * @return bytes needed, including the terminating 0; if more than text_bytes, the text was cut
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API size_t qb_explain(const qb_decision *decision, char *text, size_t text_bytes);

QB_END_DECLS

#endif
