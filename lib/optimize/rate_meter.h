/* SPDX-License-Identifier: Apache-2.0 */
/* The rate of arrivals, counted from what the host tells before each round. */
#ifndef QB_OPTIMIZE_RATE_METER_H
#define QB_OPTIMIZE_RATE_METER_H

#include <stdint.h>

enum { QB__METER_SAMPLES = 256, QB__METER_LONGEST_NS = 2000000000 };

/* A zeroed one has seen nothing. */
typedef struct qb__rate_meter {
  double rate_per_s; /* 0: not known yet */
  int64_t from_ns;   /* start of the window; 0: none */
  uint64_t from_arrived;
} qb__rate_meter;

/*
 * Ends a window when it has QB__METER_SAMPLES arrivals (a rate that is right within 6 % two times of
 * three), or is long and has some. Of two windows the later one weighs half.
 */
static inline void qb__rate_meter_see(qb__rate_meter *meter, int64_t now_ns, uint64_t arrived)
{
  const uint64_t count = arrived - meter->from_arrived;
  const int64_t span_ns = now_ns - meter->from_ns;
  if (!meter->from_ns || span_ns < 0 || arrived < meter->from_arrived) {
    meter->from_ns = now_ns;
    meter->from_arrived = arrived;
    return;
  }
  if (span_ns == 0 || count < QB__METER_SAMPLES / 8 ||
      (count < QB__METER_SAMPLES && span_ns < QB__METER_LONGEST_NS))
    return;
  const double seen_per_s = 1e9 * (double)count / (double)span_ns;
  meter->rate_per_s = meter->rate_per_s > 0 ? 0.5 * (meter->rate_per_s + seen_per_s) : seen_per_s;
  meter->from_ns = now_ns;
  meter->from_arrived = arrived;
}

#endif
