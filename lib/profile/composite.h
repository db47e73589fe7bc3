/* SPDX-License-Identifier: Apache-2.0 */
/* The time of a round, put together from the times of its operators in many visits. */
#ifndef QB_PROFILE_COMPOSITE_H
#define QB_PROFILE_COMPOSITE_H

#include <qosbatch/context.h>

typedef struct qb__composite {
  size_t kept; /* visits it was made of */
  int64_t latency_ns;
  int64_t low_ns, high_ns; /* 95 % interval of latency_ns, which lies in it */
} qb__composite;

/*
 * The sum of the medians of a round's parts over the faster half of `visits` >= 1 visits. part_ns
 * has the times of `parts` >= 1 parts of each, rising by their sum.
 *
 * Neighbours only ever make a round longer. A burst of seconds lengthens whole visits, which are
 * not among the faster half; one of milliseconds lengthens some operators of a visit and others the
 * next time, which their medians leave out. So this is close to an undisturbed round even where no
 * round was undisturbed from end to end.
 *
 * The interval is that of the percentile bootstrap over visits (Efron and Tibshirani, An
 * Introduction to the Bootstrap, 1993, section 13.3): the parts of a visit are drawn together, as
 * they vary together; widened for there being few. It is the same in every run.
 */
qb_status qb__compose(const qb_context *context, const int64_t *part_ns, size_t visits,
                      size_t parts, qb__composite *result);

#endif
