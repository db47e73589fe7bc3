/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/elements.h"

#include "core/alloc.h"
#include "core/error.h"

qb_status qb__elements_make(const qb_context *context, const qb__dims *dims,
                            const qb__layout *layout, void *data, qb__elements *elements)
{
  qb__blocking blocking;
  if (!qb__layout_blocking(layout, &blocking))
    return qb__fail(QB_ERROR_UNSUPPORTED, "a tensor is in a layout that only oneDNN can read");
  const int64_t origin[QB__ONEDNN_DIMS] = {0};
  size_t count = 0;
  for (int d = 0; d < dims->count; d++)
    count += (size_t)dims->at[d];
  int64_t *offsets = qb__calloc(context, count, sizeof *offsets);
  if (!offsets)
    return QB_ERROR_NO_MEMORY;
  *elements = (qb__elements){.dims = *dims, .data = data, .padded = blocking.padded};
  elements->first = (int64_t)qb__blocked_offset(&blocking, origin);
  for (int d = 0; d < dims->count; d++) {
    int64_t at[QB__ONEDNN_DIMS] = {0};
    elements->offsets[d] = offsets;
    for (at[d] = 0; at[d] < dims->at[d]; at[d]++)
      *offsets++ = (int64_t)qb__blocked_offset(&blocking, at) - elements->first;
  }
  return QB_OK;
}

void qb__elements_clear(const qb_context *context, qb__elements *elements)
{
  qb__free(context, elements->offsets[0]);
  *elements = (qb__elements){.data = NULL};
}

void qb__element_set(const qb__elements *e, int64_t offset, float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  switch (e->dims.type) {
  case QB__TYPE_F32: ((float *)e->data)[offset] = value; break;
  case QB__TYPE_BF16: ((uint16_t *)e->data)[offset] = (uint16_t)(bits >> 16); break;
  case QB__TYPE_U8: ((uint8_t *)e->data)[offset] = (uint8_t)((value + 1) * 127.5f); break;
  case QB__TYPE_S8: ((int8_t *)e->data)[offset] = (int8_t)(value * 127); break;
  }
}

/* Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2016). */
static int64_t below(uint64_t *random, int64_t end)
{
  *random ^= *random >> 12;
  *random ^= *random << 25;
  *random ^= *random >> 27;
  return (int64_t)((*random * 0x2545f4914f6cdd1dU) >> 33) % end;
}

/* At a border, at the end of a block, or anywhere. */
static int64_t draw_coordinate(uint64_t *random, int64_t size)
{
  int64_t at = -1;
  switch (below(random, 4)) {
  case 0: at = below(random, 2); break;
  case 1: at = size - 1 - below(random, 2); break;
  case 2: { /* the first or the last element of a block */
    const int64_t block = (int64_t)4 << below(random, 5);
    at = (1 + below(random, size / block + 1)) * block - below(random, 2);
    break;
  }
  default: break;
  }
  return at >= 0 && at < size ? at : below(random, size);
}

/* Near where the share of a thread ends if all elements are divided evenly. */
static void draw_end_of_share(uint64_t *random, const qb__dims *dims, int threads, int64_t *at)
{
  int64_t all = 1;
  for (int d = 0; d < dims->count; d++)
    all *= dims->at[d];
  int64_t index = all * below(random, threads + 1) / threads - 2 + below(random, 4);
  index = index < 0 ? 0 : index < all ? index : all - 1;
  for (int d = dims->count; d-- > 0; index /= dims->at[d])
    at[d] = index % dims->at[d];
}

void qb__draw_position(uint64_t *random, const qb__dims *dims, int threads, int64_t *at)
{
  const int64_t kind = below(random, 8);
  if (kind == 0) {
    draw_end_of_share(random, dims, threads, at);
    return;
  }
  for (int d = 0; d < dims->count; d++)
    at[d] = kind < 4 ? draw_coordinate(random, dims->at[d]) : below(random, dims->at[d]);
}

bool qb__next_position(const qb__dims *dims, int64_t *at)
{
  for (int d = dims->count; d-- > 0;) {
    if (++at[d] < dims->at[d])
      return true;
    at[d] = 0;
  }
  return false;
}
