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
  for (size_t i = 0; i < g->input_count; i++)
    if (tensor == g->inputs[i])
      return text(g->tensors[tensor].name);
  for (size_t i = 0; i < g->output_count; i++)
    if (tensor == g->outputs[i])
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

static void set_window(const writer *w, Onnx__NodeProto *of, const qb__operator *op, bool dilated)
{
  const size_t spatial = w->graph->tensors[op->input].rank - 1;
  const qb__window *window = &op->window;
  set_ints(of, "kernel_shape", spatial, window->kernel, NULL);
  set_ints(of, "strides", spatial, window->strides, NULL);
  set_ints(of, "pads", spatial, window->pad_before, window->pad_after);
  if (dilated)
    set_ints(of, "dilations", spatial, window->dilations, NULL);
}

/* A constant of the file that the graph has none for. @return its name */
static char *add_ints(writer *w, const qb__operator *op, size_t count, const int64_t *values)
{
  char name[256];
  snprintf(name, sizeof name, "%.200s#ints%u", op->name, w->made++);
  NEW(made, Onnx__TensorProto, onnx__tensor_proto__init);
  made->name = text(name);
  made->has_data_type = 1;
  made->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
  APPEND(made->dims, made->n_dims, (int64_t)count);
  for (size_t i = 0; i < count; i++)
    APPEND(made->int64_data, made->n_int64_data, values[i]);
  APPEND(w->out->initializer, w->out->n_initializer, made);
  return text(name);
}

static char *add_float(writer *w, const qb__operator *op, float value)
{
  char name[256];
  snprintf(name, sizeof name, "%.200s#float%u", op->name, w->made++);
  NEW(made, Onnx__TensorProto, onnx__tensor_proto__init);
  made->name = text(name);
  made->has_data_type = 1;
  made->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
  APPEND(made->float_data, made->n_float_data, value);
  APPEND(w->out->initializer, w->out->n_initializer, made);
  return text(name);
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

/* Text attributes are bytes. */
static void set_text(Onnx__NodeProto *of, const char *name, const char *value)
{
  Onnx__AttributeProto *made = attribute(of, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
  made->has_s = 1;
  made->s.len = strlen(value);
  made->s.data = (uint8_t *)text(value);
}

static void write_activation(writer *w, const qb__operator *op, char *input, char *output)
{
  static const char *const kinds[QB__ACTIVATION_COUNT] = {
      "Identity", "Relu",  "Clip",  "Sigmoid",  "Tanh", "HardSwish", "Mul", "Div",  "Elu",
      "Gelu",     "Gelu",  "Swish", "Softplus", "Mish", "Exp",       "Log", "Sqrt", "Abs",
      "Erf",      "Floor", "Ceil",  "Round",    "Sign", "Sin",       "Cos"};
  const bool leaky = op->activation == QB__ACTIVATION_RELU && op->alpha != 0;
  const char *kind = leaky ? "LeakyRelu" : kinds[op->activation];
  if (op->activation == QB__ACTIVATION_POWER) { /* only as 1 / x */
    char *one = add_float(w, op, op->alpha);
    Onnx__NodeProto *made = node(w, kind, op, one, output);
    APPEND(made->input, made->n_input, input);
    return;
  }
  if (op->activation == QB__ACTIVATION_LINEAR) {
    char *product = between(w, op);
    Onnx__NodeProto *made = node(w, "Mul", op, input, product);
    APPEND(made->input, made->n_input, add_float(w, op, op->alpha));
    made = node(w, "Add", op, text(product), output);
    APPEND(made->input, made->n_input, add_float(w, op, op->beta));
    return;
  }
  Onnx__NodeProto *made = node(w, kind, op, input, output);
  if (leaky)
    set_float(made, "alpha", op->alpha);
  if (op->activation == QB__ACTIVATION_CLIP) {
    APPEND(made->input, made->n_input, add_float(w, op, op->alpha));
    APPEND(made->input, made->n_input, add_float(w, op, op->beta));
  }
}

/* Weights of a deconvolution are I, O/groups, .. in ONNX; they are written transposed. */
static char *add_transposed(writer *w, const qb__operator *op)
{
  const qb__tensor *t = &w->graph->tensors[op->weights];
  const int64_t outputs = t->dims[0] / op->groups, inputs = t->dims[1];
  const size_t kernel = t->elements / (size_t)(t->dims[0] * inputs);
  char name[256];
  snprintf(name, sizeof name, "%.200s#transposed%u", t->name, w->made++);
  NEW(made, Onnx__TensorProto, onnx__tensor_proto__init);
  made->name = text(name);
  made->has_data_type = 1;
  made->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
  APPEND(made->dims, made->n_dims, inputs * op->groups);
  APPEND(made->dims, made->n_dims, outputs);
  for (uint32_t i = 2; i < t->rank; i++)
    APPEND(made->dims, made->n_dims, t->dims[i]);
  made->float_data = zeroed(t->elements, sizeof(float));
  made->n_float_data = t->elements;
  for (int64_t g = 0; g < op->groups; g++)
    for (int64_t o = 0; o < outputs; o++)
      for (int64_t i = 0; i < inputs; i++)
        memcpy(made->float_data + (size_t)((g * inputs + i) * outputs + o) * kernel,
               t->constant + (size_t)((g * outputs + o) * inputs + i) * kernel,
               kernel * sizeof(float));
  APPEND(w->out->initializer, w->out->n_initializer, made);
  return text(name);
}

/* A deconvolution: pads less than 0 at the end are output padding. */
static void write_deconvolution(writer *w, const qb__operator *op, char *input, char *output)
{
  Onnx__NodeProto *made = node(w, "ConvTranspose", op, input, output);
  qb__operator padded = *op;
  int64_t added[QB__MOST_SPATIAL] = {0};
  const size_t spatial = w->graph->tensors[op->input].rank - 1;
  for (size_t i = 0; i < spatial; i++)
    if (op->window.pad_after[i] < 0) {
      added[i] = -op->window.pad_after[i];
      padded.window.pad_after[i] = 0;
    }
  APPEND(made->input, made->n_input, add_transposed(w, op));
  add_input(w, made, op->bias);
  set_window(w, made, &padded, true);
  set_ints(made, "output_padding", spatial, added, NULL);
  set_int(made, "group", op->groups);
}

/* The dimensions of an operator's output behind the batch, which comes first. */
static size_t output_dims(const writer *w, const qb__operator *op, int64_t batch, int64_t *dims)
{
  const qb__tensor *t = &w->graph->tensors[op->output];
  dims[0] = batch;
  memcpy(dims + 1, t->dims, t->rank * sizeof *dims);
  return t->rank + 1;
}

/* Padding, then what is cut off. */
static void write_pad(writer *w, const qb__operator *op, char *input, char *output)
{
  const qb__tensor *in = &w->graph->tensors[op->input], *out = &w->graph->tensors[op->output];
  int64_t pads[2 * (QB_MAX_DIMS + 1)] = {0};
  const uint32_t rank = in->rank + 1;
  for (uint32_t i = 1; i < rank; i++) {
    pads[i] = op->before[i - 1];
    pads[rank + i] = out->dims[i - 1] - in->dims[i - 1] - op->before[i - 1];
  }
  Onnx__NodeProto *made = node(w, "Pad", op, input, output);
  APPEND(made->input, made->n_input, add_ints(w, op, (size_t)2 * rank, pads));
  APPEND(made->input, made->n_input, add_float(w, op, op->value));
}

static void write_transpose(writer *w, const qb__operator *op, char *input, char *output)
{
  int64_t order[QB_MAX_DIMS + 1] = {0};
  const uint32_t rank = w->graph->tensors[op->input].rank;
  for (uint32_t i = 0; i < rank; i++)
    order[1 + i] = op->order[i] + 1;
  set_ints(node(w, "Transpose", op, input, output), "perm", rank + 1, order, NULL);
}

static void write_mean(writer *w, const qb__operator *op, char *input, char *output)
{
  int64_t axes[QB_MAX_DIMS];
  size_t count = 0;
  for (int64_t i = 0; i < QB_MAX_DIMS; i++)
    if (op->axes >> i & 1)
      axes[count++] = i + 1;
  set_ints(node(w, "ReduceMean", op, input, output), "axes", count, axes, NULL);
}

/* The nearest element as oneDNN rounds: ties away from zero, which positive places have upwards. */
static void write_resize(writer *w, const qb__operator *op, char *input, char *output)
{
  const qb__tensor *in = &w->graph->tensors[op->input], *out = &w->graph->tensors[op->output];
  Onnx__NodeProto *made = node(w, "Resize", op, input, output);
  NEW(scales, Onnx__TensorProto, onnx__tensor_proto__init);
  char name[256];
  snprintf(name, sizeof name, "%.200s#scales%u", op->name, w->made++);
  scales->name = text(name);
  scales->has_data_type = 1;
  scales->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
  APPEND(scales->dims, scales->n_dims, (int64_t)in->rank + 1);
  APPEND(scales->float_data, scales->n_float_data, 1.0f);
  for (uint32_t i = 0; i < in->rank; i++)
    APPEND(scales->float_data, scales->n_float_data, (float)out->dims[i] / (float)in->dims[i]);
  APPEND(w->out->initializer, w->out->n_initializer, scales);
  APPEND(made->input, made->n_input, text(""));
  APPEND(made->input, made->n_input, text(name));
  set_text(made, "mode", op->linear ? "linear" : "nearest");
  set_text(made, "nearest_mode", "round_prefer_ceil");
}

static void write_kind(writer *w, const qb__operator *op, char *output)
{
  char *input = op->kind == QB__OP_DENSE ? NULL : value_name(w, op->input);
  int64_t dims[QB_MAX_DIMS + 1];
  Onnx__NodeProto *made;
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
    made = node(w, "Conv", op, input, output);
    add_input(w, made, op->weights);
    add_input(w, made, op->bias);
    set_window(w, made, op, true);
    set_int(made, "group", op->groups);
    break;
  case QB__OP_DECONVOLUTION: write_deconvolution(w, op, input, output); break;
  case QB__OP_DENSE: write_dense(w, op, output); break;
  case QB__OP_BATCH_NORM:
    made = node(w, "BatchNormalization", op, input, output);
    add_input(w, made, op->weights);
    add_input(w, made, op->bias);
    add_input(w, made, op->mean);
    add_input(w, made, op->variance);
    set_float(made, "epsilon", op->epsilon);
    break;
  case QB__OP_ACTIVATION: write_activation(w, op, input, output); break;
  case QB__OP_ADD: add_input(w, node(w, "Add", op, input, output), op->addend); break;
  case QB__OP_SUBTRACT: add_input(w, node(w, "Sub", op, input, output), op->addend); break;
  case QB__OP_MULTIPLY: add_input(w, node(w, "Mul", op, input, output), op->addend); break;
  case QB__OP_DIVIDE: add_input(w, node(w, "Div", op, input, output), op->addend); break;
  case QB__OP_MATMUL: add_input(w, node(w, "MatMul", op, input, output), op->addend); break;
  case QB__OP_MAX_POOL: set_window(w, node(w, "MaxPool", op, input, output), op, true); break;
  case QB__OP_AVERAGE_POOL:
    made = node(w, "AveragePool", op, input, output);
    set_window(w, made, op, false);
    set_int(made, "count_include_pad", op->include_padding);
    break;
  case QB__OP_LRN:
    made = node(w, "LRN", op, input, output);
    set_int(made, "size", op->lrn_size);
    set_float(made, "alpha", op->lrn_alpha);
    set_float(made, "beta", op->lrn_beta);
    set_float(made, "bias", op->lrn_k);
    break;
  case QB__OP_SOFTMAX:
    set_int(node(w, "Softmax", op, input, output), "axis", (int64_t)op->axis + 1);
    break;
  case QB__OP_REDUCE: write_mean(w, op, input, output); break;
  case QB__OP_RESIZE: write_resize(w, op, input, output); break;
  case QB__OP_CONCAT:
    made = node(w, "Concat", op, input, output);
    for (size_t i = 0; i < op->rest_count; i++)
      add_input(w, made, op->rest[i]);
    set_int(made, "axis", (int64_t)op->axis + 1);
    break;
  case QB__OP_PAD: write_pad(w, op, input, output); break;
  case QB__OP_TRANSPOSE: write_transpose(w, op, input, output); break;
  case QB__OP_FLATTEN:
    if (w->graph->tensors[op->output].rank == 1) {
      set_int(node(w, "Flatten", op, input, output), "axis", 1);
      break;
    }
    made = node(w, "Reshape", op, input, output);
    const size_t count = output_dims(w, op, -1, dims);
    APPEND(made->input, made->n_input, add_ints(w, op, count, dims));
    break;
  default: node(w, "Unwritten", op, input, output); break; /* nothing reads it */
  }
}

static bool is_binary_or_matmul(const qb__operator *op)
{
  return qb__is_binary(op->kind) || op->kind == QB__OP_MATMUL;
}

/* An operator, and what is fused behind it as operators of their own. */
static void write_operator(writer *w, const qb__operator *op)
{
  const bool adds = op->addend != QB__NONE && !is_binary_or_matmul(op);
  const bool acts = op->activation && op->kind != QB__OP_ACTIVATION;
  char *output = adds || acts ? between(w, op) : value_name(w, op->output);
  write_kind(w, op, output);
  if (adds) {
    char *sum = acts ? between(w, op) : value_name(w, op->output);
    add_input(w, node(w, "Add", op, text(output), sum), op->addend);
    output = sum;
  }
  if (acts)
    write_activation(w, op, text(output), value_name(w, op->output));
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
    if (op->weights == tensor || op->bias == tensor || op->mean == tensor ||
        op->variance == tensor || op->addend == tensor)
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
  opset->version = 14; /* the first with HardSwish */
  model->has_ir_version = 1;
  model->ir_version = 8;
  model->producer_name = text("libqosbatch");
  APPEND(model->opset_import, model->n_opset_import, opset);
  model->graph = out;
  out->name = text("graph");
  for (size_t i = 0; i < graph->tensor_count; i++)
    if (graph->tensors[i].constant && is_constant_in_use(graph, (int32_t)i))
      write_constant(&w, (int32_t)i);
  for (size_t i = 0; i < graph->input_count; i++)
    APPEND(out->input, out->n_input, port(&w, graph->inputs[i]));
  for (size_t i = 0; i < graph->output_count; i++)
    APPEND(out->output, out->n_output, port(&w, graph->outputs[i]));
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
    model->graph->initializer[i]->raw_data.data = NULL; /* the graph's, where there is any */
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
