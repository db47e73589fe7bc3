/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Open Inference Protocol, version 2, for a model with one input and one output of 32-bit
 * floats, with its binary tensor extension: a JSON header of "Inference-Header-Content-Length"
 * bytes, then the input's elements as they are in memory.
 */
#ifndef SERVE_PROTOCOL_H
#define SERVE_PROTOCOL_H

#include "json_reader.h"

#include <qosbatch/qosbatch.h>

/* A model has one version, which paths may name. */
#define PROTOCOL_VERSION_OF_MODEL "1"

enum { PROTOCOL_ID_MOST = 1024, PROTOCOL_BYTES_PER_NUMBER = 24, PROTOCOL_BYTES_BESIDE = 16384 };

typedef struct protocol_model {
  const char *name;
  qb_tensor_info input, output; /* with names */
} protocol_model;

typedef struct infer_request {
  uint32_t samples;
  const void *binary; /* 32-bit floats, at any address: in the body; NULL: they are in `data` */
  json_reader data;   /* before the numbers */
  bool binary_output;
  bool has_id;
  size_t id_bytes;
  char id[PROTOCOL_ID_MOST + 1];
} infer_request;

/* Why a request is refused. */
typedef struct problem {
  unsigned status; /* of HTTP */
  char text[320];
} problem;

/* Returns false. */
__attribute__((format(printf, 3, 4))) bool refuse(problem *p, unsigned status, const char *format,
                                                  ...);

/*
 * Reads all of the body of an infer request but its numbers. `header_bytes`: of the JSON before the
 * binary part, 0: all is JSON. The request points into the body.
 */
bool protocol_read(const protocol_model *model, const char *body, size_t bytes, size_t header_bytes,
                   infer_request *r, problem *p);

/* Reads the numbers of a request without a binary part: samples times elements. */
bool protocol_read_numbers(const protocol_model *model, const infer_request *r, float *to,
                           problem *p);

/*
 * Writes an infer response; *header_bytes is 0 if it is JSON only. Returns memory to be freed with
 * free(), or NULL.
 */
char *protocol_write(const protocol_model *model, const infer_request *r, const float *values,
                     size_t *bytes, size_t *header_bytes, problem *p);

/* JSON texts; free(). NULL when there is no memory. */
char *protocol_metadata(const protocol_model *model);
char *protocol_error(const char *text);

#endif
