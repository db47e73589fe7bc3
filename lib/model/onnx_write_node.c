/* SPDX-License-Identifier: Apache-2.0 */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "model/onnx_write_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Fields of the messages (onnx.proto). */
enum {
  GRAPH_NODE = 1,
  GRAPH_INITIALIZER = 5,
  NODE_INPUT = 1,
  NODE_OUTPUT = 2,
  NODE_NAME = 3,
  NODE_KIND = 4,
  NODE_ATTRIBUTE = 5,
  ATTRIBUTE_NAME = 1,
  ATTRIBUTE_FLOAT = 2,
  ATTRIBUTE_INT = 3,
  ATTRIBUTE_TEXT = 4,
  ATTRIBUTE_INTS = 8,
  ATTRIBUTE_TYPE = 20,
  TENSOR_DIM = 1,
  TENSOR_TYPE = 2,
  TENSOR_NAME = 8,
  TENSOR_RAW = 9
};
enum { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_TEXT = 3, TYPE_INTS = 7 };

const char *qb__onnx_write_name(const qb__onnx_writer *w, int32_t tensor)
{
  return w->names[tensor];
}

static bool is_port(const qb__onnx_writer *w, const char *name)
{
  const qb__graph *g = w->graph;
  bool found = false;
  for (size_t i = 0; !found && i < g->input_count; i++)
    found = !strcmp(g->tensors[g->inputs[i]].name, name);
  for (size_t i = 0; !found && i < g->output_count; i++)
    found = !strcmp(g->tensors[g->outputs[i]].name, name);
  return found;
}

/* Other tensors keep a name only if it has no '#'. */
qb__onnx_name qb__onnx_write_fresh(qb__onnx_writer *w, const char *base)
{
  qb__onnx_name name;
  do
    snprintf(name.text, sizeof name.text, "%.200s#%u", base, w->made++);
  while (is_port(w, name.text));
  return name;
}

void qb__onnx_write_node(qb__onnx_writer *w, const qb__operator *op, const char *kind,
                         const char *output, ...)
{
  w->node = qb__protobuf_begin(&w->out, GRAPH_NODE);
  va_list inputs;
  va_start(inputs, output);
  for (const char *input; (input = va_arg(inputs, const char *));)
    qb__protobuf_text(&w->out, NODE_INPUT, input);
  va_end(inputs);
  qb__protobuf_text(&w->out, NODE_OUTPUT, output);
  /* An operator is written as several nodes, and may share its name with another one. */
  qb__protobuf_text(&w->out, NODE_NAME, qb__onnx_write_fresh(w, op->name).text);
  qb__protobuf_text(&w->out, NODE_KIND, kind);
}

void qb__onnx_write_more(qb__onnx_writer *w, const char *input)
{
  qb__protobuf_text(&w->out, NODE_INPUT, input);
}

void qb__onnx_write_end(qb__onnx_writer *w)
{
  qb__protobuf_end(&w->out, w->node);
}

static size_t begin_attribute(qb__onnx_writer *w, const char *name, int64_t type)
{
  const size_t begun = qb__protobuf_begin(&w->out, NODE_ATTRIBUTE);
  qb__protobuf_text(&w->out, ATTRIBUTE_NAME, name);
  qb__protobuf_integer(&w->out, ATTRIBUTE_TYPE, type);
  return begun;
}

void qb__onnx_write_int(qb__onnx_writer *w, const char *name, int64_t value)
{
  const size_t begun = begin_attribute(w, name, TYPE_INT);
  qb__protobuf_integer(&w->out, ATTRIBUTE_INT, value);
  qb__protobuf_end(&w->out, begun);
}

void qb__onnx_write_float(qb__onnx_writer *w, const char *name, float value)
{
  const size_t begun = begin_attribute(w, name, TYPE_FLOAT);
  qb__protobuf_float(&w->out, ATTRIBUTE_FLOAT, value);
  qb__protobuf_end(&w->out, begun);
}

void qb__onnx_write_text(qb__onnx_writer *w, const char *name, const char *value)
{
  const size_t begun = begin_attribute(w, name, TYPE_TEXT);
  qb__protobuf_text(&w->out, ATTRIBUTE_TEXT, value);
  qb__protobuf_end(&w->out, begun);
}

void qb__onnx_write_ints(qb__onnx_writer *w, const char *name, size_t count, const int64_t *a,
                         const int64_t *b)
{
  const size_t begun = begin_attribute(w, name, TYPE_INTS);
  for (size_t i = 0; i < count; i++)
    qb__protobuf_integer(&w->out, ATTRIBUTE_INTS, a[i]);
  for (size_t i = 0; b && i < count; i++)
    qb__protobuf_integer(&w->out, ATTRIBUTE_INTS, b[i]);
  qb__protobuf_end(&w->out, begun);
}

qb__onnx_name qb__onnx_write_step(qb__onnx_writer *w, const qb__operator *op, const char *kind,
                                  const char *a, const char *b)
{
  const qb__onnx_name output = qb__onnx_write_fresh(w, op->name);
  qb__onnx_write_node(w, op, kind, output.text, a, b, NULL);
  qb__onnx_write_end(w);
  return output;
}

/* Values are little-endian there, and here (lib/model/onnx_tensor.c). */
void *qb__onnx_write_constant(qb__onnx_writer *w, const char *name, int32_t type, uint32_t rank,
                              const int64_t *dims, size_t element_bytes)
{
  const size_t begun = qb__protobuf_begin(&w->out, GRAPH_INITIALIZER);
  size_t bytes = element_bytes;
  bool fits = true;
  for (uint32_t i = 0; i < rank; i++) {
    qb__protobuf_integer(&w->out, TENSOR_DIM, dims[i]);
    fits = fits && qb__mul_size(bytes, (size_t)dims[i], &bytes);
  }
  qb__protobuf_integer(&w->out, TENSOR_TYPE, type);
  qb__protobuf_text(&w->out, TENSOR_NAME, name);
  const bool room = qb__protobuf_room(&w->out, TENSOR_RAW, fits ? bytes : SIZE_MAX) != NULL;
  qb__protobuf_end(&w->out, begun);
  return room && !w->out.status ? w->out.data + w->out.bytes - bytes : NULL;
}

qb__onnx_name qb__onnx_write_floats(qb__onnx_writer *w, const qb__operator *op, uint32_t rank,
                                    const int64_t *dims, const float *values)
{
  const qb__onnx_name name = qb__onnx_write_fresh(w, op->name);
  size_t elements = 1;
  for (uint32_t i = 0; i < rank; i++)
    elements *= (size_t)dims[i];
  void *room =
      qb__onnx_write_constant(w, name.text, QB__ONNX_TYPE_FLOAT, rank, dims, sizeof *values);
  if (room)
    memcpy(room, values, elements * sizeof *values);
  return name;
}

qb__onnx_name qb__onnx_write_number(qb__onnx_writer *w, const qb__operator *op, float value)
{
  return qb__onnx_write_floats(w, op, 0, NULL, &value);
}

qb__onnx_name qb__onnx_write_row(qb__onnx_writer *w, const qb__operator *op, size_t count,
                                 const int64_t *values)
{
  const qb__onnx_name name = qb__onnx_write_fresh(w, op->name);
  const int64_t dims = (int64_t)count;
  void *room = qb__onnx_write_constant(w, name.text, QB__ONNX_TYPE_INT64, 1, &dims, sizeof *values);
  if (room)
    memcpy(room, values, count * sizeof *values);
  return name;
}

void qb__onnx_write_reshape(qb__onnx_writer *w, const qb__operator *op, uint32_t rank,
                            const int64_t *dims, const char *input, const char *output)
{
  int64_t shape[QB_MAX_DIMS + 1] = {0}; /* 0: as it is */
  memcpy(shape + 1, dims, rank * sizeof *dims);
  const qb__onnx_name row = qb__onnx_write_row(w, op, (size_t)rank + 1, shape);
  qb__onnx_write_node(w, op, "Reshape", output, input, row.text, NULL);
  qb__onnx_write_end(w);
}
