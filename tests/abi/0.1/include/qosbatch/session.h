/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file session.h
 * Real inference: a model ready to run in a configuration.
 */
#ifndef QOSBATCH_SESSION_H
#define QOSBATCH_SESSION_H

#include <qosbatch/model.h>

QB_BEGIN_DECLS

/**
 * A model with worker threads of its own: one team for each instance, on cores of its own where the
 * node has enough: the fastest ones, of one NUMA node for an instance as long as some node has room.
 * Weights are held once for all instances and batch sizes, or once on each NUMA node of the instances
 * where these would read them from another node's memory in every round (docs/engine.md).
 *
 * Thread-safety: safe. Any number of threads may call qb_session_run() on one session; as many
 * rounds as there are instances run at the same time, further callers wait for their turn.
 * @since 0.1
 */
typedef struct qb_session qb_session;

/** A profile (profile.h). */
typedef struct qb_profile qb_profile;

/**
 * Makes a session and starts its threads.
 *
 * QB_PRECISION_BF16 needs a processor that multiplies bfloat16 natively and a network without
 * quantized layers. QB_PRECISION_INT8 needs a network with quantized layers, whose results it gives
 * within one step of their scales; what has no 8-bit form is computed as in QB_PRECISION_F32. A
 * workload may have any precision, which is its own business.
 *
 * With a profile, each layer is computed as it was when the profile was measured: sessions of one
 * profile, configuration and batch size give the same bits for the same samples, and are ready
 * sooner. Without one, the session times the ways to compute a layer and takes the fastest, and a
 * close decision can differ from session to session. Where the profile does not apply (another
 * version of the engine, instruction set or number of threads, or not measured by qb_profile_run())
 * layers are chosen anew; qb_session_info.as_profiled tells.
 *
 * @param configuration NULL: one instance on all usable threads (qb_node_info.usable_threads), but
 * for the cores that the profile's node leaves to others
 * @param profile NULL: none; else its node tells how fast each core is, too. The session does not keep
 * it
 * @param[out] session a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY; QB_ERROR_SYSTEM (threads refused);
 * QB_ERROR_ENGINE; QB_ERROR_UNSUPPORTED (a precision that the processor or the network does not
 * allow, or a network when the library was built without oneDNN); QB_ERROR_MISMATCH (a profile of
 * another model)
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_session_new(qb_model *model, const qb_configuration *configuration,
                                const qb_profile *profile, qb_session **session);

/**
 * Makes a batch size ready on every instance: primitives are compiled, weights packed, memory taken
 * and touched. Otherwise the first round of each size pays for it. A batch size stays ready as long
 * as the session lives. Waits until running rounds have ended.
 * @param[out] prepare_ns time it took, 0 if the batch size was ready; may be NULL
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY; QB_ERROR_ENGINE
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_session_prepare(qb_session *session, uint32_t batch, int64_t *prepare_ns);

/** What is wrong with a sample, as bits; ignore those you do not know. @since 0.1 */
typedef enum qb_sample_flag {
  /**
   * A value of the sample's input or outputs, or between them, is NaN or infinite. Where it cannot
   * be told which outputs that affects, all of them are NaN.
   */
  QB_SAMPLE_NOT_FINITE = 1
} qb_sample_flag;

/**
 * Runs one round and returns when it is done. Samples never disturb each other.
 *
 * @param batch samples in this round, 1..QB_MAX_BATCH
 * @param inputs one pointer for each input of the model, to `batch` contiguous samples
 * (qb_model_get_input()); for a workload whatever its run callback expects
 * @param outputs likewise; overwritten, undefined on failure
 * @param[out] flags for each sample 0 or bits of qb_sample_flag; NULL: not wanted. The round takes
 * no longer with it, since every round checks its values (docs/engine.md)
 * @return QB_OK, also where a sample is not finite; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY;
 * QB_ERROR_ENGINE; QB_ERROR_UNSUPPORTED (flags of a workload)
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_session_run(qb_session *session, uint32_t batch, const void *const *inputs,
                                void *const *outputs, uint32_t *flags);

/** What is known of a session. @since 0.1 */
typedef struct qb_session_info {
  size_t size;                    /**< sizeof(qb_session_info) */
  qb_configuration configuration; /**< as asked for */
  uint32_t pinned_threads;        /**< threads that have a core of their own; 0: too few cores */
  uint32_t ready_batches;         /**< batch sizes that are ready */
  uint64_t weight_bytes;          /**< packed weights, on all NUMA nodes that hold them */
  uint64_t arena_bytes;           /**< activations and scratchpads of all instances together */
  uint64_t code_bytes;            /**< compiled layers of all ready batch sizes, held once: an
                                       estimate; layers tried while choosing are not counted */
  bool as_profiled;               /**< layers are computed as the profile says */
} qb_session_info;

#define QB_SESSION_INFO_INIT QB__INIT(qb_session_info)

/**
 * Describes a session.
 * @param[out] info its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_session_get_info(qb_session *session, qb_session_info *info);

/** @return the same session, with one more reference. Thread-safety: safe. @since 0.1 */
QB_API qb_session *qb_session_ref(qb_session *session);

/**
 * Gives a reference back; the last one waits for the threads to end. NULL is allowed.
 * Thread-safety: safe, but not from inside a workload's callback.
 * @since 0.1
 */
QB_API void qb_session_unref(qb_session *session);

QB_END_DECLS

#endif
