/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file verify.h
 * Whether measured latencies prove a promise.
 */
#ifndef QOSBATCH_VERIFY_H
#define QOSBATCH_VERIFY_H

#include <qosbatch/context.h>
#include <qosbatch/names.h>
#include <qosbatch/qos.h>

QB_BEGIN_DECLS

/** Outcome of a verification. Values are stable. @since 0.1 */
typedef enum qb_verdict {
  QB_VERDICT_PASS = 1, /**< the promise holds, with the confidence asked for */
  QB_VERDICT_FAIL = 2, /**< the promise is broken, with that confidence */
  QB_VERDICT_MORE = 3  /**< it holds so far; more samples are needed to prove it */
} qb_verdict;

/** @return "pass" and so on; "unknown" for any other value. Thread-safety: safe. @since 0.1 */
static inline const char *qb_verdict_name(qb_verdict verdict)
{
  return qb_enum_name("qb_verdict", (int)verdict);
}

/** Result of a verification. @since 0.1 */
typedef struct qb_verification {
  size_t size;        /**< sizeof(qb_verification) */
  qb_verdict verdict; /**< the outcome */
  uint64_t samples;   /**< latencies tested */
  uint64_t late;      /**< latencies above the target */
  uint64_t needed;    /**< samples that prove the promise with this many late */
  uint64_t more;      /**< samples still missing from `needed`; 0: it passes or fails */
  int64_t latency_ns; /**< measured at the percentile */
  int64_t bound_ns;   /**< the least target that the samples prove; 0: they prove none */
} qb_verification;

#define QB_VERIFICATION_INIT QB__INIT(qb_verification)

/**
 * Tests latencies of independent samples against a percentile target by MLPerf's early stopping
 * (MLPerf Inference rules, appendix "early stopping"): if the true share of late samples were above
 * what the percentile allows, at most `late` of `samples` would be late with a probability of less
 * than 1 - confidence. For p99 at 99 % that takes 459 samples with none late, 662 with one.
 *
 * @param latencies_ns each 0 or more, in any order
 * @param qos latency_ns is required; percentile is used, the rest ignored
 * @param confidence in (0, 1)
 * @param[out] verification its size is set by the caller
 * @return QB_OK, whatever the verdict; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_verify(qb_context *context, const int64_t *latencies_ns, size_t count,
                           const qb_qos *qos, double confidence, qb_verification *verification);

QB_END_DECLS

#endif
