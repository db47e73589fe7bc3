/* SPDX-License-Identifier: Apache-2.0 */
/* Files of ONNX: reading, parsing, and a second attempt where the batch turns out to be none. */
#include "core/alloc.h"
#include "core/error.h"
#include "core/file.h"
#include "model/model_impl.h"
#include "model/onnx_parsed.h"
#include "model/onnx_wire.h"

#include <libgen.h>
#include <stdio.h>
#include <string.h>

/* Protocol buffers are at most this large. */
static const size_t MOST_BYTES = ((size_t)1 << 31) - 1;

/* What the parser takes: from the context, and not without end for a file of `bytes`. */
typedef struct budget {
  const qb_context *context;
  size_t left;
  qb_status status; /* of the first request that was refused */
} budget;

static void *take(void *user, size_t bytes)
{
  budget *b = user;
  void *memory = NULL;
  if (bytes > b->left)
    b->status = qb__fail(QB_ERROR_FORMAT, "parsing takes more memory than a model of this size");
  else if (!(memory = qb__alloc_aligned(b->context, bytes, 64)))
    b->status = QB_ERROR_NO_MEMORY;
  else
    b->left -= bytes;
  return memory;
}

static void give_back(void *user, void *memory)
{
  qb__free(((budget *)user)->context, memory);
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
  budget *b = allocator->allocator_data;
  const uint8_t *data = NULL;
  size_t bytes = 0;
  qb_status status = source->open(source->user, &data, &bytes);
  if (status)
    return status;
  /* A byte is at most a message of 2 bytes, an integer of 8, or itself. */
  b->left = ((size_t)64 << 20) + 4 * bytes;
  status = qb__wire_check_depth(&onnx__model_proto__descriptor, data, bytes);
  if (!status) {
    *model = onnx__model_proto__unpack(allocator, bytes, data);
    if (b->status)
      status = b->status;
    else if (!*model)
      status = qb__fail(QB_ERROR_FORMAT, "this is not an ONNX model, or not a whole one");
    else if (!(*model)->graph || !is_complete((*model)->graph))
      status = qb__fail(QB_ERROR_FORMAT, "the model has no graph, or a nameless value");
  }
  source->close(source->user, data);
  return status;
}

qb_status qb__onnx_import(const qb__onnx_source *source, qb__graph *graph)
{
  qb_status status = QB_OK;
  bool mixes = true;
  for (int attempt = 0; attempt < 2 && mixes && !status; attempt++) {
    budget b = {graph->context, 0, QB_OK};
    ProtobufCAllocator allocator = {take, give_back, &b};
    Onnx__ModelProto *model = NULL;
    qb__graph_clear(graph);
    status = parse(source, &allocator, &model);
    if (!status)
      status = qb__onnx_import_parsed(model, source->folder, attempt == 0, graph, &mixes);
    if (model)
      onnx__model_proto__free_unpacked(model, &allocator);
  }
  return status;
}

typedef struct file_source {
  const qb_context *context;
  const char *path;
} file_source;

static qb_status open_file(void *user, const uint8_t **data, size_t *bytes)
{
  const file_source *file = user;
  char *text = NULL;
  const qb_status status = qb__file_read(file->context, file->path, MOST_BYTES, &text, bytes);
  *data = (const uint8_t *)text;
  return status;
}

static void close_file(void *user, const uint8_t *data)
{
  qb__free(((file_source *)user)->context, data);
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
  qb_status status = folder && name ? QB_OK : QB_ERROR_NO_MEMORY;
  if (!status) {
    file_source file = {context, path};
    const qb__onnx_source source = {open_file, close_file, &file, dirname(folder)};
    qb__graph graph;
    qb__graph_init(&graph, context);
    status = qb__onnx_import(&source, &graph);
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
