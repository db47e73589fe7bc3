/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What checks of plans found (plan_check.h): implementations of oneDNN that computed an operator
 * wrongly, which are not used for it again, and the batch sizes at which all others were right.
 * Profiles keep it.
 */
#ifndef QB_ENGINE_PLAN_FINDINGS_H
#define QB_ENGINE_PLAN_FINDINGS_H

#include <qosbatch/context.h>
#include <qosbatch/status.h>

#include <stdbool.h>

enum { QB__IMPLEMENTATION_CHARS = 64 };

typedef struct qb__passed_over {
  uint32_t op; /* index in the model's graph */
  char implementation[QB__IMPLEMENTATION_CHARS];
} qb__passed_over;

/* All zero: nothing is known yet. */
typedef struct qb__findings {
  size_t count, capacity;
  qb__passed_over *passed_over; /* owned */
  size_t checked_count, checked_capacity;
  uint32_t *checked; /* batch sizes of plans; owned */
} qb__findings;

/* NULL findings are empty ones. */
bool qb__is_passed_over(const qb__findings *findings, uint32_t op, const char *implementation);
bool qb__is_checked(const qb__findings *findings, uint32_t batch);

/* Add what is not there yet. */
qb_status qb__pass_over(const qb_context *context, qb__findings *findings, uint32_t op,
                        const char *implementation);
qb_status qb__set_checked(const qb_context *context, qb__findings *findings, uint32_t batch);

/* Replaces what `to` has. */
qb_status qb__findings_copy(const qb_context *context, const qb__findings *from, qb__findings *to);
void qb__findings_clear(const qb_context *context, qb__findings *findings);

#endif
