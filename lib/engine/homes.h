/* SPDX-License-Identifier: Apache-2.0 */
/* Where the memory is that instances are near to. */
#ifndef QB_ENGINE_HOMES_H
#define QB_ENGINE_HOMES_H

#include <stdint.h>

typedef struct qb__homes {
  const uint16_t *nodes; /* NUMA node of each instance; NULL: the same of all */
  uint64_t cache_bytes;  /* of the last level, as one core sees it; 0: not told */
  uint64_t memory_bytes; /* that the process may have, on all nodes together */
} qb__homes;

#endif
