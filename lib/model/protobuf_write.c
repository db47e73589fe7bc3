/* SPDX-License-Identifier: Apache-2.0 */
#include "model/protobuf_write.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"

#include <string.h>

/* Wire types (protobuf.dev/programming-guides/encoding). */
enum { VARINT = 0, DELIMITED = 2, FIXED32 = 5 };
/* Parsers of protobuf take messages below 2 GiB. */
static const size_t MOST_BYTES = INT32_MAX;
enum { LONGEST_VARINT = 10 };

/* Room for `bytes` more; false after a failure. */
static bool reserve(qb__protobuf *to, size_t bytes)
{
  size_t needed;
  if (to->status)
    return false;
  if (!qb__add_size(to->bytes, bytes, &needed) || needed > MOST_BYTES) {
    to->status = qb__fail(QB_ERROR_OVERFLOW,
                          "the file would have more than the %zu bytes that readers of ONNX take",
                          MOST_BYTES);
    return false;
  }
  if (needed <= to->capacity)
    return true;
  const size_t larger = needed < 4096 ? 4096 : needed < MOST_BYTES / 2 ? needed * 2 : MOST_BYTES;
  uint8_t *data = qb__alloc_aligned(to->context, larger, 64);
  if (!data) {
    to->status = QB_ERROR_NO_MEMORY;
    return false;
  }
  if (to->bytes)
    memcpy(data, to->data, to->bytes);
  qb__free(to->context, to->data);
  to->data = data;
  to->capacity = larger;
  return true;
}

static size_t encode(uint64_t value, uint8_t bytes[LONGEST_VARINT])
{
  size_t count = 0;
  for (; value > 0x7f; value >>= 7)
    bytes[count++] = (uint8_t)(value | 0x80);
  bytes[count++] = (uint8_t)value;
  return count;
}

static void put(qb__protobuf *to, const void *data, size_t bytes)
{
  if (bytes && reserve(to, bytes)) {
    memcpy(to->data + to->bytes, data, bytes);
    to->bytes += bytes;
  }
}

static void put_varint(qb__protobuf *to, uint64_t value)
{
  uint8_t bytes[LONGEST_VARINT];
  put(to, bytes, encode(value, bytes));
}

static void put_key(qb__protobuf *to, uint32_t field, uint32_t type)
{
  put_varint(to, (uint64_t)field << 3 | type);
}

void qb__protobuf_integer(qb__protobuf *to, uint32_t field, int64_t value)
{
  put_key(to, field, VARINT);
  put_varint(to, (uint64_t)value);
}

void qb__protobuf_float(qb__protobuf *to, uint32_t field, float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16),
                            (uint8_t)(bits >> 24)};
  put_key(to, field, FIXED32);
  put(to, bytes, sizeof bytes);
}

uint8_t *qb__protobuf_room(qb__protobuf *to, uint32_t field, size_t bytes)
{
  put_key(to, field, DELIMITED);
  put_varint(to, bytes);
  if (!reserve(to, bytes))
    return NULL;
  to->bytes += bytes;
  return to->data + to->bytes - bytes;
}

void qb__protobuf_bytes(qb__protobuf *to, uint32_t field, const void *data, size_t bytes)
{
  uint8_t *room = qb__protobuf_room(to, field, bytes);
  if (room && bytes)
    memcpy(room, data, bytes);
}

void qb__protobuf_text(qb__protobuf *to, uint32_t field, const char *text)
{
  qb__protobuf_bytes(to, field, text, strlen(text));
}

size_t qb__protobuf_begin(qb__protobuf *to, uint32_t field)
{
  put_key(to, field, DELIMITED);
  return to->bytes;
}

/* The length comes first, so that what was written moves behind it. */
void qb__protobuf_end(qb__protobuf *to, size_t begun)
{
  uint8_t bytes[LONGEST_VARINT];
  const size_t length = to->status ? 0 : to->bytes - begun, count = encode(length, bytes);
  if (!reserve(to, count))
    return;
  memmove(to->data + begun + count, to->data + begun, length);
  memcpy(to->data + begun, bytes, count);
  to->bytes += count;
}
