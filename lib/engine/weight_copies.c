/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/weight_copies.h"

#include "core/alloc.h"
#include "node/near_memory.h"

#include <string.h>

struct qb__weight_copy {
  const struct dnnl_memory *original;
  struct dnnl_memory *memory;
  void *data;
};

bool qb__weight_copies_pay(const qb__homes *homes, uint32_t instances, uint64_t weight_bytes)
{
  uint32_t nodes = 0;
  for (uint32_t i = 0; homes->nodes && i < instances; i++) {
    uint32_t first = 0;
    while (homes->nodes[first] != homes->nodes[i])
      first++;
    nodes += first == i;
  }
  return qb__copies_that_pay(nodes, weight_bytes, homes->cache_bytes, homes->memory_bytes) > 0;
}

qb_status qb__weight_copy(const qb_context *context, struct dnnl_engine *engine,
                          qb__weight_copies *copies, struct dnnl_memory *original,
                          const qb__layout *layout, struct dnnl_memory **copy)
{
  for (size_t i = 0; i < copies->count; i++)
    if (copies->entries[i].original == original) {
      *copy = copies->entries[i].memory;
      return QB_OK;
    }
  if (!qb__grow(context, &copies->entries, copies->count, &copies->capacity,
                sizeof *copies->entries))
    return QB_ERROR_NO_MEMORY;
  const size_t bytes = qb__layout_bytes(layout);
  struct qb__weight_copy made = {.original = original,
                                 .data = qb__alloc_aligned(context, bytes, 4096)};
  if (!made.data)
    return QB_ERROR_NO_MEMORY;
  memcpy(made.data, qb__memory_data(original), bytes);
  const qb_status status = qb__memory_new(engine, layout, made.data, &made.memory);
  if (status) {
    qb__free(context, made.data);
    return status;
  }
  copies->entries[copies->count++] = made;
  copies->bytes += bytes;
  *copy = made.memory;
  return QB_OK;
}

void qb__weight_copies_clear(const qb_context *context, qb__weight_copies *copies)
{
  for (size_t i = 0; i < copies->count; i++) {
    qb__memory_free(copies->entries[i].memory);
    qb__free(context, copies->entries[i].data);
  }
  qb__free(context, copies->entries);
  memset(copies, 0, sizeof *copies);
}
