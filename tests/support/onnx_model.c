/* SPDX-License-Identifier: Apache-2.0 */
#include "support/onnx_model.h"

#include <stdlib.h>
#include <string.h>

static void *need(void *memory)
{
  if (!memory)
    abort();
  return memory;
}

static char *text(const char *value)
{
  return need(strdup(value));
}

#define NEW(variable, Type, init)                                                                  \
  Type *variable = need(calloc(1, sizeof *variable));                                              \
  init(variable)

#define APPEND(array, count, value)                                                                \
  do {                                                                                             \
    (array) = need(realloc(array, ((count) + 1) * sizeof *(array)));                               \
    (array)[(count)++] = value;                                                                    \
  } while (0)

Onnx__ModelProto *onnx_model_new(int64_t opset)
{
  NEW(model, Onnx__ModelProto, onnx__model_proto__init);
  NEW(import, Onnx__OperatorSetIdProto, onnx__operator_set_id_proto__init);
  NEW(graph, Onnx__GraphProto, onnx__graph_proto__init);
  import->has_version = 1;
  import->version = opset;
  APPEND(model->opset_import, model->n_opset_import, import);
  model->graph = graph;
  return model;
}

/* Splits at `separator`; NULL behind the last part. The text is changed. */
static char *part(char **rest, char separator)
{
  char *start = *rest;
  if (!start || !*start)
    return NULL;
  char *end = strchr(start, separator);
  *rest = end ? end + 1 : NULL;
  if (end)
    *end = 0;
  return start;
}

static Onnx__ValueInfoProto *value_info(const char *name, const char *dims)
{
  NEW(info, Onnx__ValueInfoProto, onnx__value_info_proto__init);
  NEW(type, Onnx__TypeProto, onnx__type_proto__init);
  NEW(tensor, Onnx__TypeProto__Tensor, onnx__type_proto__tensor__init);
  NEW(shape, Onnx__TensorShapeProto, onnx__tensor_shape_proto__init);
  char *copy = text(dims ? dims : ""), *rest = copy, *dim;
  while ((dim = part(&rest, ','))) {
    NEW(d, Onnx__TensorShapeProto__Dimension, onnx__tensor_shape_proto__dimension__init);
    char *end;
    const int64_t value = strtoll(dim, &end, 10);
    d->value_case = *end ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
                         : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    if (*end)
      d->dim_param = text(dim);
    else
      d->dim_value = value;
    APPEND(shape->dim, shape->n_dim, d);
  }
  free(copy);
  tensor->has_elem_type = 1;
  tensor->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
  tensor->shape = shape;
  type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
  type->tensor_type = tensor;
  info->name = text(name);
  info->type = type;
  return info;
}

void onnx_model_input(Onnx__ModelProto *model, const char *name, const char *dims)
{
  APPEND(model->graph->input, model->graph->n_input, value_info(name, dims));
}

void onnx_model_output(Onnx__ModelProto *model, const char *name)
{
  APPEND(model->graph->output, model->graph->n_output, value_info(name, NULL));
}

static Onnx__TensorProto *add_tensor(Onnx__ModelProto *model, const char *name, const char *dims,
                                     int32_t type, size_t *elements)
{
  NEW(tensor, Onnx__TensorProto, onnx__tensor_proto__init);
  tensor->name = text(name);
  tensor->has_data_type = 1;
  tensor->data_type = type;
  *elements = 1;
  char *copy = text(dims), *rest = copy, *dim;
  while ((dim = part(&rest, ','))) {
    const int64_t size = strtoll(dim, NULL, 10);
    *elements *= (size_t)size;
    APPEND(tensor->dims, tensor->n_dims, size);
  }
  free(copy);
  APPEND(model->graph->initializer, model->graph->n_initializer, tensor);
  return tensor;
}

Onnx__TensorProto *onnx_model_floats(Onnx__ModelProto *model, const char *name, const char *dims,
                                     const float *values)
{
  size_t elements;
  Onnx__TensorProto *tensor =
      add_tensor(model, name, dims, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, &elements);
  tensor->has_raw_data = 1;
  tensor->raw_data.len = elements * sizeof *values;
  tensor->raw_data.data = need(malloc(tensor->raw_data.len + 1));
  memcpy(tensor->raw_data.data, values, tensor->raw_data.len);
  return tensor;
}

Onnx__TensorProto *onnx_model_random(Onnx__ModelProto *model, const char *name, const char *dims)
{
  size_t elements;
  Onnx__TensorProto *tensor =
      add_tensor(model, name, dims, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, &elements);
  uint32_t bits = 2463534242u + (uint32_t)model->graph->n_initializer;
  for (size_t i = 0; i < elements; i++) {
    bits ^= bits << 13, bits ^= bits >> 17, bits ^= bits << 5; /* Marsaglia, JSS 2003 */
    APPEND(tensor->float_data, tensor->n_float_data, (float)(bits % 2000) / 2000.0f - 0.5f);
  }
  return tensor;
}

Onnx__TensorProto *onnx_model_ints(Onnx__ModelProto *model, const char *name, const char *values)
{
  size_t elements;
  Onnx__TensorProto *tensor =
      add_tensor(model, name, "", ONNX__TENSOR_PROTO__DATA_TYPE__INT64, &elements);
  char *copy = text(values), *rest = copy, *value;
  while ((value = part(&rest, ',')))
    APPEND(tensor->int64_data, tensor->n_int64_data, strtoll(value, NULL, 10));
  free(copy);
  APPEND(tensor->dims, tensor->n_dims, (int64_t)tensor->n_int64_data);
  return tensor;
}

Onnx__TensorProto *onnx_model_integers(Onnx__ModelProto *model, const char *name, const char *dims,
                                       int32_t type, const char *values)
{
  size_t elements;
  Onnx__TensorProto *tensor = add_tensor(model, name, dims, type, &elements);
  char *copy = text(values), *rest = copy, *value;
  while ((value = part(&rest, ',')))
    APPEND(tensor->int32_data, tensor->n_int32_data, (int32_t)strtol(value, NULL, 10));
  free(copy);
  return tensor;
}

static Onnx__AttributeProto *attribute(const char *name, char *value)
{
  NEW(a, Onnx__AttributeProto, onnx__attribute_proto__init);
  a->name = text(name);
  char *end, *rest = value, *item;
  const double number = strtod(value, &end);
  if (strchr(value, ',')) {
    while ((item = part(&rest, ',')))
      APPEND(a->ints, a->n_ints, strtoll(item, NULL, 10));
    a->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
  } else if (*end) {
    a->has_s = 1;
    a->s.len = strlen(value);
    a->s.data = (uint8_t *)text(value);
    a->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
  } else if (strchr(value, '.')) {
    a->has_f = 1;
    a->f = (float)number;
    a->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
  } else {
    a->has_i = 1;
    a->i = (int64_t)number;
    a->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
  }
  a->has_type = 1;
  return a;
}

Onnx__NodeProto *onnx_model_node(Onnx__ModelProto *model, const char *type, const char *inputs,
                                 const char *outputs, const char *attributes)
{
  NEW(node, Onnx__NodeProto, onnx__node_proto__init);
  node->op_type = text(type);
  char *copy = text(inputs), *rest = copy, *item;
  while ((item = part(&rest, ' ')))
    APPEND(node->input, node->n_input, text(strcmp(item, "-") ? item : ""));
  free(copy);
  rest = copy = text(outputs);
  while ((item = part(&rest, ' ')))
    APPEND(node->output, node->n_output, text(strcmp(item, "-") ? item : ""));
  free(copy);
  rest = copy = text(attributes);
  while ((item = part(&rest, ' '))) {
    char *value = item;
    const char *name = part(&value, '=');
    APPEND(node->attribute, node->n_attribute, attribute(name, value));
  }
  free(copy);
  node->name = text(node->output[0]);
  APPEND(model->graph->node, model->graph->n_node, node);
  return node;
}

uint8_t *onnx_model_pack(Onnx__ModelProto *model, size_t *bytes)
{
  *bytes = onnx__model_proto__get_packed_size(model);
  uint8_t *data = need(malloc(*bytes + 1));
  onnx__model_proto__pack(model, data);
  onnx__model_proto__free_unpacked(model, NULL);
  return data;
}
