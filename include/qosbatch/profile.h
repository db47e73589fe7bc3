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

#include <stdbool.h>

QB_BEGIN_DECLS

/**
 * Measured points over (configuration, batch), with the node and the model they were measured on.
 * Thread-safety: safe; immutable after creation.
 */
typedef struct qb_profile qb_profile;

typedef struct qb_profile_params {
  size_t size;        /**< sizeof(qb_profile_params) */
  uint32_t max_batch; /**< largest batch measured, 1..QB_MAX_BATCH; 0: 64 */
  /** Batch sizes to measure, each 1..QB_MAX_BATCH; NULL: powers of two up to max_batch, and it, and
   * more where the curve bends. */
  const uint32_t *batches;
  size_t batch_count;
  /** Configurations to measure; NULL: all ways to split the usable threads that are worth a look.
   * Up to 3 of them, and those of `configurations`, are all measured in full. Of more, each gets a
   * first look, and those that could be the best for some target, rate or job are measured. */
  const qb_configuration *configurations;
  size_t configuration_count;
  int64_t time_budget_ns; /**< in all; 0: 20 s a configuration, at most 60 s. Making batch sizes
                               ready takes at most half of it, what it takes beyond comes on top */
  double goal;            /**< stop early when every interval is within +- this; 0: 0.01 (1 %) */
  /**
   * An earlier profile of this model and node to go on from: points that are within the goal are not
   * measured again, the others are made more certain by both measurements, and batch sizes are added
   * where the curve bends. NULL configurations are its own and those that the threads can be split
   * into, a max_batch of 0 is its largest, and layers are computed as in it. NULL: from nothing.
   */
  const qb_profile *known;
  /** Layers are computed as this profile says, where it does (qb_session_for_profile()), so that
   * what is measured compares with it; NULL: the fastest ways are found. */
  const qb_profile *like;
} qb_profile_params;

#define QB_PROFILE_PARAMS_INIT                                                                     \
  {                                                                                                \
    sizeof(qb_profile_params), 0, NULL, 0, NULL, 0, 0, 0.0, NULL, NULL                             \
  }

/** What a profile run is doing. */
typedef enum qb_phase {
  QB_PHASE_PREPARE = 1, /**< making batch sizes ready */
  QB_PHASE_MEASURE = 2  /**< timing rounds */
} qb_phase;

typedef struct qb_progress {
  size_t size; /**< sizeof(qb_progress), set by the library */
  qb_phase phase;
  double fraction;                /**< of the whole run, 0..1, never falling */
  int64_t elapsed_ns;             /**< since the call began */
  qb_configuration configuration; /**< being worked on */
  uint32_t batch;                 /**< being worked on */
} qb_progress;

/**
 * Called between rounds on the thread that called qb_profile_run().
 * @return true to go on, false to stop: the call then fails with QB_ERROR_CANCELLED.
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
 * @param params or NULL for the defaults
 * @param progress or NULL
 * @param[out] profile a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY; QB_ERROR_CANCELLED;
 * QB_ERROR_ENGINE; QB_ERROR_SYSTEM; QB_ERROR_UNSUPPORTED; QB_ERROR_MISMATCH (params->known is of
 * another model, engine or node)
 */
QB_API qb_status qb_profile_run(qb_model *model, qb_node *node, const qb_profile_params *params,
                                qb_progress_callback progress, void *user, qb_profile **profile);

/** What measurements do not say of themselves. */
typedef struct qb_measurements_params {
  size_t size;           /**< sizeof(qb_measurements_params) */
  qb_model *model;       /**< what was measured; NULL: F is not known, the file names the profile */
  qb_node *node;         /**< where; NULL: a node of which c and m are not known */
  double price_per_hour; /**< of the node that is not known; 0 if not known */
} qb_measurements_params;

#define QB_MEASUREMENTS_PARAMS_INIT                                                                \
  {                                                                                                \
    sizeof(qb_measurements_params), NULL, NULL, 0                                                  \
  }

/**
 * Makes a profile of rounds that were timed elsewhere, by whatever engine.
 *
 * The file is CSV (RFC 4180) whose first line names the columns; needed are `instances`, `threads`,
 * `batch` and `latency_ns`, in any order, and other columns are ignored. A row is the time of one
 * round while all instances ran. Rows of the same configuration and batch are samples: their median
 * is the latency, with its distribution-free 95 % interval. Fewer than 6 rows have none: theirs is
 * Student's, by how the rows of all points vary, and by what is common (10 %) where there are few.
 *
 * @param params or NULL for the defaults
 * @param[out] profile a new reference
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_FORMAT (the message says line, column and value);
 * QB_ERROR_OVERFLOW (more than 64 MiB, or 100,000 points); QB_ERROR_INVALID_ARGUMENT;
 * QB_ERROR_NO_MEMORY
 */
QB_API qb_status qb_profile_from_measurements(qb_context *context, const char *path,
                                              const qb_measurements_params *params,
                                              qb_profile **profile);

/**
 * Saves a profile as JSON (docs/formats.md), atomically: the file is either the old or the new one.
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_NO_MEMORY
 */
QB_API qb_status qb_profile_save(const qb_profile *profile, const char *path);

/**
 * Loads a profile and checks every field; unknown fields are refused.
 * @param[out] profile a new reference
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_FORMAT; QB_ERROR_VERSION; QB_ERROR_NO_MEMORY
 */
QB_API qb_status qb_profile_load(qb_context *context, const char *path, qb_profile **profile);

/**
 * Tells whether a profile speaks of this node: same processor, instruction set, cores, quota and,
 * where measured, a compute power of one thread within 25 %.
 * @return QB_OK; QB_ERROR_MISMATCH (the message lists every difference); QB_ERROR_INVALID_ARGUMENT
 */
QB_API qb_status qb_profile_check_node(const qb_profile *profile, const qb_node *node);

/**
 * Tells whether a profile speaks of this network: of the same operators and shapes, whatever file it is
 * in, whatever that is called, and whatever the weights are. The host's own engine, and rounds that were
 * timed elsewhere without a model, are told by name.
 * @return QB_OK; QB_ERROR_MISMATCH; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 */
QB_API qb_status qb_profile_check_model(const qb_profile *profile, const qb_model *model);

/**
 * Makes a session for a profile: qb_session_new(), but with each layer computed in the way that the
 * profile was measured with. Sessions of one profile, configuration and batch size give the same bits
 * for the same samples, and are ready sooner, as qb_session_new() runs the ways there are to find the
 * fastest, and a close decision can fall otherwise each time.
 *
 * Where the profile's ways do not hold (of another version of the engine, instruction set or number of
 * threads, or not measured by qb_profile_run()) they are found anew:
 * qb_session_info.as_profiled tells.
 *
 * @param configuration such as one that qb_plan_job() found
 * @param[out] session a new reference; it does not keep the profile
 * @return as qb_session_new(); QB_ERROR_MISMATCH (qb_profile_check_model())
 */
QB_API qb_status qb_session_for_profile(qb_model *model, const qb_profile *profile,
                                        const qb_configuration *configuration,
                                        qb_session **session);

/** What is known of a profile. Strings belong to the profile. */
typedef struct qb_profile_info {
  size_t size;             /**< sizeof(qb_profile_info) */
  const char *model;       /**< "resnet50" */
  const char *engine;      /**< "oneDNN 2.6.3" */
  const char *library;     /**< version of libqosbatch that measured */
  int64_t created_unix_s;  /**< when, seconds since 1970-01-01 UTC */
  double flops_per_sample; /**< F */
  uint32_t points;         /**< measured (configuration, batch) pairs */
  uint32_t configurations; /**< different configurations */
  uint32_t max_batch;      /**< largest measured batch */
  int64_t measure_ns;      /**< time spent timing rounds */
  int64_t prepare_ns;      /**< time spent making batch sizes ready */
  uint64_t weight_bytes;   /**< packed weights, held once */
  uint64_t network; /**< of which network it is: a number made of operators and shapes, not of
                                weights and names; 0: not known */
} qb_profile_info;

#define QB_PROFILE_INFO_INIT                                                                       \
  {                                                                                                \
    sizeof(qb_profile_info), NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0                           \
  }

/** Fills `info`, whose size is set by the caller. @return QB_OK; QB_ERROR_INVALID_ARGUMENT */
QB_API qb_status qb_profile_get_info(const qb_profile *profile, qb_profile_info *info);

/** @return the node the profile was measured on; belongs to the profile. Thread-safety: safe. */
QB_API qb_node *qb_profile_node(const qb_profile *profile);

/** A measured point. */
typedef struct qb_profile_point {
  size_t size; /**< sizeof(qb_profile_point) */
  qb_configuration configuration;
  uint32_t batch;
  uint32_t visits;    /**< times it was visited: the faster half, which the figures are made of */
  uint32_t set_aside; /**< the slower half */
  int64_t latency_ns; /**< of an undisturbed round, all instances running */
  int64_t low_ns;     /**< bootstrapped 95 % interval of it */
  int64_t high_ns;
  int64_t p95_ns;        /**< 95th percentile of single rounds, bursts of neighbours left out, but
                              no pauses of a CPU quota smaller than the threads */
  int64_t mean_ns;       /**< mean of the same rounds, and at least latency_ns */
  int64_t prepare_ns;    /**< time to make this batch size ready */
  uint64_t memory_bytes; /**< of a session with this batch size ready, as in qb_latency_estimate */
  bool disturbed;        /**< visits disagree or the yardstick was slow: the time is uncertain */
  /** FLOP/s that a thread sustained beside the visits of this configuration, by the yardstick; 0: not
   * known. It moves by several percent with the processor's frequency, and times with it. */
  double thread_flops;
} qb_profile_point;

#define QB_PROFILE_POINT_INIT                                                                      \
  {                                                                                                \
    .size = sizeof(qb_profile_point)                                                               \
  }

/**
 * Describes point `index`; points are ordered by instances, threads, batch.
 * @return QB_OK; QB_ERROR_NOT_FOUND; QB_ERROR_INVALID_ARGUMENT
 */
QB_API qb_status qb_profile_get_point(const qb_profile *profile, uint32_t index,
                                      qb_profile_point *point);

/** @return the same profile, with one more reference. Thread-safety: safe. */
QB_API qb_profile *qb_profile_ref(qb_profile *profile);

/** Gives a reference back; NULL is allowed. Thread-safety: safe. */
QB_API void qb_profile_unref(qb_profile *profile);

QB_END_DECLS

#endif
