/* SPDX-License-Identifier: Apache-2.0 */
/* A parsed model as a graph: inputs, constants, nodes in their order, outputs. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/onnx_constant.h"
#include "model/onnx_map.h"
#include "model/onnx_quantized.h"

#include <stdio.h>
#include <string.h>

/* The dimensions of an input of the network; those that are symbolic are -1. */
static bool input_dims(qb__onnx *im, const Onnx__ValueInfoProto *info, uint32_t *rank,
                       int64_t *dims)
{
  const Onnx__TypeProto *type = info->type;
  if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type ||
      !type->tensor_type->shape || type->tensor_type->shape->n_dim > QB__ONNX_RANK) {
    im->status =
        qb__fail(QB_ERROR_UNSUPPORTED, "input '%.64s' is not a tensor of known rank, at most %d",
                 info->name, QB__ONNX_RANK);
    return false;
  }
  const int32_t elements = type->tensor_type->elem_type;
  float low, high;
  if (elements != QB__ONNX_TYPE(FLOAT) && elements != QB__ONNX_TYPE(FLOAT16) &&
      elements != QB__ONNX_TYPE(BFLOAT16) && !qb__onnx_integer_range(elements, &low, &high)) {
    im->status =
        qb__fail(QB_ERROR_UNSUPPORTED,
                 "input '%.64s' has elements of ONNX type %d; floats of 32 (1) and 16 bits "
                 "(10, 16) and integers of 8 (2, 3), 16 (4, 5) and 32 bits (6) are supported: "
                 "convert the model",
                 info->name, type->tensor_type->elem_type);
    return false;
  }
  const Onnx__TensorShapeProto *shape = type->tensor_type->shape;
  *rank = (uint32_t)shape->n_dim;
  for (uint32_t i = 0; i < *rank; i++) {
    const bool fixed =
        shape->dim[i]->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    dims[i] = fixed && shape->dim[i]->dim_value > 0 ? shape->dim[i]->dim_value : -1;
    if (i && dims[i] < 0) {
      im->status =
          qb__fail(QB_ERROR_UNSUPPORTED,
                   "input '%.64s': dimension %u is not fixed; only the first, the batch, may be "
                   "open: fix the others when exporting the model",
                   info->name, i);
      return false;
    }
  }
  return true;
}

/* Finds the batch: the first dimension that all inputs share. */
static void find_batch(qb__onnx *im, const Onnx__GraphProto *graph, bool may_batch)
{
  int64_t first = 0;
  bool shared = may_batch, open = false;
  for (size_t i = 0; i < graph->n_input && !im->status; i++) {
    uint32_t rank;
    int64_t dims[QB__ONNX_RANK];
    if (qb__onnx_find(im, graph->input[i]->name) || !input_dims(im, graph->input[i], &rank, dims))
      continue;
    open = open || (rank && dims[0] < 0);
    shared = shared && rank && (first == 0 || first == dims[0]);
    first = rank ? dims[0] : 0;
  }
  im->batched = shared;
  im->symbolic = open;
  im->batch = open ? QB__ONNX_SYMBOLIC : first;
  if (open && !shared && !im->status)
    im->status = qb__fail(
        QB_ERROR_UNSUPPORTED,
        "the inputs disagree in their first dimension; it must be the batch in all of them");
}

/* An input of small integers, which the caller gives as floats: they are made such integers. */
static int32_t whole_numbers(qb__onnx *im, const char *name, int32_t x, int32_t type)
{
  float low, high;
  if (!qb__onnx_integer_range(type, &low, &high) || qb__onnx_type_bits(type) > 16)
    return x;
  return qb__graph_quantize(im->graph, name, x, QB__NONE, QB__NONE, 0, low, high);
}

static void add_inputs(qb__onnx *im, const Onnx__GraphProto *graph)
{
  for (size_t i = 0; i < graph->n_input && !im->status; i++) {
    const char *name = graph->input[i]->name;
    if (qb__onnx_find(im, name)) /* an initialiser listed as an input too */
      continue;
    qb__onnx_value *value = qb__onnx_add(im, name);
    if (!value || !input_dims(im, graph->input[i], &value->rank, value->dims))
      return;
    if (im->batched)
      value->dims[0] = im->batch;
    int64_t sample[QB__ONNX_RANK];
    value->batch_outer = 1;
    const qb__onnx_shape shape = qb__onnx_shape_of(value);
    const uint32_t rank = qb__onnx_sample(im, &shape, sample);
    const int32_t type = graph->input[i]->type->tensor_type->elem_type;
    const int32_t x = qb__graph_input(im->graph, name, rank, sample);
    qb__onnx_set(value, whole_numbers(im, name, x, type), &shape);
    value->type = qb__onnx_is_real_type(type) ? QB__ONNX_TYPE(FLOAT) : type;
  }
}

static void add_initializers(qb__onnx *im, Onnx__GraphProto *graph)
{
  for (size_t i = 0; i < graph->n_initializer && !im->status; i++) {
    Onnx__TensorProto *tensor = graph->initializer[i];
    qb__onnx_value *value = tensor->name ? qb__onnx_add(im, tensor->name) : NULL;
    if (value)
      qb__onnx_read_tensor(im, tensor, value);
  }
  if (!im->status && graph->n_sparse_initializer)
    im->status =
        qb__fail(QB_ERROR_UNSUPPORTED, "the model has sparse initializers; make them dense");
}

static void count_uses(qb__onnx *im, const char *name)
{
  qb__onnx_value *value = name ? qb__onnx_find(im, name) : NULL;
  if (value)
    value->uses++;
}

/* Gives every output a value that is unknown yet. */
static void add_outputs(qb__onnx *im, const Onnx__GraphProto *graph)
{
  for (size_t i = 0; i < graph->n_node && !im->status; i++)
    for (size_t o = 0; o < graph->node[i]->n_output && !im->status; o++)
      if (*graph->node[i]->output[o]) {
        qb__onnx_value *value = qb__onnx_add(im, graph->node[i]->output[o]);
        if (value)
          value->writer = (int32_t)i;
      }
}

static void add_uses(qb__onnx *im, const Onnx__GraphProto *graph, const uint32_t *order,
                     size_t count)
{
  for (size_t i = 0; i < count; i++)
    for (size_t n = 0; n < graph->node[order[i]]->n_input; n++)
      count_uses(im, graph->node[order[i]]->input[n]);
  for (size_t i = 0; i < graph->n_output; i++)
    count_uses(im, graph->output[i]->name);
}

/* A shape that does not fit is the node's problem, not the end of looking at the others. */
static void take_graph_failure(qb__onnx *im, const qb__onnx_node *node)
{
  if (im->graph->status == QB_ERROR_NO_MEMORY)
    im->status = QB_ERROR_NO_MEMORY;
  else if (im->graph->status)
    qb__onnx_problem(im, node, "%s", qb_error_message());
  if (!im->status)
    im->graph->status = QB_OK;
}

/* A dropout that drops nothing is the same in training: PyTorch exports Swin's attention so. */
static bool drops(const qb__onnx_node *node)
{
  const qb__onnx_value *mode = qb__onnx_input(node, 2);
  float ratio = 0.5f;
  const bool idle = qb__onnx_number(qb__onnx_input(node, 1), &ratio) && ratio == 0;
  return mode && !idle &&
         (!qb__onnx_is_integer(mode) || mode->elements != 1 || *(const int64_t *)mode->data);
}

/* Before opset 14 a batch norm trains when it has more outputs than one. */
static bool is_training(qb__onnx *im, const qb__onnx_node *node)
{
  const Onnx__NodeProto *proto = node->proto;
  bool training = false;
  if (!strcmp(proto->op_type, "BatchNormalization")) {
    training = qb__onnx_int(node, "training_mode") != 0;
    for (size_t i = 1; im->opset < 14 && i < proto->n_output; i++)
      training = training || *proto->output[i];
  } else if (!strcmp(proto->op_type, "Dropout")) {
    training = drops(node);
  }
  if (training)
    qb__onnx_problem(im, node, "it is in training mode; export the model for inference");
  return training;
}

static bool reads_unknown(const qb__onnx_node *node, bool *constant)
{
  bool unknown = false;
  *constant = true;
  for (size_t i = 0; i < node->input_count; i++) {
    unknown = unknown || (node->inputs[i] && node->inputs[i]->kind == QB__ONNX_UNKNOWN);
    *constant = *constant && (!node->inputs[i] || node->inputs[i]->kind == QB__ONNX_CONSTANT);
  }
  return unknown;
}

static bool uses_other_outputs(qb__onnx *im, const qb__onnx_node *node)
{
  for (size_t i = 1; i < node->proto->n_output; i++) {
    const char *name = node->proto->output[i];
    const qb__onnx_value *extra = *name ? qb__onnx_find(im, name) : NULL;
    if (extra && extra->uses) {
      qb__onnx_problem(im, node, "only its first output is supported, and '%.64s' is used",
                       extra->name);
      return true;
    }
  }
  return false;
}

/* Whether an operator aligns constants that are repeated along the batch with its activations. */
static bool takes_repeated(const qb__onnx_operator *op)
{
  return op->map == qb__onnx_map_binary || op->map == qb__onnx_map_variadic ||
         op->map == qb__onnx_map_where || op->map == qb__onnx_map_concat;
}

/* Whether an operator works on what is of each sample without a dimension for the batch. */
static bool takes_batchless(const qb__onnx_operator *op)
{
  static qb__onnx_map *const those[] = {
      qb__onnx_map_activation, qb__onnx_map_binary,         qb__onnx_map_cast,
      qb__onnx_map_clip,       qb__onnx_map_conv_integer,   qb__onnx_map_dequantize,
      qb__onnx_map_identity,   qb__onnx_map_matmul_integer, qb__onnx_map_quantize,
      qb__onnx_map_variadic,   qb__onnx_map_where};
  for (size_t i = 0; i < sizeof those / sizeof *those; i++)
    if (op->map == those[i])
      return true;
  return false;
}

/* A problem where an operator does not take what has no batch. */
static bool all_have_batch(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_operator *op)
{
  for (size_t i = 0; im->batched && !takes_batchless(op) && i < node->input_count; i++) {
    const qb__onnx_value *v = node->inputs[i];
    if (v && v->kind == QB__ONNX_ACTIVATION && !v->batch_outer) {
      qb__onnx_problem(im, node,
                       "its input '%.64s' is one number of each sample, which this operator does "
                       "not take",
                       v->name);
      return false;
    }
  }
  return true;
}

static void map_node(qb__onnx *im, qb__onnx_node *node)
{
  bool constant;
  if (!qb__onnx_check(im, node) || reads_unknown(node, &constant))
    return; /* the node that should have made what is unknown has been named */
  const qb__onnx_operator *op = qb__onnx_operator_of(node->proto->op_type);
  if (is_training(im, node))
    return;
  if (constant && qb__onnx_fold(im, node))
    return;
  if (constant)
    qb__onnx_problem(
        im, node,
        "all of its inputs are constants, and the importer does not evaluate this operator");
  else if (!op)
    qb__onnx_problem(im, node, "it is supported only where it computes shapes from constants");
  if (constant || !op || (!op->all_outputs && uses_other_outputs(im, node)) ||
      !qb__onnx_check_types(im, node, op->accepts) || !all_have_batch(im, node, op) ||
      (!takes_repeated(op) && !qb__onnx_unrepeated(im, node)))
    return;
  for (size_t i = 0; i < node->input_count; i++)
    if (node->inputs[i])
      qb__onnx_narrow(node->inputs[i]);
  op->map(im, node);
  if (!im->status && !im->graph->status)
    qb__onnx_give_types(im, node, op->gives);
}

/* Frees a constant when its last reader has been mapped. */
static void release_inputs(qb__onnx *im, const qb__onnx_node *node)
{
  for (size_t i = 0; i < node->input_count; i++) {
    qb__onnx_value *value = node->inputs[i];
    if (value && value->uses && --value->uses == 0 && value->owned)
      qb__onnx_release(im, value);
  }
}

static void add_node(qb__onnx *im, const Onnx__NodeProto *proto, qb__onnx_value **inputs)
{
  qb__onnx_node node = {.proto = proto,
                        .label = qb__onnx_label(proto),
                        .opset = im->opset,
                        .input_count = proto->n_input,
                        .inputs = inputs};
  for (size_t i = 0; i < proto->n_input; i++) {
    inputs[i] = *proto->input[i] ? qb__onnx_find(im, proto->input[i]) : NULL;
    if (*proto->input[i] && !inputs[i]) {
      im->status = qb__fail(QB_ERROR_FORMAT, "node '%.64s' reads '%.64s', which nothing writes",
                            node.label, proto->input[i]);
      return;
    }
  }
  map_node(im, &node);
  take_graph_failure(im, &node);
  if (!im->status)
    release_inputs(im, &node);
}

static void add_nodes(qb__onnx *im, const Onnx__GraphProto *graph)
{
  size_t most = 0, count = 0;
  uint32_t *order = NULL;
  if (qb__onnx_sort(im, graph, &order, &count))
    return;
  add_uses(im, graph, order, count);
  for (size_t i = 0; i < count; i++)
    most = graph->node[order[i]]->n_input > most ? graph->node[order[i]]->n_input : most;
  qb__onnx_value **inputs = qb__calloc(im->context, most, sizeof(qb__onnx_value *));
  if (!inputs)
    im->status = QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < count && !im->status && !im->mixes; i++)
    add_node(im, graph->node[order[i]], inputs);
  qb__free(im->context, inputs);
  qb__free(im->context, order);
}

/* The caller gets memory of its own for each: what is an input, or an output already, is copied. */
static void add_results(qb__onnx *im, const Onnx__GraphProto *graph)
{
  for (size_t i = 0; i < graph->n_output && !im->status; i++) {
    const char *name = graph->output[i]->name;
    const qb__onnx_value *value = qb__onnx_find(im, name);
    if (!value) {
      im->status = qb__fail(QB_ERROR_FORMAT, "no node writes output '%.64s'", name);
    } else if (value->kind != QB__ONNX_ACTIVATION) {
      if (!im->problem_count)
        im->status = qb__fail(QB_ERROR_UNSUPPORTED,
                              "output '%.64s' does not depend on an input of the network", name);
    } else if (im->batched && !im->symbolic && im->batch != 1 &&
               (value->batch_axis != 0 || value->batch_outer != 1)) {
      /*
       * Of a fixed size, and not where a batch is given back: it is as much a part of each sample.
       */
      im->mixes = true;
      return;
    } else {
      qb__graph *g = im->graph;
      int32_t x = value->tensor;
      bool taken = false;
      for (size_t n = 0; n < g->input_count; n++)
        taken = taken || g->inputs[n] == x;
      for (size_t n = 0; n < g->output_count; n++)
        taken = taken || g->outputs[n] == x;
      if (taken)
        x = qb__graph_reshape(g, name, x, g->tensors[x].rank, g->tensors[x].dims);
      qb__graph_rename(g, x, name);
      qb__graph_output(g, x);
      im->status = g->status;
    }
  }
  if (!im->status && !graph->n_output)
    im->status = qb__fail(QB_ERROR_FORMAT, "the model has no outputs");
}

static void import(qb__onnx *im, Onnx__GraphProto *graph, bool may_batch)
{
  size_t most = graph->n_input + graph->n_initializer + 1;
  for (size_t i = 0; i < graph->n_node; i++)
    most += graph->node[i]->n_output;
  im->status = qb__onnx_values_init(im, most);
  if (!im->status)
    add_initializers(im, graph);
  if (!im->status)
    find_batch(im, graph, may_batch);
  if (!im->status)
    add_inputs(im, graph);
  if (!im->status)
    im->status = im->graph->status;
  if (!im->status && !im->graph->input_count)
    im->status = qb__fail(QB_ERROR_UNSUPPORTED, "the model has no inputs");
  if (!im->status)
    add_outputs(im, graph);
  if (!im->status)
    add_nodes(im, graph);
  if (!im->status && !im->mixes)
    add_results(im, graph);
  if (!im->status && im->problem_count && !im->mixes)
    im->status = qb__fail(QB_ERROR_UNSUPPORTED, "%zu node%s cannot be imported: %s%s",
                          im->problem_count, im->problem_count == 1 ? "" : "s", im->problems,
                          im->problem_bytes + 448 > sizeof im->problems ? "; ..." : "");
}

qb_status qb__onnx_import_parsed(Onnx__ModelProto *model, const qb__onnx_source *source,
                                 bool may_batch, qb__graph *graph, bool *mixes)
{
  qb__onnx im = {.context = graph->context,
                 .graph = graph,
                 .folder = source->folder,
                 .real_folder = source->real_folder};
  for (size_t i = 0; i < model->n_opset_import; i++)
    if (qb__onnx_is_standard(model->opset_import[i]->domain))
      im.opset = model->opset_import[i]->version;
  if (im.opset < QB__ONNX_OLDEST_OPSET || im.opset > QB__ONNX_NEWEST_OPSET)
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "the model is of opset %lld; %d to %d are supported: convert it",
                    (long long)im.opset, QB__ONNX_OLDEST_OPSET, QB__ONNX_NEWEST_OPSET);
  import(&im, model->graph, may_batch);
  qb__onnx_values_clear(&im);
  *mixes = im.mixes;
  return im.status;
}
