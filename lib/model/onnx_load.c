/* SPDX-License-Identifier: Apache-2.0 */
/* Files of ONNX: reading, parsing, and a second attempt where the batch turns out to be none. */
#include "core/alloc.h"
#include "core/error.h"
#include "core/file.h"
#include "core/memory_limit.h"
#include "model/model_impl.h"
#include "model/onnx_impl.h"
#include "model/onnx_wire.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Protocol buffers are at most this large. */
static const size_t MOST_BYTES = ((size_t)1 << 31) - 1;

/* What the parser allocates with; it does not say why it fails. */
typedef struct parser_memory {
  const qb_context *context;
  bool refused;
} parser_memory;

static void *take(void *user, size_t bytes)
{
  parser_memory *m = user;
  void *memory = qb__alloc_aligned(m->context, bytes, 64);
  m->refused = m->refused || !memory;
  return memory;
}

static void give_back(void *user, void *memory)
{
  qb__free(((parser_memory *)user)->context, memory);
}

/* Names are C strings that others point to: every one of them has to be there. */
static bool is_complete(const Onnx__GraphProto *graph)
{
  for (size_t i = 0; i < graph->n_initializer; i++)
    if (!graph->initializer[i]->name)
      return false;
  for (size_t i = 0; i < graph->n_input; i++)
    if (!graph->input[i]->name)
      return false;
  for (size_t i = 0; i < graph->n_output; i++)
    if (!graph->output[i]->name)
      return false;
  return true;
}

static qb_status parse(const qb__onnx_source *source, ProtobufCAllocator *allocator,
                       Onnx__ModelProto **model)
{
  const parser_memory *memory = allocator->allocator_data;
  const uint8_t *data = NULL;
  size_t bytes = 0;
  qb_status status = source->open(source->user, memory->context, &data, &bytes);
  if (status)
    return status;
  status = qb__wire_check_depth(&onnx__model_proto__descriptor, data, bytes);
  if (!status) {
    *model = onnx__model_proto__unpack(allocator, bytes, data);
    if (memory->refused)
      status = QB_ERROR_NO_MEMORY;
    else if (!*model)
      status = qb__fail(QB_ERROR_FORMAT, "this is not an ONNX model, or it is truncated");
    else if (!(*model)->graph || !is_complete((*model)->graph))
      status = qb__fail(QB_ERROR_FORMAT, "the model has no graph, or a nameless value");
  }
  source->close(source->user, memory->context, data);
  return status;
}

static qb_status import(const qb__onnx_source *source, qb__graph *graph)
{
  qb_status status = QB_OK;
  bool mixes = true;
  for (int attempt = 0; attempt < 2 && mixes && !status; attempt++) {
    parser_memory memory = {graph->context, false};
    ProtobufCAllocator allocator = {take, give_back, &memory};
    Onnx__ModelProto *model = NULL;
    qb__graph_clear(graph);
    status = parse(source, &allocator, &model);
    if (!status)
      status = qb__onnx_import_parsed(model, source, attempt == 0, graph, &mixes);
    if (model)
      onnx__model_proto__free_unpacked(model, &allocator);
  }
  return status;
}

qb_status qb__onnx_import(const qb__onnx_source *source, qb__graph *graph)
{
  qb_context *host = graph->context;
  qb__memory_limit limit;
  qb__memory_limit_begin(&limit, host, "loading this model");
  graph->context = &limit.context;
  const qb_status status = import(source, graph);
  graph->context = host;
  qb__memory_limit_end(&limit);
  return status;
}

/* A model that is not a regular file may be read once only, or never end. */
static qb_status open_file(void *user, const qb_context *context, const uint8_t **data,
                           size_t *bytes)
{
  char *text = NULL;
  struct stat info;
  if (!stat(user, &info) && !S_ISREG(info.st_mode))
    return qb__fail(QB_ERROR_IO, "cannot read '%s': it is %s, not a regular file",
                    (const char *)user, S_ISDIR(info.st_mode) ? "a folder" : "a pipe or a device");
  const qb_status status = qb__file_read(context, user, MOST_BYTES, &text, bytes);
  *data = (const uint8_t *)text;
  return status;
}

static void close_file(void *user, const qb_context *context, const uint8_t *data)
{
  (void)user;
  qb__free(context, data);
}

/* "resnet.onnx" in "/models/resnet.onnx"; the path is changed. */
static char *base_name(char *path)
{
  return basename(path);
}

qb_status qb_model_load_onnx(qb_context *context, const char *path, qb_model **model)
{
  if (!context || !path || !model)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !context ? "context"
                    : !path  ? "path"
                             : "model");
  char *folder = qb__strdup(context, path), *name = qb__strdup(context, path);
  char real[PATH_MAX];
  qb_status status = folder && name ? QB_OK : QB_ERROR_NO_MEMORY;
  if (!status) {
    const qb__onnx_source source = {open_file, close_file, (void *)(uintptr_t)path, dirname(folder),
                                    realpath(path, real) ? dirname(real) : NULL};
    qb__graph graph;
    qb__graph_init(&graph, context);
    status = qb__onnx_import(&source, &graph);
    qb__graph_note_file(&graph, path);
    if (!status)
      status = qb__model_from_graph(&graph, base_name(name), model);
    else
      qb__graph_clear(&graph);
    if (status && status != QB_ERROR_IO)
      (void)qb__fail_within(status, "'%.256s'", path);
  }
  qb__free(context, folder);
  qb__free(context, name);
  return status;
}
