/* SPDX-License-Identifier: Apache-2.0 */
#include "model/onnx_write.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/file.h"
#include "model/model_impl.h"
#include "model/onnx_write_impl.h"

#include <qosbatch/quantize.h>
#include <qosbatch/version.h>

#include <string.h>

/* Fields of the messages (onnx.proto). */
enum {
  MODEL_IR_VERSION = 1,
  MODEL_PRODUCER = 2,
  MODEL_PRODUCER_VERSION = 3,
  MODEL_GRAPH = 7,
  MODEL_OPSET = 8,
  OPSET_DOMAIN = 1,
  OPSET_VERSION = 2,
  GRAPH_NAME = 2,
  GRAPH_INPUT = 11,
  GRAPH_OUTPUT = 12,
  VALUE_NAME = 1,
  VALUE_TYPE = 2,
  TYPE_TENSOR = 1,
  TENSOR_ELEMENT = 1,
  TENSOR_SHAPE = 2,
  SHAPE_DIMENSION = 1,
  DIMENSION_VALUE = 1,
  DIMENSION_NAME = 2
};
enum { IR_VERSION = 8, OPSET = 13 };

static void write_port(qb__onnx_writer *w, uint32_t field, int32_t tensor)
{
  const qb__tensor *t = &w->graph->tensors[tensor];
  const size_t port = qb__protobuf_begin(&w->out, field);
  qb__protobuf_text(&w->out, VALUE_NAME, t->name);
  const size_t type = qb__protobuf_begin(&w->out, VALUE_TYPE);
  const size_t of_tensor = qb__protobuf_begin(&w->out, TYPE_TENSOR);
  qb__protobuf_integer(&w->out, TENSOR_ELEMENT, QB__ONNX_TYPE_FLOAT);
  const size_t shape = qb__protobuf_begin(&w->out, TENSOR_SHAPE);
  for (uint32_t i = 0; i <= t->rank; i++) {
    const size_t dimension = qb__protobuf_begin(&w->out, SHAPE_DIMENSION);
    if (i)
      qb__protobuf_integer(&w->out, DIMENSION_VALUE, t->dims[i - 1]);
    else
      qb__protobuf_text(&w->out, DIMENSION_NAME, "N");
    qb__protobuf_end(&w->out, dimension);
  }
  qb__protobuf_end(&w->out, shape);
  qb__protobuf_end(&w->out, of_tensor);
  qb__protobuf_end(&w->out, type);
  qb__protobuf_end(&w->out, port);
}

static bool is_port(const qb__graph *g, int32_t tensor)
{
  bool found = false;
  for (size_t i = 0; !found && i < g->input_count; i++)
    found = g->inputs[i] == tensor;
  for (size_t i = 0; !found && i < g->output_count; i++)
    found = g->outputs[i] == tensor;
  return found;
}

/* Whether a tensor, which is no port, can be called what it is called in the graph. */
static bool keeps_name(const qb__graph *g, int32_t tensor)
{
  const char *name = g->tensors[tensor].name;
  bool keeps = *name && !strchr(name, '#') && strlen(name) < QB__ONNX_NAME_BYTES;
  for (size_t i = 0; keeps && i < g->tensor_count; i++)
    keeps = (int32_t)i == tensor || strcmp(name, g->tensors[i].name);
  return keeps;
}

static void name_tensors(qb__onnx_writer *w)
{
  const qb__graph *g = w->graph;
  w->names = qb__calloc(g->context, g->tensor_count, sizeof *w->names);
  for (size_t i = 0; w->names && i < g->tensor_count; i++) {
    const int32_t tensor = (int32_t)i;
    const bool keeps = is_port(g, tensor) || keeps_name(g, tensor);
    const qb__onnx_name fresh =
        keeps ? (qb__onnx_name){""} : qb__onnx_write_fresh(w, g->tensors[i].name);
    w->names[i] = qb__strdup(g->context, keeps ? g->tensors[i].name : fresh.text);
    if (!w->names[i])
      w->out.status = QB_ERROR_NO_MEMORY;
  }
  if (!w->names)
    w->out.status = QB_ERROR_NO_MEMORY;
}

static void free_names(qb__onnx_writer *w)
{
  for (size_t i = 0; w->names && i < w->graph->tensor_count; i++)
    qb__free(w->graph->context, w->names[i]);
  qb__free(w->graph->context, w->names);
}

static void write_kind(qb__onnx_writer *w, const qb__operator *op, const char *in, const char *out)
{
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
  case QB__OP_DECONVOLUTION:
  case QB__OP_DENSE:
  case QB__OP_LINEAR:
  case QB__OP_BATCH_NORM: qb__onnx_write_layer(w, op, in, out); break;
  case QB__OP_ACTIVATION: qb__onnx_write_activation(w, op, in, out); break;
  case QB__OP_QUANTIZE:
  case QB__OP_DEQUANTIZE: qb__onnx_write_converter(w, op, in, out); break;
  case QB__OP_MAX_POOL:
  case QB__OP_AVERAGE_POOL:
  case QB__OP_LRN:
  case QB__OP_SOFTMAX:
  case QB__OP_REDUCE:
  case QB__OP_ARG:
  case QB__OP_LAYER_NORM:
  case QB__OP_GROUP_NORM: qb__onnx_write_reduction(w, op, in, out); break;
  case QB__OP_RESIZE:
  case QB__OP_CONCAT:
  case QB__OP_PAD:
  case QB__OP_PICK:
  case QB__OP_TRANSPOSE:
  case QB__OP_FLATTEN: qb__onnx_write_rearrangement(w, op, in, out); break;
  default: qb__onnx_write_elementwise(w, op, in, out);
  }
}

/* What is fused behind an operator, which writes `in` itself. */
static void write_fused(qb__onnx_writer *w, const qb__operator *op, bool adds, bool acts,
                        const char *in)
{
  const char *out = qb__onnx_write_name(w, op->output);
  const qb__onnx_name sum = adds && acts ? qb__onnx_write_fresh(w, op->name) : (qb__onnx_name){""};
  if (adds) {
    qb__onnx_write_node(w, op, "Add", acts ? sum.text : out, in, qb__onnx_write_name(w, op->addend),
                        NULL);
    qb__onnx_write_end(w);
  }
  if (acts)
    qb__onnx_write_activation(w, op, adds ? sum.text : in, out);
}

static void write_operator(qb__onnx_writer *w, const qb__operator *op)
{
  const bool adds = op->addend != QB__NONE && !qb__is_binary(op->kind) && op->kind != QB__OP_MATMUL;
  const bool acts = op->activation && op->kind != QB__OP_ACTIVATION;
  const char *in = qb__onnx_write_name(w, op->input);
  if (op->integer_limit != 0) {
    w->out.status = qb__fail(QB_ERROR_UNSUPPORTED,
                             "operator '%s' adds integers, in a form that this version does not "
                             "write; use the network of floats that it was made from",
                             op->name);
    return;
  }
  if (adds || acts) {
    const qb__onnx_name before = qb__onnx_write_fresh(w, op->name);
    write_kind(w, op, in, before.text);
    write_fused(w, op, adds, acts, before.text);
  } else {
    write_kind(w, op, in, qb__onnx_write_name(w, op->output));
  }
}

/* Constants that operators read as they are; the others are written with what reads them. */
static bool is_plain_constant(const qb__graph *g, int32_t tensor)
{
  bool plain = false;
  for (size_t i = 0; g->tensors[tensor].constant && !plain && i < g->operator_count; i++) {
    const qb__operator *op = &g->operators[i];
    int32_t input = QB__NONE;
    for (size_t j = 0; !plain && (input = qb__operator_input(op, j)) != QB__NONE; j++)
      plain = input == tensor;
  }
  return plain;
}

static void write_constants(qb__onnx_writer *w)
{
  const qb__graph *g = w->graph;
  for (size_t i = 0; i < g->tensor_count; i++) {
    const qb__tensor *t = &g->tensors[i];
    void *room = is_plain_constant(g, (int32_t)i)
                     ? qb__onnx_write_constant(w, w->names[i], QB__ONNX_TYPE_FLOAT, t->rank,
                                               t->dims, sizeof(float))
                     : NULL;
    if (room)
      memcpy(room, t->constant, t->elements * sizeof(float));
  }
}

static void write_graph(qb__onnx_writer *w, const char *name)
{
  const qb__graph *g = w->graph;
  qb__protobuf_text(&w->out, GRAPH_NAME, name);
  for (size_t i = 0; i < g->input_count; i++)
    write_port(w, GRAPH_INPUT, g->inputs[i]);
  for (size_t i = 0; i < g->output_count; i++)
    write_port(w, GRAPH_OUTPUT, g->outputs[i]);
  write_constants(w);
  for (size_t i = 0; i < g->operator_count && !w->out.status; i++)
    write_operator(w, &g->operators[i]);
}

qb_status qb__onnx_write(const qb__graph *graph, const char *name, uint8_t **data, size_t *bytes)
{
  qb__onnx_writer w = {.graph = graph, .out = {.context = graph->context}};
  qb__protobuf_integer(&w.out, MODEL_IR_VERSION, IR_VERSION);
  qb__protobuf_text(&w.out, MODEL_PRODUCER, "libqosbatch");
  qb__protobuf_text(&w.out, MODEL_PRODUCER_VERSION, qb_version());
  const size_t opset = qb__protobuf_begin(&w.out, MODEL_OPSET);
  qb__protobuf_text(&w.out, OPSET_DOMAIN, "");
  qb__protobuf_integer(&w.out, OPSET_VERSION, OPSET);
  qb__protobuf_end(&w.out, opset);
  const size_t begun = qb__protobuf_begin(&w.out, MODEL_GRAPH);
  name_tensors(&w);
  if (!w.out.status)
    write_graph(&w, name);
  qb__protobuf_end(&w.out, begun);
  free_names(&w);
  if (w.out.status) {
    qb__free(graph->context, w.out.data);
    return w.out.status;
  }
  *data = w.out.data;
  *bytes = w.out.bytes;
  return QB_OK;
}

qb_status qb_model_save_onnx(const qb_model *model, const char *path)
{
  if (!model || !path)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", model ? "path" : "model");
  model = qb__model_in(model, QB_PRECISION_F32);
  if (model->is_workload)
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "'%s' is a workload, whose operators the library does not know",
                    model->info.name);
  uint8_t *data = NULL;
  size_t bytes = 0;
  qb_status status = qb__onnx_write(&model->graph, model->info.name, &data, &bytes);
  if (!status)
    status = qb__file_write(model->context, path, data, bytes);
  qb__free(model->context, data);
  return status;
}
