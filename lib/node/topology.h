/* SPDX-License-Identifier: Apache-2.0 */
/* The cores this process may use. */
#ifndef QB_NODE_TOPOLOGY_H
#define QB_NODE_TOPOLOGY_H

#include <qosbatch/node.h>

enum { QB__MOST_CORES = 1024 };

typedef struct qb__topology {
  uint32_t hardware_threads;      /* in the process's affinity mask */
  uint32_t core_count;            /* physical cores among them, at most QB__MOST_CORES */
  uint16_t cpus[QB__MOST_CORES];  /* one operating-system CPU number of each core, neighbours in
                                    cache and NUMA node side by side */
  uint16_t nodes[QB__MOST_CORES]; /* the NUMA node of each, counted from 0 */
  uint8_t kinds[QB__MOST_CORES];  /* 0: the fastest kind of core, as far as the system tells */
  uint32_t numa_nodes;
  uint32_t last_caches; /* of the last level, that these cores have together; 0: not told */
  uint64_t l1d_bytes, l2_bytes, l3_bytes; /* as in qb_node_info */
  uint64_t memory_bytes;                  /* installed */
} qb__topology;

/*
 * Reads the topology through hwloc, restricted to what any thread of the process may run on. Binds
 * nothing.
 */
qb_status qb__topology_read(qb__topology *topology);

/*
 * The same of a machine that hwloc has loaded, and of its CPUs that are allowed; caches and memory
 * are left out. For machines that are not at hand.
 */
struct hwloc_topology;
struct hwloc_bitmap_s;
void qb__topology_of(struct hwloc_topology *hwloc, const struct hwloc_bitmap_s *allowed,
                     qb__topology *topology);

#endif
