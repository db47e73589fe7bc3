/* SPDX-License-Identifier: Apache-2.0 */
/* The rate of arrivals just now, counted from what the host tells before each round. */
#ifndef QB_OPTIMIZE_RATE_METER_H
#define QB_OPTIMIZE_RATE_METER_H

#include <stdint.h>

enum { QB__METER_SAMPLES = 24, QB__METER_LONGEST_NS = 2000000000 };

/*
 * Two windows one behind the other, so that an estimate is of 24 arrivals at least and of 48 at
 * most, unless they take very long. A zeroed one has seen nothing.
 */
typedef struct qb__rate_meter {
  double rate_per_s;  /* 0: not known yet */
  int64_t from_ns[2]; /* starts of the windows, the older first; 0: none */
  uint64_t from_arrived[2];
} qb__rate_meter;

static inline void qb__rate_meter_see(qb__rate_meter *meter, int64_t now_ns, uint64_t arrived)
{
  const int64_t young_ns = now_ns - meter->from_ns[1];
  if (!meter->from_ns[1] || young_ns < 0 || arrived < meter->from_arrived[1]) {
    *meter = (qb__rate_meter){meter->rate_per_s, {0, now_ns}, {0, arrived}};
    return;
  }
  const int old = meter->from_ns[0] ? 0 : 1;
  const uint64_t count = arrived - meter->from_arrived[old];
  if (count >= QB__METER_SAMPLES / 2 && now_ns > meter->from_ns[old])
    meter->rate_per_s = 1e9 * (double)count / (double)(now_ns - meter->from_ns[old]);
  if (arrived - meter->from_arrived[1] >= QB__METER_SAMPLES || young_ns > QB__METER_LONGEST_NS) {
    meter->from_ns[0] = meter->from_ns[1];
    meter->from_arrived[0] = meter->from_arrived[1];
    meter->from_ns[1] = now_ns;
    meter->from_arrived[1] = arrived;
  }
}

#endif
