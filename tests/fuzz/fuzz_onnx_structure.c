/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models that are mutated as models are written, not as bytes: other operators, attributes, opsets,
 * orders and connections, all of the names that the signatures know. What is accepted must run.
 */
#include "engine/reference.h"
#include "fuzz/fuzz.h"
#include "model/model_impl.h"
#include "model/onnx_schema.h"
#include "support/onnx_memory.h"
#include "support/onnx_model.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t most) __attribute__((weak));

enum { MOST_NODES = 32 };

static size_t pick(uint64_t *random, size_t count)
{
  return (size_t)random_int(random, 0, count - 1);
}

static void set_text(char **text, const char *value)
{
  char *copy = strdup(value ? value : ""); /* before freeing: it may be the same */
  free(*text);
  *text = copy;
  FUZZ_EXPECT(*text);
}

static int64_t some_integer(uint64_t *random)
{
  static const int64_t far[] = {INT64_MIN, INT64_MAX, INT32_MAX, -1000, 100, 32767, 7, 8};
  return random_int(random, 0, 7) ? (int64_t)random_int(random, 0, 6) - 2 : far[pick(random, 8)];
}

static float some_float(uint64_t *random)
{
  static const float far[] = {NAN, INFINITY, -INFINITY, 1e38f, 0};
  return random_int(random, 0, 7) ? (float)random_int(random, 0, 8) / 4 - 0.5f
                                  : far[pick(random, 5)];
}

static void set_value(uint64_t *random, Onnx__AttributeProto *a, const qb__onnx_rule *rule)
{
  a->has_type = 1;
  a->type = (Onnx__AttributeProto__AttributeType)rule->type;
  a->has_i = a->has_f = a->has_s = 0;
  switch (rule->type) {
  case QB__ONNX_INT:
    a->has_i = 1;
    a->i = some_integer(random);
    break;
  case QB__ONNX_FLOAT:
    a->has_f = 1;
    a->f = some_float(random);
    break;
  case QB__ONNX_INTS:
    a->n_ints = (size_t)random_int(random, 0, 4);
    a->ints = realloc(a->ints, (a->n_ints + 1) * sizeof *a->ints);
    FUZZ_EXPECT(a->ints);
    for (size_t i = 0; i < a->n_ints; i++)
      a->ints[i] = some_integer(random);
    break;
  case QB__ONNX_TEXT: {
    const char *words = rule->words ? rule->words : "ij,jk->ik";
    const char *word = words;
    for (uint64_t skip = random_int(random, 0, 3); skip && strchr(word, ' '); skip--)
      word = strchr(word, ' ') + 1;
    free(a->s.data);
    a->has_s = 1;
    a->s.len = strcspn(word, " ");
    a->s.data = (uint8_t *)strdup(word);
    FUZZ_EXPECT(a->s.data);
    break;
  }
  default: break;
  }
}

/* An attribute that the operator may have in some opset. */
static void add_attribute(uint64_t *random, Onnx__NodeProto *node)
{
  const qb__onnx_schema *schema = qb__onnx_schema_of(node->op_type ? node->op_type : "");
  size_t count = 0;
  while (schema && schema->rules[count].name)
    count++;
  if (!count)
    return;
  const qb__onnx_rule *rule = &schema->rules[pick(random, count)];
  Onnx__AttributeProto *a = malloc(sizeof *a);
  FUZZ_EXPECT(a);
  onnx__attribute_proto__init(a);
  a->name = NULL;
  set_text(&a->name, rule->name);
  set_value(random, a, rule);
  node->attribute = realloc(node->attribute, (node->n_attribute + 1) * sizeof *node->attribute);
  FUZZ_EXPECT(node->attribute);
  node->attribute[node->n_attribute++] = a;
}

static void drop_attribute(uint64_t *random, Onnx__NodeProto *node)
{
  if (!node->n_attribute)
    return;
  Onnx__AttributeProto **a = &node->attribute[pick(random, node->n_attribute)];
  if (random_int(random, 0, 1)) { /* its value alone, as writers do that leave out zeros */
    (*a)->has_i = (*a)->has_f = 0;
    return;
  }
  onnx__attribute_proto__free_unpacked(*a, NULL);
  *a = node->attribute[--node->n_attribute];
}

/* The name of something that can be read; "" for nothing. */
static const char *some_value(uint64_t *random, const Onnx__GraphProto *g)
{
  const Onnx__NodeProto *node = g->n_node ? g->node[pick(random, g->n_node)] : NULL;
  switch (random_int(random, 0, 5)) {
  case 0: return "";
  case 1:
  case 2: return g->n_initializer ? g->initializer[pick(random, g->n_initializer)]->name : "";
  case 3: return g->n_input ? g->input[pick(random, g->n_input)]->name : "";
  default: return node && node->n_output ? node->output[pick(random, node->n_output)] : "";
  }
}

static void rewire(uint64_t *random, const Onnx__GraphProto *g, Onnx__NodeProto *node)
{
  if (!node->n_input || random_int(random, 0, 3) == 0) {
    node->input = realloc(node->input, (node->n_input + 1) * sizeof *node->input);
    FUZZ_EXPECT(node->input);
    node->input[node->n_input++] = NULL;
    set_text(&node->input[node->n_input - 1], some_value(random, g));
  } else if (random_int(random, 0, 3) == 0) {
    free(node->input[--node->n_input]);
  } else {
    set_text(&node->input[pick(random, node->n_input)], some_value(random, g));
  }
}

static void swap_nodes(uint64_t *random, Onnx__GraphProto *g)
{
  Onnx__NodeProto **a = &g->node[pick(random, g->n_node)], **b = &g->node[pick(random, g->n_node)];
  Onnx__NodeProto *kept = *a;
  *a = *b;
  *b = kept;
}

static void change_dims(uint64_t *random, const Onnx__GraphProto *g)
{
  if (!g->n_initializer)
    return;
  Onnx__TensorProto *t = g->initializer[pick(random, g->n_initializer)];
  if (t->n_dims)
    t->dims[pick(random, t->n_dims)] = some_integer(random);
  else if (t->n_int64_data)
    t->int64_data[pick(random, t->n_int64_data)] = some_integer(random);
}

/* An operator in the domain that has it. */
static void set_operator(Onnx__NodeProto *node, const qb__onnx_schema *schema)
{
  set_text(&node->op_type, schema->type);
  set_text(&node->domain, qb__onnx_schema_is_of(schema, false) ? "" : "com.microsoft");
}

/* A node of any operator, on what is there already; it becomes the only output. */
static void add_node(uint64_t *random, Onnx__ModelProto *model)
{
  Onnx__GraphProto *g = model->graph;
  char name[32];
  snprintf(name, sizeof name, "n%zu", g->n_node);
  const qb__onnx_schema *schema = &qb__onnx_schemas[pick(random, qb__onnx_schema_count)];
  Onnx__NodeProto *node = onnx_model_node(model, schema->type, "x", name, "");
  set_operator(node, schema);
  for (uint64_t n = random_int(random, 0, 2); n; n--)
    rewire(random, g, node);
  for (uint64_t n = random_int(random, 0, 3); n; n--)
    add_attribute(random, node);
  if (g->n_output)
    set_text(&g->output[0]->name, name);
}

static void mutate(uint64_t *random, Onnx__ModelProto *model)
{
  Onnx__GraphProto *g = model->graph;
  Onnx__NodeProto *node = g->n_node ? g->node[pick(random, g->n_node)] : NULL;
  const uint64_t what = random_int(random, 0, 8);
  if (!node || (what == 0 && g->n_node < MOST_NODES))
    add_node(random, model);
  else if (what == 1 && model->n_opset_import)
    model->opset_import[0]->version = (int64_t)random_int(random, 6, 29);
  else if (what == 2)
    set_operator(node, &qb__onnx_schemas[pick(random, qb__onnx_schema_count)]);
  else if (what == 3)
    swap_nodes(random, g);
  else if (what <= 5)
    rewire(random, g, node);
  else if (what == 6)
    drop_attribute(random, node);
  else if (what == 7)
    change_dims(random, g);
  else
    add_attribute(random, node);
}

/* An image, weights and small integers to make a network of. */
static Onnx__ModelProto *fresh_model(uint64_t *random)
{
  Onnx__ModelProto *model = onnx_model_new((int64_t)random_int(random, 7, 28));
  onnx_model_input(model, "x", random_int(random, 0, 1) ? "N,2,4,4" : "2,2,4,4");
  onnx_model_random(model, "w", "2,2,3,3");
  onnx_model_random(model, "c", "2");
  model->graph->input[0]->type->tensor_type->elem_type = (int32_t)random_int(random, 1, 3);
  onnx_model_floats(model, "f", "", &(const float){0.5f});
  onnx_model_integers(model, "z", "", 2 /* uint8 */, "3");
  onnx_model_integers(model, "k", "2,2,1,1", 3 /* int8 */, "1,-2,3,-4");
  onnx_model_ints(model, "i", "1");
  onnx_model_ints(model, "s", "0,2,-1");
  onnx_model_output(model, "n0");
  add_node(random, model);
  return model;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t most, unsigned seed)
{
  uint64_t random = (seed + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15) | 1;
  random_bits(&random);
  if (LLVMFuzzerMutate && random_int(&random, 0, 9) == 0)
    return LLVMFuzzerMutate(data, bytes, most);
  Onnx__ModelProto *model = bytes ? onnx__model_proto__unpack(NULL, bytes, data) : NULL;
  if (model && !model->graph) {
    onnx__model_proto__free_unpacked(model, NULL);
    model = NULL;
  }
  if (!model)
    model = fresh_model(&random);
  for (uint64_t n = random_int(&random, 1, 4); n; n--)
    mutate(&random, model);
  const size_t packed = onnx__model_proto__get_packed_size(model);
  if (packed <= most)
    bytes = onnx__model_proto__pack(model, data);
  onnx__model_proto__free_unpacked(model, NULL);
  return bytes;
}

/* Whoever accepts a network can compute it. */
static void run(const qb__graph *g)
{
  float *in[8] = {NULL}, *out[8] = {NULL};
  double work = 0;
  for (size_t i = 0; i < g->operator_count; i++)
    work += qb__operator_flops(g, &g->operators[i]) +
            (double)qb__operator_activation_bytes(g, &g->operators[i]);
  if (g->input_count > 8 || g->output_count > 8 || !(work < 1e6))
    return;
  for (size_t i = 0; i < g->input_count; i++)
    FUZZ_EXPECT((in[i] = calloc(2 * g->tensors[g->inputs[i]].elements, sizeof(float))));
  for (size_t i = 0; i < g->output_count; i++)
    FUZZ_EXPECT((out[i] = calloc(2 * g->tensors[g->outputs[i]].elements, sizeof(float))));
  FUZZ_EXPECT(!qb__reference_run(g, 2, (const float *const *)in, out, NULL));
  for (int i = 0; i < 8; i++) {
    free(in[i]);
    free(out[i]);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
  qb_context *context;
  qb_model *model;
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.memory_limit_bytes = 1 << 18;
  FUZZ_EXPECT(!qb_context_new(&params, &context));
  if (!onnx_memory_load(context, data, bytes, NULL, &model)) {
    run(&model->graph);
    qb_model_unref(model);
  }
  qb_context_unref(context);
  return 0;
}
