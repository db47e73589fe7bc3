/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mitigate.h
 * What bounds the time of a round, and which changes would shorten it by how much.
 */
#ifndef QOSBATCH_MITIGATE_H
#define QOSBATCH_MITIGATE_H

#include <qosbatch/estimate.h>

QB_BEGIN_DECLS

/** What to do. Values are stable. @since 0.1 */
typedef enum qb_mitigation_kind {
  QB_MITIGATION_LARGER_BATCH = 1,   /**< more samples share what a round costs once */
  QB_MITIGATION_SMALLER_BATCH = 2,  /**< activations of fewer samples stay in the cache */
  QB_MITIGATION_MORE_INSTANCES = 3, /**< more rounds at the same time, on fewer threads each */
  QB_MITIGATION_MORE_THREADS = 4,   /**< fewer rounds at the same time, on more threads each */
  QB_MITIGATION_RAISE_QUOTA = 5,    /**< threads are throttled by a control group's CPU quota */
  QB_MITIGATION_BETTER_ISA = 6,     /**< kernels run as if with a lower instruction set */
  QB_MITIGATION_PREPARE = 7,        /**< the first round of a size that is not ready is late */
  QB_MITIGATION_QUIETER_NODE = 8,   /**< neighbours lengthen single rounds */
  QB_MITIGATION_LOWER_PRECISION =
      9 /**< arithmetic of fewer bits; measured, or by what the processor
                                         sustains */
} qb_mitigation_kind;

/**
 * @return "larger batch" and so on; "unknown" for any other value.
 * Thread-safety: safe.
 * @since 0.1
 */
static inline const char *qb_mitigation_name(qb_mitigation_kind kind)
{
  return qb_enum_name("qb_mitigation_kind", (int)kind);
}

/** What the gain measures. Values are stable. @since 0.1 */
typedef enum qb_gain_of {
  QB_GAIN_OF_THROUGHPUT = 1,  /**< samples/s of the node */
  QB_GAIN_OF_FIRST_ROUND = 2, /**< how much sooner the first round of the batch size ends */
  QB_GAIN_OF_P95 = 3          /**< how much sooner the 95th percentile of rounds ends */
} qb_gain_of;

/** A change that would help. @since 0.1 */
typedef struct qb_mitigation {
  size_t size;                    /**< sizeof(qb_mitigation) */
  qb_mitigation_kind kind;        /**< what to do */
  qb_gain_of gain_of;             /**< what the gain measures */
  double gain;                    /**< 0.25: a quarter more samples/s, or the old time is 1.25
                                       times the new one; > 0 */
  qb_configuration configuration; /**< with the change made */
  uint32_t batch;                 /**< with the change made */
  char text[192];                 /**< one sentence for people */
} qb_mitigation;

#define QB_MITIGATION_INIT QB__INIT(qb_mitigation)

/**
 * Lists what would help rounds of `batch` samples in a configuration, largest gain first. Gains
 * below 2 % are left out, and so are other batch sizes and configurations whose gain may be noise:
 * the intervals of the estimates must not overlap. Each gain is that of one change alone; gains do
 * not add up.
 *
 * @param configuration NULL: one instance on the most threads that were measured
 * @param[out] list filled with up to `capacity` elements; the caller sets their sizes; may be NULL
 * if capacity is 0
 * @param capacity elements that `list` has room for
 * @param[out] count changes found, also those that `list` had no room for
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_UNSUPPORTED
 * Thread-safety: safe. Allocates nothing.
 * @since 0.1
 */
QB_API qb_status qb_mitigations(const qb_profile *profile, const qb_configuration *configuration,
                                uint32_t batch, qb_mitigation *list, size_t capacity,
                                size_t *count);

QB_END_DECLS

#endif
