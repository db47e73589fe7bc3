/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX files as graphs. */
#ifndef QB_MODEL_ONNX_H
#define QB_MODEL_ONNX_H

#include "model/graph.h"

/*
 * Reads a model out of memory, which `release` gives back as soon as it is parsed. External data
 * lies in `folder`; NULL forbids it. `graph` is initialised; on failure it may be partly built.
 */
typedef struct qb__onnx_source {
  /* Gives the file's bytes, allocated with `context`; called again when it has to be read twice. */
  qb_status (*open)(void *user, const qb_context *context, const uint8_t **data, size_t *bytes);
  void (*close)(void *user, const qb_context *context, const uint8_t *data);
  void *user;
  const char *folder;
} qb__onnx_source;

qb_status qb__onnx_import(const qb__onnx_source *source, qb__graph *graph);

#endif
