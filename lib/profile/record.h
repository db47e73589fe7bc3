/* SPDX-License-Identifier: Apache-2.0 */
/* What was seen of one point while it is being measured, and what is made of it. */
#ifndef QB_PROFILE_RECORD_H
#define QB_PROFILE_RECORD_H

#include "profile/sampler.h"

#include <qosbatch/profile.h>

typedef struct qb__visit_note {
  double flops, most_flops; /* as in qb__visit */
  size_t round_count;
  int64_t *round_ns; /* ascending */
  int64_t *part_ns;  /* the median of each part over the rounds */
  int64_t sum_ns;    /* of part_ns */
  uint32_t session;  /* of the run, from 1; 0: a first look before them */
} qb__visit_note;

typedef struct qb__record {
  qb_profile_point point; /* batch, configuration, prepare_ns and memory_bytes are set beforehand */
  size_t parts;           /* of a round; the same in all visits */
  size_t visit_count, visit_capacity;
  qb__visit_note *visits;
  int64_t last_ns;               /* a round of the last visit; 0: none */
  int64_t visit_ns;              /* what that visit took, all told */
  const qb_profile_point *known; /* what an earlier profile has of it; NULL: nothing */
  bool settled;                  /* that is sure enough: it is measured again as an anchor alone */
  bool anchor;                   /* it tells how fast the configuration is in this session */
  uint32_t session_visits;       /* in the session that is open */
  double weight;                 /* of its variance, against that of others */
  bool sure;                     /* as of the last visit */
  bool throttled; /* by a quota smaller than the threads: no visit that was slow is left out */
} qb__record;

void qb__record_clear(const qb_context *context, qb__record *record);

qb_status qb__record_add(const qb_context *context, qb__record *record, const qb__visit *visit);

/*
 * Works out point.latency_ns and what goes with it from the faster half of the visits
 * (qb__compose()); without visits it stays as it is. The point is marked as disturbed when these do not
 * agree within 10 %, or when none of their yardsticks came within 10 % of `full_flops`, a thread's
 * full speed.
 */
qb_status qb__record_finish(const qb_context *context, qb__record *record, double full_flops);

/* Those kept and those set aside. */
uint32_t qb__visits_of(const qb_profile_point *point);

/* The point with what is known of it, as if the machine had been the same then and now. */
qb_profile_point qb__record_joined(const qb__record *record);

/*
 * Two measurements of a point as one: the mean of their logarithms, each with the weight of the
 * square of its precision. When their intervals do not meet, something else was measured then, and
 * the new one stands alone.
 */
void qb__point_join(qb_profile_point *point, const qb_profile_point *known);

/* Whether a point's interval lies within +- goal, and may be believed. */
bool qb__point_is_sure(const qb_profile_point *point, double goal);

#endif
