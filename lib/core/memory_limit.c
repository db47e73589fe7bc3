/* SPDX-License-Identifier: Apache-2.0 */
#include "core/memory_limit.h"

#include "core/error.h"

#include <string.h>

void qb__memory_limit_begin(qb__memory_limit *limit, const qb_context *host, const char *what)
{
  memset(limit, 0, sizeof *limit);
  limit->context.params = host->params;
  limit->context.limit = limit;
  limit->host = host;
  limit->what = what;
  limit->most_bytes = host->params.memory_limit_bytes;
}

void qb__memory_limit_end(qb__memory_limit *limit)
{
  if (limit->slots)
    qb__host_release(limit->host, limit->slots);
}

bool qb__memory_limit_allows(const qb__memory_limit *limit, size_t bytes)
{
  if (limit->held_bytes <= limit->most_bytes && bytes <= limit->most_bytes - limit->held_bytes)
    return true;
  (void)qb__fail(
      QB_ERROR_NO_MEMORY,
      "%s takes more memory than the %llu bytes that qb_context_params.memory_limit_bytes allows: "
      "it holds %llu and needs %zu more; raise the limit if you trust the file",
      limit->what, (unsigned long long)limit->most_bytes, (unsigned long long)limit->held_bytes,
      bytes);
  return false;
}

/* The slot of a block, or the free one where it belongs. */
static size_t slot_of(const qb__memory_limit *limit, const void *memory)
{
  const uint64_t hash = (uint64_t)(uintptr_t)memory * UINT64_C(11400714819323198485);
  size_t i = (size_t)(hash >> 32) & (limit->slot_count - 1);
  while (limit->slots[i].memory && limit->slots[i].memory != memory)
    i = (i + 1) & (limit->slot_count - 1);
  return i;
}

static bool grow(qb__memory_limit *limit)
{
  const size_t old_count = limit->slot_count, count = old_count ? 2 * old_count : 1024;
  qb__held_block *old = limit->slots;
  qb__held_block *slots =
      qb__host_allocate(limit->host, count * sizeof *slots, QB__DEFAULT_ALIGNMENT);
  if (!slots)
    return false;
  memset(slots, 0, count * sizeof *slots);
  limit->slots = slots;
  limit->slot_count = count;
  for (size_t i = 0; i < old_count; i++)
    if (old[i].memory)
      limit->slots[slot_of(limit, old[i].memory)] = old[i];
  if (old)
    qb__host_release(limit->host, old);
  return true;
}

bool qb__memory_limit_add(qb__memory_limit *limit, const void *memory, size_t bytes)
{
  if (2 * limit->block_count >= limit->slot_count && !grow(limit))
    return false;
  limit->slots[slot_of(limit, memory)] = (qb__held_block){memory, bytes};
  limit->block_count++;
  limit->held_bytes += bytes;
  return true;
}

void qb__memory_limit_remove(qb__memory_limit *limit, const void *memory)
{
  size_t hole = limit->slot_count ? slot_of(limit, memory) : 0;
  if (!limit->slot_count || !limit->slots[hole].memory)
    return; /* from before the limit */
  limit->held_bytes -= limit->slots[hole].bytes;
  limit->block_count--;
  limit->slots[hole].memory = NULL;
  /* What was put behind it because it was taken is put again. */
  for (size_t i = (hole + 1) & (limit->slot_count - 1); limit->slots[i].memory;
       i = (i + 1) & (limit->slot_count - 1)) {
    const qb__held_block block = limit->slots[i];
    limit->slots[i].memory = NULL;
    limit->slots[slot_of(limit, block.memory)] = block;
  }
}
