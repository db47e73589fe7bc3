/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/row_values.h"

#include "core/error.h"

#include <string.h>

static const int32_t MAGNITUDE = INT32_MAX; /* all bits but the sign */

int32_t qb__magnitude_bits(float value)
{
  int32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits & MAGNITUDE;
}

float qb__magnitude_of(int32_t bits)
{
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Elements of a row in one piece, padding to whole blocks included. */
static int64_t piece(const qb__dims *dims, const qb__blocking *b)
{
  int64_t elements = 1;
  qb__dims room = *dims;
  qb__blocking_room(b, &room);
  for (int d = 1; d < dims->count; d++)
    elements *= room.at[d];
  return elements;
}

static bool batch_is_blocked(const qb__blocking *b)
{
  for (int i = 0; i < b->inner_count; i++)
    if (b->inner_dims[i] == 0)
      return true;
  return false;
}

qb_status qb__rows_of(const qb__dims *dims, const qb__layout *layout, void *data, qb__rows *rows)
{
  qb__rows made = {.dims = dims, .data = data};
  if (!qb__layout_blocking(layout, &made.blocking))
    return qb__fail(QB_ERROR_UNSUPPORTED, "a tensor is in a layout that only oneDNN can read");
  const int64_t batch = dims->at[0], elements = piece(dims, &made.blocking);
  made.row_elements = (size_t)elements;
  made.whole = !batch_is_blocked(&made.blocking) &&
               (batch == 1 || made.blocking.strides[0] == elements) &&
               qb__layout_bytes(layout) == (size_t)(batch * elements) * qb__type_bytes(dims->type);
  *rows = made;
  return QB_OK;
}

/* Sets `at` to the next position of its row in row-major order; false behind the last one. */
static bool next(const qb__dims *dims, int64_t *at)
{
  for (int d = dims->count; d-- > 1;) {
    if (++at[d] < dims->at[d])
      return true;
    at[d] = 0;
  }
  return false;
}

static bool are_halves(const qb__rows *rows)
{
  return rows->dims->type == QB__TYPE_BF16;
}

/* The largest of elements that lie next to each other. */
static int32_t largest_of(const qb__rows *rows, size_t first, size_t count)
{
  return are_halves(rows) ? qb__largest_half_bits((const uint16_t *)rows->data + first, count)
                          : qb__largest_bits((const float *)rows->data + first, count);
}

static float value_at(const qb__rows *rows, size_t offset)
{
  float value;
  if (!are_halves(rows))
    return ((const float *)rows->data)[offset];
  const uint32_t bits = (uint32_t)((const uint16_t *)rows->data)[offset] << 16;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* What is set is what a bfloat16 number holds, or NaN: the lower half is 0 or does not matter. */
static void set_at(const qb__rows *rows, size_t offset, float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (are_halves(rows))
    ((uint16_t *)rows->data)[offset] = (uint16_t)(bits >> 16 | (value != value));
  else
    ((float *)rows->data)[offset] = value;
}

int32_t qb__rows_largest_bits(const qb__rows *rows, uint32_t row)
{
  if (rows->whole)
    return largest_of(rows, row * rows->row_elements, rows->row_elements);
  int32_t most = 0;
  int64_t at[QB__ONEDNN_DIMS] = {row};
  do {
    const int32_t bits =
        qb__magnitude_bits(value_at(rows, qb__blocked_offset(&rows->blocking, at)));
    most = bits > most ? bits : most;
  } while (next(rows->dims, at));
  return most;
}

/* A piece is some µs of work: below two of them threads are not worth their start. */
enum { PIECE = 16384 };

bool qb__rows_exceed(const qb__rows *rows, int32_t limit)
{
  int32_t most = 0;
  const int64_t batch = rows->dims->at[0];
  if (!rows->whole) {
    for (uint32_t row = 0; row < batch; row++) {
      const int32_t bits = qb__rows_largest_bits(rows, row);
      most = bits > most ? bits : most;
    }
    return most > limit;
  }
  const size_t count = (size_t)batch * rows->row_elements, pieces = (count + PIECE - 1) / PIECE;
#ifdef _OPENMP
#pragma omp parallel for reduction(max : most) if (pieces > 2)
#endif
  for (size_t i = 0; i < pieces; i++) {
    const size_t left = count - i * PIECE;
    const int32_t bits = largest_of(rows, i * PIECE, left < PIECE ? left : PIECE);
    most = bits > most ? bits : most;
  }
  return most > limit;
}

void qb__rows_get(const qb__rows *rows, uint32_t row, float *values)
{
  int64_t at[QB__ONEDNN_DIMS] = {row};
  do
    *values++ = value_at(rows, qb__blocked_offset(&rows->blocking, at));
  while (next(rows->dims, at));
}

void qb__rows_set(const qb__rows *rows, uint32_t row, const float *values)
{
  int64_t at[QB__ONEDNN_DIMS] = {row};
  do
    set_at(rows, qb__blocked_offset(&rows->blocking, at), *values++);
  while (next(rows->dims, at));
}
