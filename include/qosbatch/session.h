/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file session.h
 * Real inference: a model ready to run in a configuration.
 */
#ifndef QOSBATCH_SESSION_H
#define QOSBATCH_SESSION_H

#include <qosbatch/model.h>

#include <stdbool.h>

QB_BEGIN_DECLS

/**
 * A model with worker threads of its own: one for each instance, which run on cores of their own
 * where the node has enough. Weights are held once for all instances and batch sizes.
 *
 * Thread-safety: safe. Any number of threads may call qb_session_run() on one session; as many
 * rounds as there are instances run at the same time, further callers wait for their turn.
 */
typedef struct qb_session qb_session;

/**
 * Makes a session and starts its threads.
 * @param configuration NULL: one instance on all usable threads (qb_node_info.usable_threads)
 * @param[out] session a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY; QB_ERROR_SYSTEM (threads refused);
 * QB_ERROR_ENGINE; QB_ERROR_UNSUPPORTED (a network, but the library was built without oneDNN)
 */
QB_API qb_status qb_session_new(qb_model *model, const qb_configuration *configuration,
                                qb_session **session);

/**
 * Makes a batch size ready on every instance: primitives are compiled, weights packed, memory taken
 * and touched. Without it the first round of a batch size does this, and is late. A batch size
 * stays ready as long as the session lives. Waits until rounds under way have ended.
 * @param[out] prepare_ns time it took, 0 if the batch size was ready; may be NULL
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY; QB_ERROR_ENGINE
 */
QB_API qb_status qb_session_prepare(qb_session *session, uint32_t batch, int64_t *prepare_ns);

/**
 * Runs one round and returns when it is done.
 * @param batch samples in this round, 1..QB_MAX_BATCH
 * @param inputs one pointer for each input of the model, to `batch` samples one behind the other
 * (qb_model_get_input()); for a workload whatever its run callback expects
 * @param outputs likewise; overwritten, undefined on failure
 * @return QB_OK, also where a sample is not finite (qb_session_run_flagged());
 * QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY; QB_ERROR_ENGINE
 */
QB_API qb_status qb_session_run(qb_session *session, uint32_t batch, const void *const *inputs,
                                void *const *outputs);

/** What is told of a sample, as bits; ignore those you do not know. */
typedef enum qb_sample_flag {
  /**
   * A value of its input or of its outputs is NaN or infinite, or one became so on the way. Where it
   * cannot be told which of the outputs that makes wrong, all of them are NaN.
   */
  QB_SAMPLE_NOT_FINITE = 1
} qb_sample_flag;

/**
 * Runs one round like qb_session_run() and tells what is wrong with each sample. Samples never
 * disturb each other. The values are looked at in every round, whichever call runs it, so this one
 * takes no longer; docs/engine.md says how.
 * @param[out] flags one element for each sample: 0, or bits of qb_sample_flag
 * @return as qb_session_run(); QB_ERROR_UNSUPPORTED (a workload)
 */
QB_API qb_status qb_session_run_flagged(qb_session *session, uint32_t batch,
                                        const void *const *inputs, void *const *outputs,
                                        uint32_t *flags);

/** What one operator took in a round. */
typedef struct qb_operator_time {
  size_t size;                /**< sizeof(qb_operator_time) */
  int64_t time_ns;            /**< the changes of layout it needs included */
  const char *implementation; /**< the engine's name for what ran, such as "jit:avx2"; NULL for an
                                   operator that takes no step of its own; belongs to the session */
} qb_operator_time;

#define QB_OPERATOR_TIME_INIT                                                                      \
  {                                                                                                \
    sizeof(qb_operator_time), 0, NULL                                                              \
  }

/**
 * Runs one round like qb_session_run() and times each operator: where a round's time goes. The
 * clock is read between operators, which costs less than a microsecond each.
 * @param[out] times one element for each operator, in the order of qb_model_get_operator(), with
 * their sizes set
 * @param count number of elements: qb_model_info.operators
 * @return as qb_session_run(); QB_ERROR_UNSUPPORTED (a workload)
 */
QB_API qb_status qb_session_run_timed(qb_session *session, uint32_t batch,
                                      const void *const *inputs, void *const *outputs,
                                      qb_operator_time *times, size_t count);

/** What is known of a session. */
typedef struct qb_session_info {
  size_t size;             /**< sizeof(qb_session_info) */
  uint32_t instances;      /**< as asked for */
  uint32_t threads;        /**< as asked for */
  uint32_t pinned_threads; /**< how many of them have a core of their own; 0 if there are too few */
  uint32_t ready_batches;  /**< batch sizes that are ready */
  uint64_t weight_bytes;   /**< packed weights, held once */
  uint64_t arena_bytes;    /**< activations and scratchpads of all instances together */
  bool as_profiled;        /**< layers are computed as a profile says: qb_session_for_profile() */
  uint64_t code_bytes;     /**< compiled layers of all batch sizes that are ready, held once: an
                                estimate; those a session without a profile tried come on top */
} qb_session_info;

#define QB_SESSION_INFO_INIT                                                                       \
  {                                                                                                \
    sizeof(qb_session_info), 0, 0, 0, 0, 0, 0, false, 0                                            \
  }

/** Fills `info`, whose size is set by the caller. @return QB_OK; QB_ERROR_INVALID_ARGUMENT */
QB_API qb_status qb_session_get_info(qb_session *session, qb_session_info *info);

/** @return the same session, with one more reference. Thread-safety: safe. */
QB_API qb_session *qb_session_ref(qb_session *session);

/**
 * Gives a reference back; the last one waits for the threads to end. NULL is allowed.
 * Thread-safety: safe, but not from inside a workload's callback.
 */
QB_API void qb_session_unref(qb_session *session);

QB_END_DECLS

#endif
