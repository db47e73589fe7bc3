/* SPDX-License-Identifier: Apache-2.0 */
#include "model/onnx_wire.h"

#include "core/error.h"

#include <stdbool.h>

/* Networks have their graph in a model, branches in nodes, types in tensors: a dozen levels. */
enum { MOST_DEPTH = 64 };

typedef struct cursor {
  const uint8_t *at, *end;
} cursor;

static bool read_varint(cursor *c, uint64_t *value)
{
  *value = 0;
  for (unsigned shift = 0; shift < 64 && c->at < c->end; shift += 7) {
    const uint8_t byte = *c->at++;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80))
      return true;
  }
  return false;
}

static bool skip(cursor *c, uint64_t bytes)
{
  if (bytes > (uint64_t)(c->end - c->at))
    return false;
  c->at += bytes;
  return true;
}

static const ProtobufCMessageDescriptor *nested_type(const ProtobufCMessageDescriptor *type,
                                                     uint64_t tag)
{
  const ProtobufCFieldDescriptor *field =
      tag <= UINT32_MAX ? protobuf_c_message_descriptor_get_field(type, (unsigned)tag) : NULL;
  return field && field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
}

qb_status qb__wire_check_depth(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                               size_t bytes)
{
  struct {
    const ProtobufCMessageDescriptor *type;
    const uint8_t *end;
  } stack[MOST_DEPTH];
  int depth = 0;
  cursor c = {data, data + bytes};
  stack[0].type = type;
  stack[0].end = c.end;
  for (;;) {
    while (c.at == stack[depth].end) {
      if (depth == 0)
        return QB_OK;
      depth--;
    }
    c.end = stack[depth].end;
    uint64_t key, value = 0;
    bool good = read_varint(&c, &key);
    switch (key & 7) {
    case 0: good = good && read_varint(&c, &value); break;
    case 1: good = good && skip(&c, 8); break;
    case 2: {
      good = good && read_varint(&c, &value) && value <= (uint64_t)(c.end - c.at);
      const ProtobufCMessageDescriptor *nested =
          good ? nested_type(stack[depth].type, key >> 3) : NULL;
      if (nested && depth + 1 == MOST_DEPTH)
        return qb__fail(QB_ERROR_FORMAT, "byte %zu: messages are nested more than %d deep",
                        (size_t)(c.at - data), MOST_DEPTH);
      if (nested) {
        stack[++depth].type = nested;
        stack[depth].end = c.at + value;
      } else {
        good = good && skip(&c, value);
      }
      break;
    }
    case 5: good = good && skip(&c, 4); break;
    default: good = false;
    }
    if (!good)
      return qb__fail(QB_ERROR_FORMAT, "byte %zu: this is not an ONNX model",
                      (size_t)(c.at - data));
  }
}
