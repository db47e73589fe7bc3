/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file profile.h
 * How long rounds of a model take on a node: measured, and how it was measured.
 */
#ifndef QOSBATCH_PROFILE_H
#define QOSBATCH_PROFILE_H

#include <qosbatch/model.h>
#include <qosbatch/node.h>
#include <qosbatch/session.h>

QB_BEGIN_DECLS

/**
 * Measured points over (configuration, batch), with the node and the model they were measured on.
 * Thread-safety: safe; immutable after creation.
 * @since 0.1
 */
typedef struct qb_profile qb_profile;

/** How a model is profiled. @since 0.1 */
typedef struct qb_profile_params {
  size_t size;        /**< sizeof(qb_profile_params) */
  uint32_t max_batch; /**< largest batch measured, 1..QB_MAX_BATCH; 0: 64 */
  /**
   * Batch sizes to measure, each 1..QB_MAX_BATCH; NULL: powers of two up to and including max_batch,
   * plus extra points where the curve bends.
   */
  const uint32_t *batches;
  size_t batch_count; /**< number of batch sizes */
  /**
   * Configurations to measure; NULL: all ways to split the usable threads that are worth a look. Up to
   * 3 of them, and those of `configurations`, are all measured in full. Of more, each gets a first
   * look, and those that could be the best for some target, rate or job are measured.
   */
  const qb_configuration *configurations;
  size_t configuration_count; /**< number of configurations */
  int64_t
      time_budget_ns; /**< total time; 0: 20 s a configuration, at most 60 s a precision. Preparing
                                   batch sizes may use half of it; any excess is added to the budget */
  double goal;        /**< stop early when every interval is within +- this; 0: 0.01 (1 %) */
  /**
   * An earlier profile of this model and node to extend: points within the goal are not measured
   * again, the others gain from both measurements, and batch sizes are added where the curve bends.
   * NULL configurations are its own and those that the threads can be split into, a max_batch of 0 is
   * its largest, and layers are computed as in it. NULL: none.
   */
  const qb_profile *known;
  /**
   * Layers are computed as in this profile, where it applies (qb_session_new()), so that the
   * measurements compare with it. NULL: the fastest algorithms are found.
   */
  const qb_profile *like;
  /**
   * Precisions to measure every configuration in, whatever precision `configurations` have. Each is
   * searched for its best configurations by itself, so that a fast one hides no other. NULL: those
   * that `configurations` or `known` have, else QB_PRECISION_F32.
   */
  const qb_precision *precisions;
  size_t precision_count; /**< number of precisions */
} qb_profile_params;

#define QB_PROFILE_PARAMS_INIT QB__INIT(qb_profile_params)

/** What a profile run is doing. Values are stable. @since 0.1 */
typedef enum qb_phase {
  QB_PHASE_PREPARE = 1, /**< making batch sizes ready */
  QB_PHASE_MEASURE = 2  /**< timing rounds */
} qb_phase;

/** Progress of a profile run. @since 0.1 */
typedef struct qb_progress {
  size_t size;                    /**< sizeof(qb_progress), set by the library */
  qb_phase phase;                 /**< what is being done */
  uint32_t batch;                 /**< batch size being worked on */
  qb_configuration configuration; /**< configuration being worked on */
  double fraction;                /**< of the whole run, 0..1, never falling */
  int64_t elapsed_ns;             /**< since the call began */
} qb_progress;

/**
 * Called between rounds on the thread that called qb_profile_run().
 * @return true to continue, false to stop: the call then fails with QB_ERROR_CANCELLED.
 * @since 0.1
 */
typedef bool (*qb_progress_callback)(void *user, const qb_progress *progress);

/**
 * Measures a model on the node this process runs on.
 *
 * Every batch size is made ready first. Then the points are visited in turn, small batch sizes more
 * often than large ones, so that a neighbour's burst touches many points a little and not one point
 * wholly. A round of the smallest batch size before each visit leaves caches warm. A point's time is
 * the sum of the operators' medians over the faster half of its visits, which is close to an
 * undisturbed round even where none was undisturbed from end to end. Beside each visit a fixed
 * yardstick of fused multiply-adds tells whether the cores had their full speed. All instances of a
 * configuration run together: the latency of a point is that of a round among its neighbours.
 *
 * @param node from qb_node_detect() in this process, with c measured
 * @param params NULL: the defaults
 * @param progress NULL: not wanted
 * @param user passed to progress
 * @param[out] profile a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY; QB_ERROR_CANCELLED;
 * QB_ERROR_ENGINE; QB_ERROR_SYSTEM; QB_ERROR_UNSUPPORTED; QB_ERROR_MISMATCH (params->known is of
 * another model, engine or node)
 * Thread-safety: safe; run nothing else while it measures.
 * @since 0.1
 */
QB_API qb_status qb_profile_run(qb_model *model, qb_node *node, const qb_profile_params *params,
                                qb_progress_callback progress, void *user, qb_profile **profile);

/** A measured point. @since 0.1 */
typedef struct qb_profile_point {
  size_t size;                    /**< sizeof(qb_profile_point) */
  qb_configuration configuration; /**< with all instances running */
  uint32_t batch;                 /**< samples in a round */
  uint32_t visits;                /**< visits that the figures are made of: the faster half */
  uint32_t set_aside;             /**< visits of the slower half */
  bool disturbed;                 /**< visits disagree or the yardstick was slow: uncertain */
  int64_t latency_ns;             /**< time of an undisturbed round */
  int64_t low_ns;                 /**< 95 % interval of latency_ns, lower end */
  int64_t high_ns;                /**< 95 % interval of latency_ns, upper end */
  int64_t p95_ns;                 /**< 95th percentile of single rounds, without neighbours' bursts,
                                       with the pauses of a CPU quota smaller than the threads */
  int64_t mean_ns;                /**< mean of the same rounds, at least latency_ns */
  int64_t prepare_ns;             /**< time to make this batch size ready */
  uint64_t memory_bytes;          /**< of a session with this batch size ready, as in
                                       qb_latency_estimate */
  /**
   * FLOP/s that a thread sustained beside the visits of this configuration, by the yardstick; 0:
   * unknown. It moves by several percent with the processor's frequency, and times with it.
   */
  double thread_flops_per_s;
} qb_profile_point;

#define QB_PROFILE_POINT_INIT QB__INIT(qb_profile_point)

/**
 * Saves a profile as JSON (docs/formats.md), atomically: the file is either the old or the new one.
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_IO; QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_profile_save(const qb_profile *profile, const char *path);

/**
 * Loads a profile. The file may come from a stranger: every field is checked, and unknown ones are
 * refused.
 * @param[out] profile a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_IO; QB_ERROR_FORMAT; QB_ERROR_VERSION;
 * QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_profile_load(qb_context *context, const char *path, qb_profile **profile);

/**
 * Reads a profile from memory, in the format of qb_profile_save(): for hosts that keep it in a
 * configuration store.
 * @param text need not end with a 0
 * @param bytes length of the text
 * @param[out] profile a new reference
 * @return as qb_profile_load(), without QB_ERROR_IO
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_profile_parse(qb_context *context, const char *text, size_t bytes,
                                  qb_profile **profile);

/**
 * Checks that a profile was measured with this model and on a node like this one.
 *
 * A model is the same if it has the same operators and shapes, whatever its file and weights; the
 * host's own engine, and measurements without a model, are compared by name. A node is like the
 * profile's if processor, instruction set, cores, quota and reserve_cores are the same, no feature is
 * missing and, where measured, the compute power of one thread is within 25 %.
 *
 * @param model NULL: not compared
 * @param node NULL: not compared
 * @return QB_OK; QB_ERROR_MISMATCH (the message lists every difference); QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_profile_check(const qb_profile *profile, const qb_model *model,
                                  const qb_node *node);

/** What is known of a profile. Strings belong to the profile. @since 0.1 */
typedef struct qb_profile_info {
  size_t size;             /**< sizeof(qb_profile_info) */
  const char *model;       /**< "resnet50" */
  const char *engine;      /**< "oneDNN 2.6.3" */
  const char *library;     /**< version of libqosbatch that measured */
  int64_t created_unix_s;  /**< when, seconds since 1970-01-01 UTC */
  double flops_per_sample; /**< F; 0: unknown */
  uint64_t network;      /**< identifies operators and shapes, not weights and names; 0: unknown */
  uint64_t weight_bytes; /**< packed weights, counted once */
  int64_t measure_ns;    /**< time spent timing rounds */
  int64_t prepare_ns;    /**< time spent making batch sizes ready */
  uint32_t points;       /**< measured (configuration, batch) pairs: qb_profile_get_point() */
  uint32_t configurations; /**< different configurations */
  uint32_t max_batch;      /**< largest measured batch */
  uint32_t
      runs; /**< qb_profile_run() calls whose sessions it knows of: of the configuration with the
                      most, the last 12; 0: it is made of measurements of unknown sessions */
  double
      least_flops_per_sample; /**< of F, what is left where Winograd's minimal filtering computes all
                                      3x3 convolutions of stride 1: a quarter of these; 0: unknown */
} qb_profile_info;

#define QB_PROFILE_INFO_INIT QB__INIT(qb_profile_info)

/**
 * Describes a profile.
 * @param[out] info its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_profile_get_info(const qb_profile *profile, qb_profile_info *info);

/** @return the same profile, with one more reference. Thread-safety: safe. @since 0.1 */
QB_API qb_profile *qb_profile_ref(qb_profile *profile);

/** Gives a reference back; NULL is allowed. Thread-safety: safe. @since 0.1 */
QB_API void qb_profile_unref(qb_profile *profile);

QB_END_DECLS

#endif
