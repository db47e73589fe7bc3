/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mitigate.h
 * What bounds the time of a round, what would help, and how much: mitigation techniques with their
 * gain as the profile tells it.
 */
#ifndef QOSBATCH_MITIGATE_H
#define QOSBATCH_MITIGATE_H

#include <qosbatch/estimate.h>

QB_BEGIN_DECLS

/** What to do. */
typedef enum qb_mitigation_kind {
  QB_MITIGATION_LARGER_BATCH = 1,   /**< what a round costs once is shared by more samples */
  QB_MITIGATION_SMALLER_BATCH = 2,  /**< activations of fewer samples stay in the cache */
  QB_MITIGATION_MORE_INSTANCES = 3, /**< more rounds at the same time, on fewer threads each */
  QB_MITIGATION_MORE_THREADS = 4,   /**< fewer rounds at the same time, on more threads each */
  QB_MITIGATION_RAISE_QUOTA = 5,    /**< threads are throttled by a control group's CPU quota */
  QB_MITIGATION_BETTER_ISA = 6,     /**< kernels run as if with a lower instruction set */
  QB_MITIGATION_PREPARE = 7,     /**< the first round of a batch size that is not ready is late */
  QB_MITIGATION_QUIETER_NODE = 8 /**< neighbours lengthen single rounds */
} qb_mitigation_kind;

/** @return "larger batch" and so on; "unknown" for a number that is none. Thread-safety: safe. */
QB_API const char *qb_mitigation_name(qb_mitigation_kind kind);

/** What a gain is a gain of. */
typedef enum qb_gain_of {
  QB_GAIN_OF_THROUGHPUT = 1,  /**< samples/s of the node */
  QB_GAIN_OF_FIRST_ROUND = 2, /**< how much sooner the first round of the batch size ends */
  QB_GAIN_OF_P95 = 3          /**< how much sooner the 95th percentile of rounds ends */
} qb_gain_of;

typedef struct qb_mitigation {
  size_t size; /**< sizeof(qb_mitigation), set by the library */
  qb_mitigation_kind kind;
  qb_gain_of gain_of;
  double gain; /**< 0.25: a quarter more samples/s, or the old time is 1.25 of the new one; > 0 */
  qb_configuration configuration; /**< with the measure taken */
  uint32_t batch;                 /**< with the measure taken */
  char text[192];                 /**< one sentence for people */
} qb_mitigation;

/** The most that qb_mitigations() gives: one of each kind. */
#define QB_MOST_MITIGATIONS 8

/**
 * Lists what would help rounds of `batch` samples in a configuration, by falling gain. Gains below
 * 2 % are not listed, nor other batch sizes and configurations whose gain may be noise: the intervals of
 * the estimates must not meet. Each is that of the measure alone: they do not add up.
 *
 * @param configuration NULL: one instance on the most threads that were measured
 * @param[out] list room for QB_MOST_MITIGATIONS elements
 * @param[out] count how many were filled in
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe. Allocates nothing.
 */
QB_API qb_status qb_mitigations(const qb_profile *profile, const qb_configuration *configuration,
                                uint32_t batch, qb_mitigation list[QB_MOST_MITIGATIONS],
                                size_t *count);

QB_END_DECLS

#endif
