/* SPDX-License-Identifier: Apache-2.0 */
/* When samples arrive: a Poisson process whose rate changes, or the times of a trace. */
#ifndef QB_QUEUE_ARRIVALS_H
#define QB_QUEUE_ARRIVALS_H

#include "queue/random_stream.h"

#include <qosbatch/qos.h>

#include <stdbool.h>

/*
 * A Markov-modulated Poisson process of two phases (W. Fischer and K. Meier-Hellstern, "The
 * Markov-modulated Poisson process (MMPP) cookbook", Perform. Eval. 18, 1993): phase 0 is between
 * bursts, phase 1 in one. Without bursts phase 0 is all there is. On top of that the rate may swing
 * as 1 + swing sin(2 pi t / period).
 */
typedef struct qb__arrival_law {
  double rate_per_s[2];
  double leave_per_s[2]; /* rate of leaving the phase; 0: never */
  double swing;          /* 0..1 */
  double period_s;
  const int64_t *times_ns; /* a trace instead; not falling */
  size_t time_count;
} qb__arrival_law;

/* Samples per second in the long run; of a trace 0. */
double qb__arrival_mean_rate(const qb__arrival_law *law);

/* Bursts of `burst_s` on average take `share` of the time, with `ratio` (may be infinite) times the
 * rate between them; rate_per_s is the mean. */
qb__arrival_law qb__arrival_bursts(double rate_per_s, double ratio, double share, double burst_s);

/* The arrivals that a checked load describes. */
qb__arrival_law qb__arrival_law_of(const qb_load *load);

typedef struct qb__arrivals {
  qb__arrival_law law;
  qb__random_stream random;
  double now_ns;
  double switch_ns; /* when the phase ends */
  int phase;
  size_t next;         /* of a trace */
  uint32_t strata;     /* of the lengths of phases, a power of two; 0: lengths are independent */
  uint32_t strata_key; /* for their order */
  uint32_t begun[2];   /* phases */
  double drift[2];     /* of the backlog in each phase; 0: not followed (backlog.h) */
  double backlog_ns;   /* at the last arrival */
} qb__arrivals;

void qb__arrivals_start(qb__arrivals *arrivals, const qb__arrival_law *law, uint64_t seed);

/* The bursts that `samples` arrivals take on average; without bursts 0. */
double qb__arrival_burst_count(const qb__arrival_law *law, double samples);

/*
 * As qb__arrivals_start(), for a path of about so many bursts whose averages are to be near the
 * truth: of every `strata` bursts, at most 4096 and one in a stratum of lengths of equal
 * probability, in random order. What varies most from path to path, how much time bursts take, then
 * hardly does.
 */
void qb__arrivals_start_even(qb__arrivals *arrivals, const qb__arrival_law *law, uint64_t seed,
                             double bursts);

/* The time of the next arrival in nanoseconds, not before the last one; INT64_MAX: no more. */
int64_t qb__arrivals_next(qb__arrivals *arrivals);

#endif
