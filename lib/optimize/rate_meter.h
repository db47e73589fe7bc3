/* SPDX-License-Identifier: Apache-2.0 */
/* The present rate of arrivals, counted from what the host says before each round. */
#ifndef QB_OPTIMIZE_RATE_METER_H
#define QB_OPTIMIZE_RATE_METER_H

#include <math.h>
#include <stdint.h>

enum { QB__METER_SAMPLES = 24, QB__METER_MOST = 1024, QB__METER_LONGEST_NS = 2000000000 };

/* A start of counting; arrived 0: none. */
typedef struct qb__meter_start {
  int64_t from_ns;
  uint64_t arrived;
} qb__meter_start;

/*
 * Two consecutive short windows, so that the older one has 24 arrivals at least and 48 at most,
 * unless they take very long; and a long window, whose rate counts as long as the short one looks
 * like a part of it. A zeroed one has seen nothing.
 */
typedef struct qb__rate_meter {
  double rate_per_s; /* 0: not known yet */
  qb__meter_start old, young, whole;
} qb__rate_meter;

static inline double qb__meter_seconds(qb__meter_start start, int64_t now_ns)
{
  return 1e-9 * (double)(now_ns - start.from_ns);
}

/* `arrived` (> 0) samples up to now. */
static inline void qb__rate_meter_see(qb__rate_meter *meter, int64_t now_ns, uint64_t arrived)
{
  const qb__meter_start now = {now_ns, arrived};
  if (!meter->young.arrived || now_ns < meter->young.from_ns || arrived < meter->young.arrived) {
    *meter = (qb__rate_meter){meter->rate_per_s, {0, 0}, now, now};
    return;
  }
  const qb__meter_start from = meter->old.arrived ? meter->old : meter->young;
  const double count = (double)(arrived - from.arrived), time_s = qb__meter_seconds(from, now_ns);
  if (count >= QB__METER_SAMPLES / 2 && time_s > 0) {
    const double whole_s = qb__meter_seconds(meter->whole, now_ns);
    const double mean = time_s * (double)(arrived - meter->whole.arrived) / whole_s;
    /* Counts of Poisson arrivals vary by their roots: three of them are no chance. */
    if ((count - mean) * (count - mean) > 9 * mean)
      meter->whole = from;
    meter->rate_per_s =
        (double)(arrived - meter->whole.arrived) / qb__meter_seconds(meter->whole, now_ns);
  }
  if (arrived - meter->young.arrived >= QB__METER_SAMPLES ||
      now_ns - meter->young.from_ns > QB__METER_LONGEST_NS) {
    meter->old = meter->young;
    meter->young = now;
  }
  if (arrived - meter->whole.arrived >= QB__METER_MOST) { /* half of them are enough */
    meter->whole.from_ns += (now_ns - meter->whole.from_ns) / 2;
    meter->whole.arrived += (arrived - meter->whole.arrived) / 2;
  }
}

#endif
