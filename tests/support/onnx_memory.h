/* SPDX-License-Identifier: Apache-2.0 */
/* Models in memory as the importer's source. */
#ifndef QB_SUPPORT_ONNX_MEMORY_H
#define QB_SUPPORT_ONNX_MEMORY_H

#include "model/model_impl.h"
#include "model/onnx.h"
#include "support/onnx_model.h"

#include <stdlib.h>

typedef struct onnx_memory {
  const uint8_t *data;
  size_t bytes;
} onnx_memory;

static inline qb_status onnx_memory_open(void *user, const qb_context *context,
                                         const uint8_t **data, size_t *bytes)
{
  (void)context;
  const onnx_memory *memory = user;
  *data = memory->data;
  *bytes = memory->bytes;
  return QB_OK;
}

static inline void onnx_memory_close(void *user, const qb_context *context, const uint8_t *data)
{
  (void)user, (void)context, (void)data;
}

/* `folder` may be NULL. */
static inline qb_status onnx_memory_load(qb_context *context, const uint8_t *data, size_t bytes,
                                         const char *folder, qb_model **model)
{
  onnx_memory memory = {data, bytes};
  const qb__onnx_source source = {onnx_memory_open, onnx_memory_close, &memory, folder};
  qb__graph graph;
  qb__graph_init(&graph, context);
  const qb_status status = qb__onnx_import(&source, &graph);
  if (!status)
    return qb__model_from_graph(&graph, "memory.onnx", model);
  qb__graph_clear(&graph);
  return status;
}

/* Frees the model that was written down. */
static inline qb_status onnx_memory_import(qb_context *context, Onnx__ModelProto *proto,
                                           qb_model **model)
{
  size_t bytes;
  uint8_t *data = onnx_model_pack(proto, &bytes);
  const qb_status status = onnx_memory_load(context, data, bytes, NULL, model);
  free(data);
  return status;
}

#endif
