/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/packed_weights.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/hooks.h"
#include "engine/elements.h"
#include "engine/winograd.h"

#include <math.h>
#include <string.h>

/* Values of a constant: where there are steps, each is divided by that of its output. */
typedef struct source {
  const float *values, *steps;
  size_t each; /* of an output */
} source;

struct qb__packed_entry {
  int32_t tensor;
  qb__layout *layout;
  struct dnnl_memory *memory;
  void *data;
};

static float value_at(const source *from, size_t index)
{
  return from->steps ? nearbyintf(from->values[index] / from->steps[index / from->each])
                     : from->values[index];
}

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

/* Writes `values` into a memory. */
static qb_status reorder(qb__packed *packed, struct dnnl_stream *stream, const void *values,
                         const qb__layout *plain, const qb__layout *layout,
                         struct dnnl_memory *memory)
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
    status = qb__reorder_new(packed->engine, plain, layout, &primitive, &scratchpad_bytes);
  if (!status && scratchpad_bytes) {
    const qb__dims dims = {1, {(int64_t)(scratchpad_bytes + 3) / 4}};
    scratchpad_data = qb__alloc_aligned(packed->context, scratchpad_bytes + 4, 64);
    status = scratchpad_data ? qb__layout_plain(packed->context, &dims, &scratchpad_layout)
                             : QB_ERROR_NO_MEMORY;
    if (!status)
      status = qb__memory_new(packed->engine, scratchpad_layout, scratchpad_data, &scratchpad);
  }
  if (!status) {
    struct dnnl_memory *const arguments[QB__ARG_COUNT] = {
        [QB__ARG_SOURCE] = from, [QB__ARG_DESTINATION] = memory, [QB__ARG_SCRATCHPAD] = scratchpad};
    status = qb__execute(primitive, stream, arguments);
  }
  qb__memory_free(scratchpad);
  qb__layout_free(packed->context, scratchpad_layout);
  qb__free(packed->context, scratchpad_data);
  qb__primitive_free(primitive);
  qb__memory_free(from);
  return status;
}

/* By plain loops. */
static void pack(const source *from, const qb__dims *dims, const qb__blocking *blocking,
                 const struct qb__packed_entry *entry)
{
  const qb__type type = qb__layout_type(entry->layout);
  int64_t position[QB__ONEDNN_DIMS] = {0};
  size_t index = 0;
  memset(entry->data, 0, qb__layout_bytes(entry->layout));
  for (int d = 0; d >= 0;) {
    qb__store(type, value_at(from, index++), entry->data, qb__blocked_offset(blocking, position));
    for (d = dims->count - 1; d >= 0 && ++position[d] == dims->at[d]; d--)
      position[d] = 0;
  }
}

/* Whether the places of some elements, and of the padding around them, hold what they should. */
static bool is_packed(const float *values, const qb__dims *dims, const qb__blocking *blocking,
                      const float *packed)
{
  enum { POSITIONS = 512 };
  qb__dims room = *dims;
  uint64_t random = 1;
  qb__blocking_room(blocking, &room);
  for (int i = 0; i < POSITIONS; i++) {
    int64_t at[QB__ONEDNN_DIMS], index = 0;
    bool inside = true;
    qb__draw_position(&random, &room, 1, at);
    for (int d = 0; d < dims->count; d++) {
      index = index * dims->at[d] + at[d];
      inside = inside && at[d] < dims->at[d];
    }
    const float expected = inside ? values[index] : 0,
                found = packed[qb__blocked_offset(blocking, at)];
    if (memcmp(&expected, &found, sizeof found) != 0 && !(expected == found))
      return false;
  }
  return true;
}

/* Whether a layout has nothing behind its elements, as sums of signed weights are there. */
static bool is_elements_alone(const qb__layout *layout, const qb__dims *dims,
                              const qb__blocking *blocking)
{
  qb__dims room = *dims;
  size_t bytes = qb__type_bytes(dims->type);
  qb__blocking_room(blocking, &room);
  for (int d = 0; d < room.count; d++)
    bytes *= (size_t)room.at[d];
  return qb__layout_bytes(layout) == bytes;
}

static size_t count_of(const qb__dims *dims)
{
  size_t elements = 1;
  for (int d = 0; d < dims->count; d++)
    elements *= (size_t)dims->at[d];
  return elements;
}

/* Values from element `first` on, as many as `dims` has, into a memory; integers by way of a buffer. */
static qb_status reorder_values(qb__packed *packed, struct dnnl_stream *stream, const source *from,
                                size_t first, const qb__dims *dims, int8_t *buffer,
                                const qb__layout *layout, struct dnnl_memory *memory)
{
  const size_t count = buffer ? count_of(dims) : 0;
  qb__dims plain_dims = *dims;
  qb__layout *plain = NULL;
  plain_dims.type = buffer ? QB__TYPE_S8 : QB__TYPE_F32;
  for (size_t i = 0; i < count; i++)
    buffer[i] = (int8_t)value_at(from, first + i);
  qb_status status = qb__layout_plain(packed->context, &plain_dims, &plain);
  if (!status)
    status = reorder(packed, stream, buffer ? (const void *)buffer : from->values + first, plain,
                     layout, memory);
  qb__layout_free(packed->context, plain);
  return status;
}

/* A part of the first dimension; unsupported where the layout has no such parts. */
static qb_status reorder_part(qb__packed *packed, struct dnnl_stream *stream, const source *from,
                              const qb__dims *dims, int64_t first, int64_t count, int8_t *buffer,
                              const struct qb__packed_entry *entry)
{
  const size_t before = count_of(dims) / (size_t)dims->at[0] * (size_t)first;
  const int64_t offsets[QB__ONEDNN_DIMS] = {first};
  qb__dims part = *dims;
  qb__layout *layout = NULL;
  struct dnnl_memory *memory = NULL;
  part.at[0] = count;
  qb_status status = qb__layout_part(packed->context, entry->layout, &part, offsets, &layout);
  if (!status)
    status = qb__memory_new(packed->engine, layout, entry->data, &memory);
  if (!status)
    status = reorder_values(packed, stream, from, before, &part, buffer, layout, memory);
  qb__memory_free(memory);
  qb__layout_free(packed->context, layout);
  return status;
}

/* `rows` of the first dimension at a time. */
static qb_status reorder_by(qb__packed *packed, struct dnnl_stream *stream, const source *from,
                            const qb__dims *dims, int64_t rows,
                            const struct qb__packed_entry *entry)
{
  const int64_t all = dims->at[0];
  int8_t *buffer = NULL;
  qb_status status = QB_OK;
  if (from->steps) {
    buffer = qb__calloc(packed->context, count_of(dims) / (size_t)all * (size_t)rows, 1);
    status = buffer ? QB_OK : QB_ERROR_NO_MEMORY;
  }
  if (!status && rows == all)
    status = reorder_values(packed, stream, from, 0, dims, buffer, entry->layout, entry->memory);
  for (int64_t first = 0; first < all && rows < all && !status; first += rows)
    status = reorder_part(packed, stream, from, dims, first,
                          all - first < rows ? all - first : rows, buffer, entry);
  qb__free(packed->context, buffer);
  return status;
}

/*
 * Integers exist beside the packed ones, of few outputs at a time: as many as fill whole blocks. Sums of
 * weights behind the elements are of all of them.
 */
static qb_status reorder_all(qb__packed *packed, struct dnnl_stream *stream, const source *from,
                             const qb__dims *dims, const qb__blocking *blocking,
                             const struct qb__packed_entry *entry)
{
  static const int64_t rows[] = {64, 192}; /* blocks have 16, 32 and 64, or 48 */
  const bool has_parts =
      from->steps && blocking && is_elements_alone(entry->layout, dims, blocking);
  qb_status status = QB_ERROR_UNSUPPORTED;
  for (int i = 0; i < 2 && has_parts && rows[i] < dims->at[0] && status; i++) {
    status = reorder_by(packed, stream, from, dims, rows[i], entry);
    if (status && status != QB_ERROR_UNSUPPORTED)
      return status;
  }
  return status ? reorder_by(packed, stream, from, dims, dims->at[0], entry) : QB_OK;
}

/* oneDNN is fast at this, and not always right. */
static qb_status fill(qb__packed *packed, struct dnnl_stream *stream, const source *from,
                      const qb__dims *dims, const struct qb__packed_entry *entry)
{
  qb__dims reals = *dims;
  qb__layout *plain = NULL;
  qb__blocking blocking;
  reals.type = QB__TYPE_F32;
  const bool floats = qb__layout_type(entry->layout) == QB__TYPE_F32;
  const bool known = qb__layout_blocking(entry->layout, &blocking);
  qb_status status = qb__layout_plain(packed->context, &reals, &plain);
  if (status)
    return status;
  if (qb__layout_equal(entry->layout, plain))
    memcpy(entry->data, from->values, qb__layout_bytes(plain));
  else if (!floats && known && blocking.padded && is_elements_alone(entry->layout, dims, &blocking))
    pack(from, dims, &blocking, entry);
  else
    status = reorder_all(packed, stream, from, dims, known ? &blocking : NULL, entry);
  if (!status && floats && known && !is_packed(from->values, dims, &blocking, entry->data)) {
    qb__message(packed->context, QB_SEVERITY_WARNING,
                "%s packs constant %d wrongly; plain loops pack it", qb__onednn_version(),
                (int)entry->tensor);
    pack(from, dims, &blocking, entry);
  }
  qb__layout_free(packed->context, plain);
  return status;
}

/* Weights for minimal filtering, group by group. */
static void transform(const qb__tensor *t, const qb__dims *dims, float *to)
{
  const int64_t groups = dims->at[0], outputs = t->dims[0] / groups, inputs = t->dims[1];
  const int64_t each = (int64_t)count_of(dims) / groups;
  for (int64_t g = 0; g < groups; g++)
    qb__winograd_weights(t->constant + g * outputs * inputs * 9, outputs, inputs, to + g * each);
}

qb_status qb__packed_get(qb__packed *packed, struct dnnl_stream *stream, const qb__graph *graph,
                         int32_t tensor, const qb__dims *dims, const qb__layout *layout,
                         struct dnnl_memory **memory)
{
  for (size_t i = 0; i < packed->count; i++)
    if (packed->entries[i].tensor == tensor &&
        qb__layout_equal(packed->entries[i].layout, layout)) {
      *memory = packed->entries[i].memory;
      return QB_OK;
    }

  struct qb__packed_entry entry = {.tensor = tensor};
  qb_status status = QB_ERROR_NO_MEMORY;
  const size_t bytes = qb__layout_bytes(layout);
  const qb__tensor *t = &graph->tensors[tensor];
  const source from = {t->constant, t->steps == QB__NONE ? NULL : graph->tensors[t->steps].constant,
                       t->rank ? t->elements / (size_t)t->dims[0] : 1};
  if (!qb__grow(packed->context, &packed->entries, packed->count, &packed->capacity,
                sizeof *packed->entries))
    goto done;
  status = qb__layout_copy(packed->context, layout, &entry.layout);
  if (status)
    goto done;
  entry.data = qb__alloc_aligned(packed->context, bytes, 4096);
  if (!entry.data) {
    status = QB_ERROR_NO_MEMORY;
    goto done;
  }
  status = qb__memory_new(packed->engine, layout, entry.data, &entry.memory);
  if (!status && count_of(dims) != t->elements)
    transform(t, dims, entry.data);
  else if (!status)
    status = fill(packed, stream, &from, dims, &entry);
done:
  if (status) {
    clear_entry(packed, &entry);
    return status;
  }
  packed->entries[packed->count++] = entry;
  packed->bytes += bytes;
  *memory = entry.memory;
  return QB_OK;
}
