/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ONNX's own node tests, as Debian's libonnx-testdata has them: those whose operators are supported
 * are imported, run by the engine and by the plain loops, and compared with the outputs given.
 *
 *   onnx_nodes [-v] FOLDER
 *
 * What tests pass as inputs although networks have it as constants (weights, shapes) is put into
 * the model as such. Tests that only compute a shape or a constant get an addition of it to zeros
 * as the network's output.
 */
#include "engine/reference.h"
#include "model/onnx_impl.h"
#include "support/onnx_memory.h"

#include <qosbatch/session.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned run, passed, not_applicable, other;
static bool verbose;

static uint8_t *read_whole(const char *path, size_t *bytes)
{
  FILE *file = fopen(path, "rb");
  if (!file)
    return NULL;
  uint8_t *data = NULL;
  *bytes = 0;
  if (!fseek(file, 0, SEEK_END)) {
    *bytes = (size_t)ftell(file);
    rewind(file);
    data = malloc(*bytes + 1);
    if (data && fread(data, 1, *bytes, file) != *bytes) {
      free(data);
      data = NULL;
    }
  }
  fclose(file);
  return data;
}

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

static Onnx__TensorProto *read_tensor(const char *folder, const char *kind, size_t index)
{
  char path[512];
  size_t bytes;
  snprintf(path, sizeof path, "%s/test_data_set_0/%s_%zu.pb", folder, kind, index);
  uint8_t *data = read_whole(path, &bytes);
  Onnx__TensorProto *tensor = data ? onnx__tensor_proto__unpack(NULL, bytes, data) : NULL;
  free(data);
  return tensor;
}

static float from_half(uint32_t bits)
{
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                           : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                          : ldexp(fraction, -24);
  return (float)(bits >> 15 ? -magnitude : magnitude);
}

static float from_bits(uint32_t bits)
{
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

static size_t element_bytes(int32_t type)
{
  static const uint8_t bytes[] = {[TYPE(FLOAT)] = 4,   [TYPE(UINT8)] = 1,  [TYPE(INT8)] = 1,
                                  [TYPE(UINT16)] = 2,  [TYPE(INT16)] = 2,  [TYPE(INT32)] = 4,
                                  [TYPE(INT64)] = 8,   [TYPE(BOOL)] = 1,   [TYPE(FLOAT16)] = 2,
                                  [TYPE(DOUBLE)] = 8,  [TYPE(UINT32)] = 4, [TYPE(UINT64)] = 8,
                                  [TYPE(BFLOAT16)] = 2};
  return type > 0 && (size_t)type < sizeof bytes ? bytes[type] : 0;
}

/* Bytes of element `i`, those above them 0. */
static uint64_t bits_of(const Onnx__TensorProto *t, size_t i)
{
  const size_t bytes = element_bytes(t->data_type);
  uint64_t bits = 0;
  if (t->has_raw_data)
    memcpy(&bits, t->raw_data.data + bytes * i, bytes);
  else if (t->n_float_data)
    memcpy(&bits, t->float_data + i, 4);
  else if (t->n_double_data)
    memcpy(&bits, t->double_data + i, 8);
  else if (t->n_int64_data)
    memcpy(&bits, t->int64_data + i, 8);
  else if (t->n_uint64_data)
    bits = t->uint64_data[i];
  else
    memcpy(&bits, t->int32_data + i, bytes < 4 ? bytes : 4);
  return bits;
}

/* A tensor's elements as floats; NULL for texts and the like. */
static float *values_of(const Onnx__TensorProto *t, size_t *count)
{
  *count = 1;
  for (size_t i = 0; i < t->n_dims; i++)
    *count *= (size_t)t->dims[i];
  float *values = need(calloc(*count + 1, sizeof *values));
  for (size_t i = 0; i < *count && element_bytes(t->data_type); i++) {
    const uint64_t bits = bits_of(t, i);
    double wide;
    memcpy(&wide, &bits, sizeof wide);
    switch (t->data_type) {
    case TYPE(FLOAT): values[i] = from_bits((uint32_t)bits); break;
    case TYPE(DOUBLE): values[i] = (float)wide; break;
    case TYPE(FLOAT16): values[i] = from_half((uint32_t)bits); break;
    case TYPE(BFLOAT16): values[i] = from_bits((uint32_t)bits << 16); break;
    case TYPE(INT8): values[i] = (int8_t)bits; break;
    case TYPE(INT16): values[i] = (int16_t)bits; break;
    case TYPE(INT32): values[i] = (float)(int32_t)bits; break;
    case TYPE(INT64): values[i] = (float)(int64_t)bits; break;
    default: values[i] = (float)bits; break;
    }
  }
  if (element_bytes(t->data_type))
    return values;
  free(values);
  return NULL;
}

/* Whether networks have input `index` of an operator as a constant: all but its data. */
static bool is_constant_input(const char *operator_type, size_t index)
{
  static const char *const activations[] = {
      "Add",  "Concat", "Div",         "Einsum", "Equal", "Greater", "GreaterOrEqual",
      "Less", "Where",  "LessOrEqual", "MatMul", "Max",   "Mean",    "Min",
      "Mod",  "Mul",    "PRelu",       "Pow",    "Sub",   "Sum",     NULL};
  if (!strcmp(operator_type, "ConstantOfShape"))
    return true;
  for (int i = 0; activations[i]; i++)
    if (!strcmp(activations[i], operator_type))
      return false;
  return index > 0;
}

/* Networks get floats, or the integers that a quantized operator begins with. */
static bool is_data(const Onnx__GraphProto *graph, const Onnx__ValueInfoProto *info)
{
  static const char *const quantized[] = {"ConvInteger", "DequantizeLinear", "MatMulInteger",
                                          "QLinearConv", "QLinearMatMul",    NULL};
  const Onnx__TypeProto *type = info->type;
  if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
    return false;
  for (int i = 0; graph->n_node == 1 && quantized[i]; i++)
    if (!strcmp(graph->node[0]->op_type, quantized[i]))
      return !strcmp(graph->node[0]->input[0], info->name);
  const int32_t elements = type->tensor_type->elem_type;
  return elements == TYPE(FLOAT) || elements == TYPE(FLOAT16) || elements == TYPE(BFLOAT16);
}

/* Whether a test's input is a constant: in networks, or since all are. */
static bool is_constant(const Onnx__GraphProto *graph, const Onnx__ValueInfoProto *info, bool all)
{
  const char *name = info->name;
  if (all || !is_data(graph, info))
    return true;
  for (size_t n = 0; n < graph->n_node; n++)
    for (size_t i = 0; i < graph->node[n]->n_input; i++)
      if (!strcmp(graph->node[n]->input[i], name) && is_constant_input(graph->node[n]->op_type, i))
        return true;
  return false;
}

/* Some files call bfloat16 an uint16; the model knows better. */
static void correct_type(Onnx__TensorProto *tensor, const Onnx__ValueInfoProto *info)
{
  if (info->type && info->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
    tensor->data_type = info->type->tensor_type->elem_type;
}

/* Makes constants of inputs; those that remain are moved to the front of `inputs`. */
static size_t bind_inputs(Onnx__GraphProto *graph, Onnx__TensorProto **inputs, bool all)
{
  size_t kept = 0;
  for (size_t i = 0; i < graph->n_input; i++) {
    Onnx__ValueInfoProto *info = graph->input[i];
    correct_type(inputs[i], info);
    if (!is_constant(graph, info, all)) {
      graph->input[kept] = info;
      inputs[kept++] = inputs[i];
      continue;
    }
    free(inputs[i]->name);
    inputs[i]->name = text(info->name);
    graph->initializer =
        need(realloc(graph->initializer, (graph->n_initializer + 1) * sizeof *graph->initializer));
    graph->initializer[graph->n_initializer++] = inputs[i];
    onnx__value_info_proto__free_unpacked(info, NULL);
  }
  graph->n_input = kept;
  return kept;
}

static Onnx__NodeProto *append_node(Onnx__GraphProto *graph, const char *type, const char *input,
                                    const char *output)
{
  Onnx__NodeProto *node = need(calloc(1, sizeof *node));
  onnx__node_proto__init(node);
  node->op_type = text(type);
  node->input = need(calloc(2, sizeof *node->input));
  node->input[node->n_input++] = text(input);
  node->output = need(calloc(1, sizeof *node->output));
  node->output[node->n_output++] = text(output);
  graph->node = need(realloc(graph->node, (graph->n_node + 1) * sizeof *graph->node));
  graph->node[graph->n_node++] = node;
  return node;
}

/* output = zeros + (float)constant, of the shape of what is expected. */
static void add_to_zeros(Onnx__GraphProto *graph, const Onnx__TensorProto *expected)
{
  Onnx__ValueInfoProto *info = need(calloc(1, sizeof *info));
  onnx__value_info_proto__init(info);
  info->name = text("zeros");
  info->type = need(calloc(1, sizeof *info->type));
  onnx__type_proto__init(info->type);
  info->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
  Onnx__TypeProto__Tensor *type = need(calloc(1, sizeof *type));
  onnx__type_proto__tensor__init(type);
  type->has_elem_type = 1;
  type->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
  type->shape = need(calloc(1, sizeof *type->shape));
  onnx__tensor_shape_proto__init(type->shape);
  type->shape->dim = need(calloc(expected->n_dims + 1, sizeof *type->shape->dim));
  for (size_t i = 0; i < expected->n_dims; i++) {
    Onnx__TensorShapeProto__Dimension *dim = need(calloc(1, sizeof *dim));
    onnx__tensor_shape_proto__dimension__init(dim);
    dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    dim->dim_value = expected->dims[i];
    type->shape->dim[type->shape->n_dim++] = dim;
  }
  info->type->tensor_type = type;
  graph->input = need(realloc(graph->input, (graph->n_input + 1) * sizeof *graph->input));
  graph->input[graph->n_input++] = info;

  Onnx__NodeProto *cast = append_node(graph, "Cast", graph->output[0]->name, "as floats");
  Onnx__AttributeProto *to = need(calloc(1, sizeof *to));
  onnx__attribute_proto__init(to);
  to->name = text("to");
  to->has_i = 1;
  to->i = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
  cast->attribute = need(calloc(1, sizeof *cast->attribute));
  cast->attribute[cast->n_attribute++] = to;
  Onnx__NodeProto *add = append_node(graph, "Add", "zeros", "as output");
  add->input[add->n_input++] = text("as floats");
  free(graph->output[0]->name);
  graph->output[0]->name = text("as output");
}

/* As layers of a network, or where all that they read is constant. */
static bool is_supported(const Onnx__GraphProto *graph, bool all_constant)
{
  for (size_t i = 0; i < graph->n_node; i++) {
    const char *type = graph->node[i]->op_type;
    if (!type || !(all_constant ? qb__onnx_folds(type) : qb__onnx_schema_of(type) != NULL))
      return false;
  }
  return true;
}

static bool only_constants(const Onnx__GraphProto *graph)
{
  return graph->n_input == 0 || (graph->n_node == 1 && !strcmp(graph->node[0]->op_type, "Shape"));
}

/*
 * ONNX's own tolerance, but for a smallest difference that float sums in another order need, and for
 * floats of 16 bits, which networks compute in 32.
 */
static bool is_close(const float *found, const float *expected, size_t count, int32_t type,
                     double *worst)
{
  const double share = type == TYPE(BFLOAT16) ? 0x1p-7 : type == TYPE(FLOAT16) ? 0x1p-9 : 1e-3;
  *worst = 0;
  for (size_t i = 0; i < count; i++) {
    if (found[i] == expected[i] || (isnan(found[i]) && isnan(expected[i])))
      continue;
    const double off = fabs((double)found[i] - expected[i]) / (share * fabs(expected[i]) + 1e-6);
    *worst = off > *worst || isnan(off) ? off : *worst;
  }
  return *worst <= 1;
}

/* Runs one round as large as the test's tensors say. */
static bool check(qb_model *model, Onnx__TensorProto **inputs, size_t input_count,
                  const Onnx__TensorProto *expected, char why[256])
{
  const qb__graph *g = &model->graph;
  float *in[16] = {NULL};
  size_t count = 0, outputs;
  float *wanted = values_of(expected, &outputs);
  const size_t per_sample = g->tensors[g->outputs[0]].elements;
  const uint32_t batch = (uint32_t)(outputs / per_sample);
  for (size_t i = 0; i < g->input_count; i++) {
    if (i < input_count)
      in[i] = values_of(inputs[i], &count);
    else /* zeros */
      in[i] = need(calloc(g->tensors[g->inputs[i]].elements * (batch + 1), sizeof(float)));
  }
  float *by_loops = need(calloc(outputs + 1, sizeof *by_loops));
  float *by_engine = need(calloc(outputs + 1, sizeof *by_engine));
  double worst = 0;
  bool good = wanted && batch && batch * per_sample == outputs;
  snprintf(why, 256, "%zu elements for a sample's %zu", outputs, per_sample);
  if (good) {
    good = !qb__reference_run(g, batch, (const float *const *)in, &by_loops, NULL) &&
           is_close(by_loops, wanted, outputs, expected->data_type, &worst);
    snprintf(why, 256, "plain loops: %g times the tolerance", worst);
  }
#ifdef QB_HAVE_ONEDNN
  if (good) {
    const qb_configuration one = {1, 1};
    qb_session *session = NULL;
    void *out[1] = {by_engine};
    if (qb_session_new(model, &one, NULL, &session) ||
        qb_session_run(session, batch, (const void *const *)in, out, NULL)) {
      good = false;
      snprintf(why, 256, "%s", qb_error_message());
    } else {
      good = is_close(by_engine, wanted, outputs, expected->data_type, &worst);
      snprintf(why, 256, "oneDNN: %g times the tolerance", worst);
    }
    qb_session_unref(session);
  }
#endif
  for (size_t i = 0; i < g->input_count; i++)
    free(in[i]);
  free(wanted);
  free(by_loops);
  free(by_engine);
  return good;
}

/* Output `o` alone; with `all_constant` it is added to zeros. */
static void run_test(qb_context *context, const char *name, Onnx__ModelProto *proto,
                     const char *folder, size_t o, bool all_constant)
{
  Onnx__GraphProto *graph = proto->graph;
  Onnx__TensorProto *inputs[16] = {NULL};
  Onnx__TensorProto *expected = read_tensor(folder, "output", o);
  bool readable = expected && graph->n_input <= 16;
  for (size_t i = 0; readable && i < graph->n_input; i++)
    readable = (inputs[i] = read_tensor(folder, "input", i)) != NULL;
  size_t kept = 0;
  const char *status = "not applicable";
  char why[256] = "its inputs or outputs are not tensors";
  if (readable) {
    Onnx__ValueInfoProto *first = graph->output[0];
    graph->output[0] = graph->output[o];
    graph->output[o] = first;
    const size_t outputs = graph->n_output;
    correct_type(expected, graph->output[0]);
    graph->n_output = 1;
    kept = bind_inputs(graph, inputs, all_constant);
    if (only_constants(graph))
      add_to_zeros(graph, expected);
    size_t bytes = onnx__model_proto__get_packed_size(proto), unused;
    uint8_t *data = need(malloc(bytes + 1));
    onnx__model_proto__pack(proto, data);
    qb_model *model = NULL;
    if (onnx_memory_load(context, data, bytes, NULL, &model)) {
      snprintf(why, sizeof why, "%.255s", qb_error_message());
    } else {
      free(values_of(expected, &unused));
      run++;
      const bool good = check(model, inputs, kept, expected, why);
      passed += good;
      status = good ? "passed" : "FAILED";
      if (good)
        *why = 0;
    }
    qb_model_unref(model);
    free(data);
    graph->n_output = outputs;
  }
  if (!strcmp(status, "not applicable"))
    not_applicable++;
  if (verbose || !strcmp(status, "FAILED"))
    printf("%-14s %s%s%s%s\n", status, name, all_constant ? " of constants" : "", *why ? ": " : "",
           why);
  for (size_t i = 0; i < kept; i++)
    onnx__tensor_proto__free_unpacked(inputs[i], NULL);
  if (expected)
    onnx__tensor_proto__free_unpacked(expected, NULL);
}

/*
 * ONNX 1.17 divides a window that ceil_mode lets go beyond the padding by its whole size, where
 * PyTorch, from which the attributes come, divides by what lies in the image and its padding. Its
 * products of int8 wrap (-236 to 20) where the standard says that they are saturated.
 */
static const char *const wrong_data[] = {
    "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
    "test_qlinearmatmul_2D_int8_float16", "test_qlinearmatmul_2D_int8_float32",
    "test_qlinearmatmul_3D_int8_float16", "test_qlinearmatmul_3D_int8_float32"};

static int is_test(const struct dirent *entry)
{
  for (size_t i = 0; i < sizeof wrong_data / sizeof *wrong_data; i++)
    if (!strcmp(entry->d_name, wrong_data[i]))
      return 0;
  return !strncmp(entry->d_name, "test_", 5);
}

static Onnx__ModelProto *read_model(const char *folder)
{
  char path[600];
  size_t bytes;
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  uint8_t *data = read_whole(path, &bytes);
  Onnx__ModelProto *proto = data ? onnx__model_proto__unpack(NULL, bytes, data) : NULL;
  free(data);
  return proto;
}

/* The test as a layer of a network, then each of its outputs computed of constants. */
static void run_test_of(qb_context *context, const char *name, const char *folder)
{
  size_t outputs = 1;
  bool any = false;
  for (size_t pass = 0; pass < 1 + outputs; pass++) {
    Onnx__ModelProto *proto = read_model(folder);
    const bool all_constant = pass > 0;
    const bool supported = proto && proto->graph && is_supported(proto->graph, all_constant);
    any = any || supported;
    outputs = supported ? proto->graph->n_output : outputs;
    if (supported)
      run_test(context, name, proto, folder, all_constant ? pass - 1 : 0, all_constant);
    if (proto)
      onnx__model_proto__free_unpacked(proto, NULL);
  }
  other += !any;
}

int main(int argc, char **argv)
{
  verbose = argc > 1 && !strcmp(argv[1], "-v");
  if (argc != 2 + verbose) {
    fprintf(stderr, "usage: onnx_nodes [-v] FOLDER\n");
    return 2;
  }
  const char *root = argv[1 + verbose];
  struct dirent **entries;
  const int count = scandir(root, &entries, is_test, alphasort);
  qb_context *context;
  if (count <= 0 || qb_context_new(NULL, &context)) {
    fprintf(stderr, "onnx_nodes: no tests in '%s'; install libonnx-testdata\n", root);
    return 1;
  }
  for (int i = 0; i < count; i++) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s/%s", root, entries[i]->d_name);
    run_test_of(context, entries[i]->d_name, folder);
    free(entries[i]);
  }
  free(entries);
  qb_context_unref(context);
  printf("%d tests in their forms: %u run, %u passed (%.1f %%), %u not applicable, %u of other "
         "operators\n",
         count, run, passed, run ? 100.0 * passed / run : 0.0, not_applicable, other);
  return run && passed == run ? 0 : 1;
}
