/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/packed_weights.h"

#include "core/alloc.h"
#include "core/error.h"

#include <string.h>

struct qb__packed_entry {
  int32_t tensor;
  qb__layout *layout;
  struct dnnl_memory *memory;
  void *data;
};

void qb__packed_init(qb__packed *packed, const qb_context *context, struct dnnl_engine *engine)
{
  memset(packed, 0, sizeof *packed);
  packed->context = context;
  packed->engine = engine;
}

static void clear_entry(const qb__packed *packed, struct qb__packed_entry *entry)
{
  qb__memory_free(entry->memory);
  qb__layout_free(packed->context, entry->layout);
  qb__free(packed->context, entry->data);
}

void qb__packed_clear(qb__packed *packed)
{
  for (size_t i = 0; i < packed->count; i++)
    clear_entry(packed, &packed->entries[i]);
  qb__free(packed->context, packed->entries);
  qb__packed_init(packed, packed->context, packed->engine);
}

const qb__layout *qb__packed_layout(const qb__packed *packed, int32_t tensor)
{
  for (size_t i = 0; i < packed->count; i++)
    if (packed->entries[i].tensor == tensor)
      return packed->entries[i].layout;
  return NULL;
}

/* Writes `values` into entry->data in entry->layout. */
static qb_status reorder(qb__packed *packed, struct dnnl_stream *stream, const float *values,
                         const qb__layout *plain, const struct qb__packed_entry *entry)
{
  struct dnnl_memory *from = NULL;
  struct dnnl_primitive *primitive = NULL;
  void *scratchpad_data = NULL;
  struct dnnl_memory *scratchpad = NULL;
  qb__layout *scratchpad_layout = NULL;
  size_t scratchpad_bytes = 0;
  /* oneDNN takes no const pointers; a reorder only reads its source. */
  qb_status status = qb__memory_new(packed->engine, plain, (void *)(uintptr_t)values, &from);
  if (!status)
    status = qb__reorder_new(packed->engine, plain, entry->layout, &primitive, &scratchpad_bytes);
  if (!status && scratchpad_bytes) {
    const qb__dims dims = {1, {(int64_t)(scratchpad_bytes + 3) / 4}};
    scratchpad_data = qb__alloc_aligned(packed->context, scratchpad_bytes + 4, 64);
    status = scratchpad_data ? qb__layout_plain(packed->context, &dims, &scratchpad_layout)
                             : QB_ERROR_NO_MEMORY;
    if (!status)
      status = qb__memory_new(packed->engine, scratchpad_layout, scratchpad_data, &scratchpad);
  }
  if (!status) {
    struct dnnl_memory *const arguments[QB__ARG_COUNT] = {[QB__ARG_SOURCE] = from,
                                                          [QB__ARG_DESTINATION] = entry->memory,
                                                          [QB__ARG_SCRATCHPAD] = scratchpad};
    status = qb__execute(primitive, stream, arguments);
  }
  qb__memory_free(scratchpad);
  qb__layout_free(packed->context, scratchpad_layout);
  qb__free(packed->context, scratchpad_data);
  qb__primitive_free(primitive);
  qb__memory_free(from);
  return status;
}

/*
 * By plain loops: oneDNN 3.7.2 reorders wrongly into blocks of two dimensions of which the inner
 * one is padded (24 input channels in blocks of 16).
 */
static void pack_padded(const float *values, const qb__dims *dims, const qb__blocking *blocking,
                        size_t bytes, float *packed)
{
  int64_t position[QB__ONEDNN_DIMS] = {0};
  memset(packed, 0, bytes);
  for (int d = 0; d >= 0;) {
    packed[qb__blocked_offset(blocking, position)] = *values++;
    for (d = dims->count - 1; d >= 0 && ++position[d] == dims->at[d]; d--)
      position[d] = 0;
  }
}

qb_status qb__packed_get(qb__packed *packed, struct dnnl_stream *stream, int32_t tensor,
                         const float *values, const qb__dims *dims, const qb__layout *layout,
                         struct dnnl_memory **memory)
{
  for (size_t i = 0; i < packed->count; i++)
    if (packed->entries[i].tensor == tensor &&
        qb__layout_equal(packed->entries[i].layout, layout)) {
      *memory = packed->entries[i].memory;
      return QB_OK;
    }

  qb__layout *plain = NULL;
  struct qb__packed_entry entry = {.tensor = tensor};
  qb_status status = QB_ERROR_NO_MEMORY;
  const size_t bytes = qb__layout_bytes(layout);
  if (!qb__grow(packed->context, &packed->entries, packed->count, &packed->capacity,
                sizeof *packed->entries))
    goto done;
  status = qb__layout_copy(packed->context, layout, &entry.layout);
  if (status)
    goto done;
  status = qb__layout_plain(packed->context, dims, &plain);
  if (status)
    goto done;
  entry.data = qb__alloc_aligned(packed->context, bytes, 4096);
  if (!entry.data) {
    status = QB_ERROR_NO_MEMORY;
    goto done;
  }
  status = qb__memory_new(packed->engine, layout, entry.data, &entry.memory);
  if (status)
    goto done;
  qb__blocking blocking;
  if (qb__layout_equal(layout, plain))
    memcpy(entry.data, values, bytes);
  else if (qb__layout_blocking(layout, &blocking) && blocking.padded)
    pack_padded(values, dims, &blocking, bytes, entry.data);
  else
    status = reorder(packed, stream, values, plain, &entry);
done:
  qb__layout_free(packed->context, plain);
  if (status) {
    clear_entry(packed, &entry);
    return status;
  }
  packed->entries[packed->count++] = entry;
  packed->bytes += bytes;
  *memory = entry.memory;
  return QB_OK;
}
