/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file verify.h
 * Whether measured latencies prove a promise.
 */
#ifndef QOSBATCH_VERIFY_H
#define QOSBATCH_VERIFY_H

#include <qosbatch/context.h>
#include <qosbatch/qos.h>

QB_BEGIN_DECLS

typedef enum qb_verdict {
  QB_VERDICT_PASS = 1, /**< the promise holds, with the confidence asked for */
  QB_VERDICT_FAIL = 2, /**< it is broken, with that confidence */
  QB_VERDICT_MORE = 3  /**< as far as seen it holds; more samples are needed to prove it */
} qb_verdict;

/** @return "pass" and so on; "unknown" for a number that is none. Thread-safety: safe. */
QB_API const char *qb_verdict_name(qb_verdict verdict);

typedef struct qb_verification {
  size_t size; /**< sizeof(qb_verification) */
  qb_verdict verdict;
  uint64_t samples;
  uint64_t late;      /**< took longer than the target */
  uint64_t needed;    /**< samples that prove the promise with so many late */
  uint64_t more;      /**< samples still missing from that, 0 when it passes or fails */
  int64_t latency_ns; /**< measured at the percentile */
  int64_t bound_ns;   /**< the least target that the samples prove; 0: they prove none */
} qb_verification;

#define QB_VERIFICATION_INIT                                                                       \
  {                                                                                                \
    sizeof(qb_verification), QB_VERDICT_MORE, 0, 0, 0, 0, 0, 0                                     \
  }

/**
 * Tests latencies of independent samples against a percentile target by MLPerf's early stopping
 * (MLPerf Inference rules, appendix "early stopping"): with a true share of late samples above what
 * the percentile allows, at most `late` of `samples` would be late with a probability of less than
 * 1 - confidence. For p99 at 99 % that takes 459 samples with none late, 662 with one.
 *
 * @param latencies_ns each 0 or more, in any order
 * @param qos latency_ns is required
 * @param confidence in (0, 1)
 * @return QB_OK, whatever the verdict; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 */
QB_API qb_status qb_verify(qb_context *context, const int64_t *latencies_ns, size_t count,
                           const qb_qos *qos, double confidence, qb_verification *verification);

QB_END_DECLS

#endif
