/* SPDX-License-Identifier: Apache-2.0 */
/* How many threads can run at the same time: cores, and what a CPU quota and others leave of them. */
#ifndef QB_NODE_USABLE_THREADS_H
#define QB_NODE_USABLE_THREADS_H

#include "node/cgroup.h"
#include "node/topology.h"

#include <math.h>

static inline double qb__quota_cores(const qb__topology *topology, const qb__cgroup_limits *limits)
{
  return limits->cpu_cores > 0 && limits->cpu_cores < topology->hardware_threads
             ? limits->cpu_cores
             : topology->hardware_threads;
}

/* 0: `reserve_cores` leaves none. */
static inline uint32_t qb__usable_threads(const qb__topology *topology,
                                          const qb__cgroup_limits *limits, uint32_t reserve_cores)
{
  const uint32_t all =
      (uint32_t)fmin(topology->core_count, ceil(qb__quota_cores(topology, limits)));
  return all > reserve_cores ? all - reserve_cores : 0;
}

#endif
