/* SPDX-License-Identifier: Apache-2.0 */
#include "support/onnx_write.h"

#include "onnx.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct writer {
  const qb__graph *graph;
  Onnx__GraphProto *out;
  unsigned made; /* values between operators of what was fused */
} writer;

/* Out of memory ends the program: this is for tests and benchmarks. */
static void *need(void *memory)
{
  if (!memory)
    abort();
  return memory;
}

static void *zeroed(size_t count, size_t bytes)
{
  return need(calloc(count ? count : 1, bytes));
}

static char *text(const char *value)
{
  return need(strdup(value));
}

#define NEW(variable, Type, init)                                                                  \
  Type *variable = zeroed(1, sizeof *variable);                                                    \
  init(variable)

#define APPEND(array, count, value)                                                                \
  do {                                                                                             \
    (array) = need(realloc(array, ((count) + 1) * sizeof *(array)));                               \
    (array)[(count)++] = value;                                                                    \
  } while (0)

/* Inputs and outputs keep their names; others may share one and get a number. */
static char *value_name(const writer *w, int32_t tensor)
{
  const qb__graph *g = w->graph;
  char name[256];
  if (tensor == g->input || tensor == g->output)
    return text(g->tensors[tensor].name);
  snprintf(name, sizeof name, "%.200s#%d", g->tensors[tensor].name, tensor);
  return text(name);
}

static Onnx__NodeProto *node(writer *w, const char *kind, const qb__operator *op, char *input,
                             char *output)
{
  NEW(made, Onnx__NodeProto, onnx__node_proto__init);
  made->op_type = text(kind);
  char name[256]; /* unique: an operator is written as several nodes, and may share its name */
  snprintf(name, sizeof name, "%.200s#%zu", op->name, w->out->n_node);
  made->name = text(name);
  APPEND(made->input, made->n_input, input);
  APPEND(made->output, made->n_output, output);
  APPEND(w->out->node, w->out->n_node, made);
  return made;
}

static void add_input(const writer *w, Onnx__NodeProto *to, int32_t tensor)
{
  if (tensor != QB__NONE)
    APPEND(to->input, to->n_input, value_name(w, tensor));
}

static Onnx__AttributeProto *attribute(Onnx__NodeProto *of, const char *name,
                                       Onnx__AttributeProto__AttributeType type)
{
  NEW(made, Onnx__AttributeProto, onnx__attribute_proto__init);
  made->name = text(name);
  made->has_type = 1;
  made->type = type;
  APPEND(of->attribute, of->n_attribute, made);
  return made;
}

static void set_int(Onnx__NodeProto *of, const char *name, int64_t value)
{
  Onnx__AttributeProto *made = attribute(of, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
  made->has_i = 1;
  made->i = value;
}

static void set_float(Onnx__NodeProto *of, const char *name, float value)
{
  Onnx__AttributeProto *made = attribute(of, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
  made->has_f = 1;
  made->f = value;
}

/* `count` values of `a`, then of `b` if that is not NULL. */
static void set_ints(Onnx__NodeProto *of, const char *name, size_t count, const int64_t *a,
                     const int64_t *b)
{
  Onnx__AttributeProto *made = attribute(of, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
  for (size_t i = 0; i < count; i++)
    APPEND(made->ints, made->n_ints, a[i]);
  for (size_t i = 0; b && i < count; i++)
    APPEND(made->ints, made->n_ints, b[i]);
}

static void set_window(Onnx__NodeProto *of, const qb__window *window, bool dilated)
{
  set_ints(of, "kernel_shape", 2, window->kernel, NULL);
  set_ints(of, "strides", 2, window->strides, NULL);
  set_ints(of, "pads", 2, window->pad_before, window->pad_after);
  if (dilated)
    set_ints(of, "dilations", 2, window->dilations, NULL);
}

/* A name for a value that the graph has no tensor for. */
static char *between(writer *w, const qb__operator *op)
{
  char name[256];
  snprintf(name, sizeof name, "%.200s#between%u", op->name, w->made++);
  return text(name);
}

/* Weights are O, I; the input is taken as rows. */
static Onnx__NodeProto *write_dense(writer *w, const qb__operator *op, char *output)
{
  char *rows = value_name(w, op->input);
  if (w->graph->tensors[op->input].rank > 1) {
    char *flat = between(w, op);
    set_int(node(w, "Flatten", op, rows, flat), "axis", 1);
    rows = text(flat);
  }
  Onnx__NodeProto *made = node(w, "Gemm", op, rows, output);
  set_int(made, "transB", 1);
  add_input(w, made, op->weights);
  add_input(w, made, op->bias);
  return made;
}

static void write_kind(writer *w, const qb__operator *op, char *output)
{
  char *input = op->kind == QB__OP_DENSE ? NULL : value_name(w, op->input);
  Onnx__NodeProto *made;
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
    made = node(w, "Conv", op, input, output);
    add_input(w, made, op->weights);
    add_input(w, made, op->bias);
    set_window(made, &op->window, true);
    set_int(made, "group", op->groups);
    break;
  case QB__OP_DENSE: write_dense(w, op, output); break;
  case QB__OP_BATCH_NORM:
    made = node(w, "BatchNormalization", op, input, output);
    add_input(w, made, op->weights);
    add_input(w, made, op->bias);
    add_input(w, made, op->mean);
    add_input(w, made, op->variance);
    set_float(made, "epsilon", op->epsilon);
    break;
  case QB__OP_ACTIVATION: node(w, "Relu", op, input, output); break;
  case QB__OP_ADD:
    made = node(w, "Add", op, input, output);
    add_input(w, made, op->addend);
    break;
  case QB__OP_MAX_POOL: set_window(node(w, "MaxPool", op, input, output), &op->window, true); break;
  case QB__OP_AVERAGE_POOL:
    set_window(node(w, "AveragePool", op, input, output), &op->window, false);
    break;
  case QB__OP_LRN:
    made = node(w, "LRN", op, input, output);
    set_int(made, "size", op->lrn_size);
    set_float(made, "alpha", op->lrn_alpha);
    set_float(made, "beta", op->lrn_beta);
    set_float(made, "bias", op->lrn_k);
    break;
  case QB__OP_SOFTMAX: set_int(node(w, "Softmax", op, input, output), "axis", 1); break;
  case QB__OP_FLATTEN: set_int(node(w, "Flatten", op, input, output), "axis", 1); break;
  }
}

/* An operator, and what is fused behind it as operators of their own. */
static void write_operator(writer *w, const qb__operator *op)
{
  const bool adds = op->addend != QB__NONE && op->kind != QB__OP_ADD;
  const bool acts = op->activation && op->kind != QB__OP_ACTIVATION;
  char *output = adds || acts ? between(w, op) : value_name(w, op->output);
  write_kind(w, op, output);
  if (adds) {
    char *sum = acts ? between(w, op) : value_name(w, op->output);
    add_input(w, node(w, "Add", op, text(output), sum), op->addend);
    output = sum;
  }
  if (acts)
    node(w, "Relu", op, text(output), value_name(w, op->output));
}

static void write_constant(writer *w, int32_t tensor)
{
  const qb__tensor *t = &w->graph->tensors[tensor];
  NEW(made, Onnx__TensorProto, onnx__tensor_proto__init);
  made->name = value_name(w, tensor);
  made->has_data_type = 1;
  made->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
  for (uint32_t i = 0; i < t->rank; i++)
    APPEND(made->dims, made->n_dims, t->dims[i]);
  made->has_raw_data = 1;
  made->raw_data.len = t->elements * sizeof(float);
  made->raw_data.data = (uint8_t *)t->constant; /* not copied, taken out again before freeing */
  APPEND(w->out->initializer, w->out->n_initializer, made);
}

static Onnx__TensorShapeProto__Dimension *dimension(int64_t value)
{
  NEW(made, Onnx__TensorShapeProto__Dimension, onnx__tensor_shape_proto__dimension__init);
  if (value > 0) {
    made->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    made->dim_value = value;
  } else {
    made->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    made->dim_param = text("N");
  }
  return made;
}

static Onnx__ValueInfoProto *port(const writer *w, int32_t tensor)
{
  const qb__tensor *t = &w->graph->tensors[tensor];
  NEW(made, Onnx__ValueInfoProto, onnx__value_info_proto__init);
  NEW(type, Onnx__TypeProto, onnx__type_proto__init);
  NEW(inner, Onnx__TypeProto__Tensor, onnx__type_proto__tensor__init);
  NEW(shape, Onnx__TensorShapeProto, onnx__tensor_shape_proto__init);
  APPEND(shape->dim, shape->n_dim, dimension(0));
  for (uint32_t i = 0; i < t->rank; i++)
    APPEND(shape->dim, shape->n_dim, dimension(t->dims[i]));
  inner->has_elem_type = 1;
  inner->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
  inner->shape = shape;
  type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
  type->tensor_type = inner;
  made->name = value_name(w, tensor);
  made->type = type;
  return made;
}

static bool is_constant_in_use(const qb__graph *graph, int32_t tensor)
{
  for (size_t i = 0; i < graph->operator_count; i++) {
    const qb__operator *op = &graph->operators[i];
    if (op->weights == tensor || op->bias == tensor || op->mean == tensor || op->variance == tensor)
      return true;
  }
  return false;
}

static Onnx__ModelProto *write_model(const qb__graph *graph)
{
  NEW(model, Onnx__ModelProto, onnx__model_proto__init);
  NEW(opset, Onnx__OperatorSetIdProto, onnx__operator_set_id_proto__init);
  NEW(out, Onnx__GraphProto, onnx__graph_proto__init);
  writer w = {graph, out, 0};
  opset->domain = text("");
  opset->has_version = 1;
  opset->version = 13;
  model->has_ir_version = 1;
  model->ir_version = 8;
  model->producer_name = text("libqosbatch");
  APPEND(model->opset_import, model->n_opset_import, opset);
  model->graph = out;
  out->name = text("graph");
  for (size_t i = 0; i < graph->tensor_count; i++)
    if (graph->tensors[i].constant && is_constant_in_use(graph, (int32_t)i))
      write_constant(&w, (int32_t)i);
  APPEND(out->input, out->n_input, port(&w, graph->input));
  APPEND(out->output, out->n_output, port(&w, graph->output));
  for (size_t i = 0; i < graph->operator_count; i++)
    write_operator(&w, &graph->operators[i]);
  return model;
}

uint8_t *onnx_write(const qb__graph *graph, size_t *bytes)
{
  Onnx__ModelProto *model = write_model(graph);
  *bytes = onnx__model_proto__get_packed_size(model);
  uint8_t *data = malloc(*bytes);
  if (data)
    onnx__model_proto__pack(model, data);
  for (size_t i = 0; i < model->graph->n_initializer; i++)
    model->graph->initializer[i]->raw_data.data = NULL; /* the graph's */
  onnx__model_proto__free_unpacked(model, NULL);
  return data;
}

bool onnx_write_file(const qb__graph *graph, const char *path)
{
  size_t bytes;
  uint8_t *data = onnx_write(graph, &bytes);
  FILE *file = data ? fopen(path, "wb") : NULL;
  bool written = file && fwrite(data, 1, bytes, file) == bytes;
  if (file && fclose(file))
    written = false;
  free(data);
  return written;
}
