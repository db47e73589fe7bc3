/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cpuid_caches.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* Types of caches in eax: 0 ends the list. */
enum { DATA = 1, UNIFIED = 3 };

/* Bits [low, low + count) of a register. */
static uint32_t bits(uint32_t value, unsigned low, unsigned count)
{
  return value >> low & ((1u << count) - 1);
}

bool qb__cache_sizes_add(qb__cache_sizes *sizes, const qb__cache_registers *registers)
{
  const uint32_t type = bits(registers->eax, 0, 5), level = bits(registers->eax, 5, 3);
  if (!type)
    return false;
  /* Each of these is told less 1: ways, partitions, bytes of a line, sets. */
  const uint64_t ways = bits(registers->ebx, 22, 10) + UINT64_C(1);
  const uint64_t partitions = bits(registers->ebx, 12, 10) + UINT64_C(1);
  const uint64_t line = bits(registers->ebx, 0, 12) + UINT64_C(1);
  if ((type == DATA || type == UNIFIED) && level < sizeof sizes->bytes / sizeof *sizes->bytes) {
    sizes->bytes[level] = ways * partitions * line * (registers->ecx + UINT64_C(1));
    sizes->threads[level] = bits(registers->eax, 14, 12) + 1;
  }
  return true;
}

qb__cache_sizes qb__cpuid_caches_of(qb__cpuid_vendor vendor)
{
  qb__cache_sizes sizes = {{0}, {0}};
#if defined(__x86_64__)
  enum { MOST_CACHES = 16 };
  for (unsigned i = 0; i < MOST_CACHES; i++) {
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid_count(vendor == QB__AMD ? 0x8000001d : 4, i, &eax, &ebx, &ecx, &edx))
      break;
    const qb__cache_registers registers = {eax, ebx, ecx};
    if (!qb__cache_sizes_add(&sizes, &registers))
      break;
  }
#else
  (void)vendor;
#endif
  return sizes;
}

qb__cache_sizes qb__cpuid_caches(void)
{
  const qb__cache_sizes sizes = qb__cpuid_caches_of(QB__INTEL);
  return sizes.bytes[1] ? sizes : qb__cpuid_caches_of(QB__AMD);
}
