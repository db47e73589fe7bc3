/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file accuracy.h
 * How often the answers of a precision are right: as those of 32-bit floats, or as labelled.
 */
#ifndef QOSBATCH_ACCURACY_H
#define QOSBATCH_ACCURACY_H

#include <qosbatch/profile.h>

QB_BEGIN_DECLS

/**
 * Samples that were answered in a precision. qb_profile_with_accuracy() reads the first five members,
 * qb_profile_get_accuracy() fills in all of them.
 * @since 0.1
 */
typedef struct qb_accuracy {
  size_t size;            /**< sizeof(qb_accuracy) */
  qb_precision precision; /**< of the answers */
  bool labels;            /**< they were compared with labels, not with those of 32-bit floats */
  /**
   * Products may saturate without QB_FEATURE_VNNI, where these figures say nothing. Networks that the
   * library computes never need it: their answers are the same on every node.
   */
  bool needs_vnni;
  uint64_t samples;  /**< compared, 1 or more */
  uint64_t agreeing; /**< samples whose most likely class is the right one */
  double share;      /**< agreeing / samples */
  double low;        /**< 95 % interval of the share that more such samples would give, lower end */
  double high;       /**< upper end */
} qb_accuracy;

#define QB_ACCURACY_INIT QB__INIT(qb_accuracy)

/**
 * Makes a profile that says how accurate precisions are, for qb_qos.accuracy to choose among them. It is
 * equal to the given one in everything else; what that one says of the same precisions is replaced.
 * Accuracy is of the weights and samples it was measured with: measure it anew when either changes.
 * @param accuracies `count` of them, each of a precision of its own
 * @param[out] made a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_profile_with_accuracy(const qb_profile *profile, const qb_accuracy *accuracies,
                                          size_t count, qb_profile **made);

/**
 * Tells how accurate a precision is.
 * @param[in,out] accuracy its size is set by the caller
 * @return QB_OK; QB_ERROR_NOT_FOUND (it was not measured); QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_profile_get_accuracy(const qb_profile *profile, qb_precision precision,
                                         qb_accuracy *accuracy);

QB_END_DECLS

#endif
