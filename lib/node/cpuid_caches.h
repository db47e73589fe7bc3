/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes of the caches as the processor itself tells them, where the system does not. */
#ifndef QB_NODE_CPUID_CACHES_H
#define QB_NODE_CPUID_CACHES_H

#include <stdbool.h>
#include <stdint.h>

/* By level from 1; 0: not told. */
typedef struct qb__cache_sizes {
  uint64_t bytes[4];
  uint32_t threads[4]; /* hardware threads that share it */
} qb__cache_sizes;

/* Whose leaf tells the caches, 4 or 0x8000001d; a virtual machine may fill either, or none. */
typedef enum qb__cpuid_vendor { QB__INTEL, QB__AMD } qb__cpuid_vendor;

/* The registers of one cache. */
typedef struct qb__cache_registers {
  uint32_t eax, ebx, ecx;
} qb__cache_registers;

/* Adds a cache of data, or of data and instructions; false at the end of the list. */
bool qb__cache_sizes_add(qb__cache_sizes *sizes, const qb__cache_registers *registers);

/* Of the CPU that this thread runs on, by a vendor's leaf; all 0 on other architectures. */
qb__cache_sizes qb__cpuid_caches_of(qb__cpuid_vendor vendor);

/* By either leaf. */
qb__cache_sizes qb__cpuid_caches(void);

#endif
