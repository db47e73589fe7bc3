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
 * What a service needs to decide its rounds. Thread-safety: not safe; one thread at a time (a
 * batcher holds its queue's lock anyway). Different optimizers may share a profile and be used by
 * different threads.
 */
typedef struct qb_optimizer qb_optimizer;

/**
 * Makes an optimizer for a plan.
 * @param profile the one the plan was made of (profiles[plan->profile])
 * @param plan from qb_plan_service()
 * @param qos the one the plan was made for; NULL: nothing asked for
 * @param[out] optimizer to be freed with qb_optimizer_free()
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_MISMATCH (the plan is of another network);
 * QB_ERROR_NO_MEMORY
 */
QB_API qb_status qb_optimizer_new(qb_profile *profile, const qb_service_plan *plan,
                                  const qb_qos *qos, qb_optimizer **optimizer);

/** Frees an optimizer; NULL is allowed. */
QB_API void qb_optimizer_free(qb_optimizer *optimizer);

/** What the host sees just before a round. */
typedef struct qb_round_state {
  size_t size;             /**< sizeof(qb_round_state) */
  uint32_t queued;         /**< samples that wait */
  uint32_t free_instances; /**< instances that could start now */
  int64_t oldest_age_ns;   /**< how long the oldest of them has waited */
  double rate_per_s;       /**< samples that arrive per second as far as known; 0: the one that
                                the optimizer counts, or the plan's */
  /**
   * How long there is until each of the first `left_count` samples has to be answered, in the order
   * they will run, the most urgent first: with this, classes of requests may have targets of their
   * own. NULL: the target of the qos for all, the others' ages spread evenly below the oldest's.
   */
  const int64_t *left_ns;
  uint32_t left_count;
  int64_t now_ns;   /**< the host's monotonic clock, for counting the rate; 0: do not count */
  uint64_t arrived; /**< samples that arrived up to now, since any origin */
} qb_round_state;

#define QB_ROUND_STATE_INIT                                                                        \
  {                                                                                                \
    sizeof(qb_round_state), 0, 1, 0, 0.0, NULL, 0, 0, 0                                            \
  }

/** What to do. */
typedef enum qb_action {
  QB_ACTION_RUN = 1,       /**< run a round of `batch` samples now */
  QB_ACTION_WAIT = 2,      /**< ask again when a sample arrives, or after max_wait_ns */
  QB_ACTION_INFEASIBLE = 3 /**< the oldest sample misses its target whatever is done; `batch` says
                                 what to run all the same. With qos.shed: refuse the first
                                 `give_up` samples and ask again */
} qb_action;

/** @return "run" and so on; "unknown" for a number that is none. Thread-safety: safe. */
QB_API const char *qb_action_name(qb_action action);

typedef struct qb_decision {
  size_t size; /**< sizeof(qb_decision) */
  qb_action action;
  qb_reason reason;
  uint32_t batch;      /**< samples to run; when waiting: to wait for; 0: none */
  bool refresh_due;    /**< qb_optimizer_refresh() would change decisions */
  int64_t max_wait_ns; /**< when waiting: at the longest; 0 with nothing queued: no limit */
  int64_t latency_ns;  /**< predicted duration of the round */
  int64_t low_ns;      /**< 95 % interval of that */
  int64_t high_ns;
  int64_t oldest_latency_ns; /**< predicted time from arrival to answer of the oldest sample */
  uint32_t give_up; /**< with qos.shed: refuse so many of the first samples before all else. They
                         would be late, or make more of the others late */
  double slowdown;  /**< what rounds now take over what was profiled, by those observed: 1 on a node
                         as it was, 1.5 on one whose c fell by a third; 0: no decision */
} qb_decision;

#define QB_DECISION_INIT                                                                           \
  {                                                                                                \
    sizeof(qb_decision), QB_ACTION_WAIT, QB_REASON_NONE, 0, false, 0, 0, 0, 0, 0, 0, 0             \
  }

/**
 * Says which batch sizes are ready to run, when making another one ready would stall a round: until
 * the next call rounds have one of these sizes. With qb_session_prepare() done for all, not needed.
 * @param batches rising, each 1..the plan's batch; NULL: all are ready
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 */
QB_API qb_status qb_optimizer_set_ready(qb_optimizer *optimizer, const uint32_t *batches,
                                        size_t batch_count);

/**
 * Decides the next round. The hot path: no allocation, no lock, no system call, no I/O.
 *
 * With a latency target this looks up the rule that keeps most answers in time in the long run
 * (docs/decision.md); without, it fills batches up to the plan's longest wait.
 *
 * - Waiting breaks no promise: after `max_wait_ns` the most urgent sample can still be answered in
 *   time, in a round of one more than wait now, even if that round is a slow one.
 * - Samples run in the order given. With qos.shed those that run are in time by what is predicted,
 *   and the others are given up. Without it all are answered, and a round may be longer than the
 *   most urgent sample has left (reason QB_REASON_LATE) where sparing that one would make more of
 *   the others late: the size is what keeps most in time, not what saves the oldest.
 *
 * @param[out] decision its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT (negative age or rate, NaN, or a bad size)
 */
QB_API qb_status qb_optimize(qb_optimizer *optimizer, const qb_round_state *state,
                             qb_decision *decision);

/** What a round took. */
typedef struct qb_round_result {
  size_t size;        /**< sizeof(qb_round_result) */
  uint32_t batch;     /**< samples in the round */
  int64_t latency_ns; /**< measured duration of the round, > 0 */
} qb_round_result;

#define QB_ROUND_RESULT_INIT                                                                       \
  {                                                                                                \
    sizeof(qb_round_result), 0, 0                                                                  \
  }

/**
 * Tells the optimizer what a round took. Constant time and memory, no allocation.
 *
 * A change-point test of measured over profiled tells noise from another regime (frequency, quota, a
 * neighbour). In the round that brings certainty, the fourth or so of one that takes half as long
 * again, `slowdown` becomes that of the rounds since the regime began and decisions say
 * `refresh_due`; the same when it is over.
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 */
QB_API qb_status qb_observe(qb_optimizer *optimizer, const qb_round_result *result);

/**
 * Recomputes the tables for the slowdown observed: c changed, p and its dependence on the batch
 * stay. Slow next to qb_optimize(); call it where tens of milliseconds do not hurt.
 * @return QB_OK; QB_ERROR_NO_MEMORY
 */
QB_API qb_status qb_optimizer_refresh(qb_optimizer *optimizer);

/**
 * Writes the reason for a decision as a sentence, in English, with its figures.
 * @param text of `text_bytes` bytes, always terminated; NULL if text_bytes is 0
 * @return bytes needed, the terminating 0 included; more than text_bytes: it was cut
 * Thread-safety: safe.
 */
QB_API size_t qb_explain(const qb_decision *decision, char *text, size_t text_bytes);

QB_END_DECLS

#endif
