/* SPDX-License-Identifier: Apache-2.0 */
/* A quality of service against what a candidate plan needs of it. */
#ifndef QB_PLAN_DEMAND_H
#define QB_PLAN_DEMAND_H

#include <qosbatch/plan.h>

#include <stdbool.h>

/* What a candidate plan needs: the tightest limits under which it would still be allowed. */
typedef struct qb__needs {
  int64_t latency_ns;
  int64_t deadline_ns;
  double budget_per_hour; /* price of its node; 0, not known, is within any budget */
  uint64_t memory_bytes;
} qb__needs;

/* How a candidate stands to a demand. */
typedef struct qb__fit {
  bool met;
  bool single;      /* one term alone is broken */
  qb_reason broken; /* the term broken worst; QB_REASON_NONE when met */
  double excess;    /* need / limit of that term; 0 when met */
} qb__fit;

qb_status qb__profiles_check(const qb_profile *const *profiles, size_t profile_count);

/* Reads and checks what the caller asks for; NULL asks for nothing. */
qb_status qb__qos_in(const qb_qos *theirs, qb_qos *ours);

qb__fit qb__fit_of(const qb_qos *qos, const qb__needs *needs);

/* Notes in `nearest` what a candidate that breaks a single term needs of it, if that is less. */
void qb__nearest_note(const qb__fit *fit, const qb__needs *needs, qb_nearest *nearest);

#endif
