/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX files as graphs. */
#ifndef QB_MODEL_ONNX_H
#define QB_MODEL_ONNX_H

#include "model/graph.h"

/* Where a model comes from. */
typedef struct qb__onnx_source {
  /* Gives the file's bytes, allocated with `context`; called again when it has to be read twice. */
  qb_status (*open)(void *user, const qb_context *context, const uint8_t **data, size_t *bytes);
  void (*close)(void *user, const qb_context *context, const uint8_t *data);
  void *user;
  const char *folder; /* external data lies here; NULL forbids it */
  const char
      *real_folder; /* or here, beside the file that a link to the model leads to; may be NULL */
} qb__onnx_source;

/* Reads a model. `graph` is initialised; on failure it may be partly built. */
qb_status qb__onnx_import(const qb__onnx_source *source, qb__graph *graph);

#endif
