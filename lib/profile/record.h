/* SPDX-License-Identifier: Apache-2.0 */
/* What was seen of one point while it is being measured, and what is made of it. */
#ifndef QB_PROFILE_RECORD_H
#define QB_PROFILE_RECORD_H

#include "profile/sampler.h"

#include <qosbatch/profile.h>

typedef struct qb__visit_note {
  int64_t median_ns; /* of its rounds */
  double flops;      /* as in qb__visit */
} qb__visit_note;

typedef struct qb__round_note {
  int64_t latency_ns;
  double flops; /* of its visit */
} qb__round_note;

typedef struct qb__record {
  qb_profile_point point; /* batch, configuration, prepare_ns and memory_bytes are set beforehand */
  size_t visit_count, visit_capacity;
  qb__visit_note *visits;
  size_t round_count, round_capacity;
  qb__round_note *rounds;
} qb__record;

void qb__record_clear(const qb_context *context, qb__record *record);

qb_status qb__record_add(const qb_context *context, qb__record *record, const qb__visit *visit);

/*
 * Works out point.latency_ns and what goes with it. `full_flops` is what an undisturbed thread
 * sustains: visits whose yardstick was more than 5 % slower are set aside. When fewer than 3 are
 * left, the fastest quarter of all visits stands for the point, which is marked as disturbed.
 */
qb_status qb__record_finish(const qb_context *context, qb__record *record, double full_flops);

#endif
