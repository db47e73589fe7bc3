/* SPDX-License-Identifier: Apache-2.0 */
/* What the rule for rounds is solved for. */
#ifndef QB_OPTIMIZE_ROUND_PROBLEM_H
#define QB_OPTIMIZE_ROUND_PROBLEM_H

#include <stdbool.h>
#include <stdint.h>

/* Times are of rounds of 0..batch samples, none falling. */
typedef struct qb__round_problem {
  uint32_t instances;
  int64_t target_ns;         /* > 0 */
  const int64_t *latency_ns; /* expected */
  const int64_t *slow_ns;    /* what to count with where it matters not to be late */
  bool shed;                 /* samples that are late are given up; else they run, too */
} qb__round_problem;

#endif
