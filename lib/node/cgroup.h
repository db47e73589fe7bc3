/* SPDX-License-Identifier: Apache-2.0 */
/* What the control groups of this process allow it. */
#ifndef QB_NODE_CGROUP_H
#define QB_NODE_CGROUP_H

#include <qosbatch/context.h>

typedef struct qb__cgroup_limits {
  double cpu_cores;      /* quota / period; 0: no limit */
  uint64_t memory_bytes; /* 0: no limit */
} qb__cgroup_limits;

/*
 * Reads the limits that bind the calling process, cgroup v1, v2 or both: the smallest on the way
 * from its groups up to the roots. What cannot be read or understood is no limit. `root` is put
 * before every path: "" but in tests. Fails with QB_ERROR_NO_MEMORY only.
 */
qb_status qb__cgroup_read(const qb_context *context, const char *root, qb__cgroup_limits *limits);

#endif
