/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in protobuf's wire format, field after field, into memory that grows. */
#ifndef QB_MODEL_PROTOBUF_WRITE_H
#define QB_MODEL_PROTOBUF_WRITE_H

#include <qosbatch/context.h>

/* After a failure, which `status` keeps, all calls do nothing. */
typedef struct qb__protobuf {
  const qb_context *context;
  qb_status status;
  uint8_t *data; /* to be released with qb__free() */
  size_t bytes, capacity;
} qb__protobuf;

void qb__protobuf_integer(qb__protobuf *to, uint32_t field, int64_t value);
void qb__protobuf_float(qb__protobuf *to, uint32_t field, float value);
void qb__protobuf_bytes(qb__protobuf *to, uint32_t field, const void *data, size_t bytes);
void qb__protobuf_text(qb__protobuf *to, uint32_t field, const char *text);

/*
 * A message within: what is written between the two calls. qb__protobuf_begin() returns what
 * qb__protobuf_end() takes.
 */
size_t qb__protobuf_begin(qb__protobuf *to, uint32_t field);
void qb__protobuf_end(qb__protobuf *to, size_t begun);

/* A field of `bytes` bytes for the caller to fill in at once; NULL after a failure. */
uint8_t *qb__protobuf_room(qb__protobuf *to, uint32_t field, size_t bytes);

#endif
