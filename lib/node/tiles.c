/* SPDX-License-Identifier: Apache-2.0 */
#include "node/tiles.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 5.16's <asm/prctl.h>: which parts of the registers' state a process may use. */
enum { GET_PERMISSION = 0x1022, ASK_PERMISSION = 0x1023 };

/* Parts of the state: the configuration of tiles, and what is in them. */
enum { TILE_CONFIGURATION = 17, TILE_DATA = 18 };

static bool processor_has_tiles(void)
{
  unsigned eax, ebx, ecx, edx;
  const bool known = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
  const bool bf16 = known && (edx >> 22 & 1), tiles = known && (edx >> 24 & 1);
  return bf16 && tiles && (edx >> 25 & 1); /* the last one: bytes */
}

/* By XCR0, which may be read where CPUID says so (OSXSAVE). */
static bool system_keeps_tiles(void)
{
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx >> 27 & 1))
    return false;
  __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return (eax >> TILE_CONFIGURATION & 1) && (eax >> TILE_DATA & 1);
}

bool qb__has_tiles(void)
{
  return processor_has_tiles() && system_keeps_tiles();
}

bool qb__may_use_tiles(void)
{
  uint64_t permitted = 0;
  return qb__has_tiles() && !syscall(SYS_arch_prctl, GET_PERMISSION, &permitted) &&
         (permitted >> TILE_DATA & 1);
}

void qb__ask_for_tiles(void)
{
  if (qb__has_tiles() && !qb__may_use_tiles())
    (void)syscall(SYS_arch_prctl, ASK_PERMISSION, TILE_DATA);
}

#else

bool qb__has_tiles(void)
{
  return false;
}

bool qb__may_use_tiles(void)
{
  return false;
}

void qb__ask_for_tiles(void)
{
}

#endif
