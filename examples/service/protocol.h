/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Open Inference Protocol, version 2, for a model with one input and one output of 32-bit
 * floats, with its binary tensor extension: a JSON header of "Inference-Header-Content-Length"
 * bytes, then the input's elements as they are in memory.
 */
#ifndef SERVICE_PROTOCOL_H
#define SERVICE_PROTOCOL_H

#include <qosbatch/qosbatch.h>

typedef struct infer_request {
  uint32_t samples;
  const void *inputs; /* 32-bit floats, at any address: in the body, or `numbers` */
  float *numbers;     /* free() */
  bool binary_output;
  char id[64];
} infer_request;

/*
 * Reads the body of an infer request. `header_bytes`: of the JSON before the binary part, 0: all is
 * JSON. Returns NULL, or what is wrong with it.
 */
const char *protocol_read(const char *body, size_t bytes, size_t header_bytes,
                          const qb_tensor_info *input, uint32_t most_samples,
                          infer_request *result);

/*
 * Writes an infer response; *header_bytes is 0 if it is JSON only. Returns memory to be freed with
 * free(), or NULL.
 */
char *protocol_write(const infer_request *request, const char *model, const qb_tensor_info *output,
                     const float *values, size_t *bytes, size_t *header_bytes);

/* JSON texts; free(). NULL when there is no memory. */
char *protocol_metadata(const char *model, const qb_tensor_info *input,
                        const qb_tensor_info *output);
char *protocol_error(const char *text);

#endif
