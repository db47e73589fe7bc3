/* SPDX-License-Identifier: Apache-2.0 */
#include "core/alloc.h"

#include "core/checked.h"
#include "core/context_impl.h"
#include "core/error.h"
#include "core/memory_limit.h"

#include <string.h>

void *qb__alloc_aligned(const qb_context *context, size_t bytes, size_t alignment)
{
  if (context->limit && !qb__memory_limit_allows(context->limit, bytes))
    return NULL;
  void *memory = qb__host_allocate(context, bytes ? bytes : 1, alignment);
  if (memory && context->limit && !qb__memory_limit_add(context->limit, memory, bytes)) {
    qb__host_release(context, memory);
    memory = NULL;
  }
  if (!memory)
    (void)qb__fail(QB_ERROR_NO_MEMORY,
                   "out of memory allocating %zu bytes; free memory, or use smaller batches or "
                   "fewer instances",
                   bytes);
  return memory;
}

void *qb__calloc(const qb_context *context, size_t count, size_t element_bytes)
{
  size_t bytes;
  if (!qb__mul_size(count, element_bytes, &bytes)) {
    (void)qb__fail(QB_ERROR_NO_MEMORY, "%zu elements of %zu bytes exceed the address space", count,
                   element_bytes);
    return NULL;
  }
  void *memory = qb__alloc_aligned(context, bytes, QB__DEFAULT_ALIGNMENT);
  if (memory)
    memset(memory, 0, bytes ? bytes : 1);
  return memory;
}

void qb__free(const qb_context *context, const void *memory)
{
  if (memory && context->limit)
    qb__memory_limit_remove(context->limit, memory);
  if (memory)
    qb__host_release(context, memory);
}

char *qb__strdup(const qb_context *context, const char *text)
{
  const size_t bytes = strlen(text) + 1;
  char *copy = qb__calloc(context, bytes, 1);
  if (copy)
    memcpy(copy, text, bytes);
  return copy;
}

bool qb__grow(const qb_context *context, void *array, size_t count, size_t *capacity,
              size_t element_bytes)
{
  if (count < *capacity)
    return true;
  const size_t larger = *capacity ? *capacity * 2 : 16;
  void *memory = qb__calloc(context, larger, element_bytes);
  if (!memory)
    return false;
  void *old;
  memcpy(&old, array, sizeof old);
  if (count)
    memcpy(memory, old, count * element_bytes);
  qb__free(context, old);
  memcpy(array, &memory, sizeof memory);
  *capacity = larger;
  return true;
}
