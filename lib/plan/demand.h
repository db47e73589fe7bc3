/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for, checked, and a candidate plan against it. */
#ifndef QB_PLAN_DEMAND_H
#define QB_PLAN_DEMAND_H

#include <qosbatch/plan.h>

#include <stdbool.h>

/* What a candidate plan needs: the tightest limits under which it would still be allowed. */
typedef struct qb__needs {
  int64_t latency_ns;
  int64_t deadline_ns;
  double budget;          /* of a job; 0, not known, is within any */
  double budget_per_hour; /* price of its nodes; 0, not known, is within any */
  uint64_t memory_bytes;
  double accuracy; /* percent of its answers that are right */
} qb__needs;

/* How a candidate stands to a demand. */
typedef struct qb__fit {
  bool met;
  bool single;      /* one limit alone is broken */
  qb_reason broken; /* the limit broken worst; QB_REASON_NONE when met */
  double excess;    /* need / limit of that one; 0 when met. An accuracy is not to be traded for
                       anything: INFINITY where it is broken */
} qb__fit;

qb_status qb__profiles_check(qb_profile *const *profiles, size_t profile_count);

/* Reads and checks what the caller asks for; NULL asks for nothing. */
qb_status qb__qos_in(const qb_qos *theirs, qb_qos *ours);
qb_status qb__job_in(const qb_job *theirs, qb_job *ours);

/* Without `may_be_any` a load needs a rate. */
qb_status qb__load_in(const qb_load *theirs, bool may_be_any, qb_load *ours);

/* The limit of a node: the lower of both, 0 being none. */
uint64_t qb__lower_limit(uint64_t a, uint64_t b);

qb__fit qb__fit_of(const qb_qos *qos, const qb__needs *needs);

/* Notes in `nearest` what a candidate that breaks a single limit needs of it, if that is less. */
void qb__nearest_note(const qb__fit *fit, const qb_qos *qos, const qb__needs *needs,
                      qb_nearest *nearest);

#endif
