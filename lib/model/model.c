/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model_data.h"
#include "model/model_impl.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "model/builtin.h"
#include "model/fingerprint.h"
#include "model/saturation.h"

#include <qosbatch/inspect.h>
#include <qosbatch/quantize.h>

#include <math.h>
#include <string.h>

static const struct {
  const char *name;
  const qb__builtin_size *size;
  void (*build)(qb__graph *, const qb__builtin_size *);
} builtins[] = {
    {"alexnet", &qb__alexnet_size, qb__build_alexnet},
    {"resnet50", &qb__resnet50_size, qb__build_resnet50},
};

/* Bytes from `text` on that are one character of UTF-8 (RFC 3629); 0: none is. */
static size_t character_bytes(const unsigned char *text)
{
  static const struct {
    unsigned char first, last, least, most; /* first byte; second byte */
    size_t bytes;
  } forms[] = {
      {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
      {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
      {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
  for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
    if (*text < forms[f].first || *text > forms[f].last)
      continue;
    for (size_t i = 1; i < forms[f].bytes; i++)
      if (text[i] < (i == 1 ? forms[f].least : 0x80) || text[i] > (i == 1 ? forms[f].most : 0xbf))
        return 0;
    return forms[f].bytes;
  }
  return 0;
}

/* File systems take any bytes for a name, profiles only text. */
static void make_text(char *name)
{
  for (size_t bytes; *name; name += bytes ? bytes : 1)
    if (!(bytes = character_bytes((const unsigned char *)name)))
      *name = '_';
}

static qb_status new_model(qb_context *context, const char *name, qb_model **model)
{
  qb_model *self = qb__calloc(context, 1, sizeof *self);
  char *copy = self ? qb__strdup(context, name) : NULL;
  if (!copy) {
    qb__free(context, self);
    return QB_ERROR_NO_MEMORY;
  }
  make_text(copy);
  qb__refcount_init(&self->references);
  self->context = qb_context_ref(context);
  self->info.name = copy;
  qb__graph_init(&self->graph, context);
  *model = self;
  return QB_OK;
}

qb_status qb__model_from_graph(qb__graph *graph, const char *name, qb_model **model)
{
  qb_model *self = NULL;
  uint64_t network = 0;
  qb_status status = graph->status ? graph->status : qb__graph_fingerprint(graph, &network);
  if (!status)
    status = qb__graph_optimize(graph);
  if (!status)
    status = new_model(graph->context, name, &self);
  if (status) {
    qb__graph_clear(graph);
    return status;
  }
  self->graph = *graph;
  self->network = network;
  qb__graph_init(graph, self->context);

  const qb__graph *g = &self->graph;
  self->info.inputs = (uint32_t)g->input_count;
  self->info.outputs = (uint32_t)g->output_count;
  self->info.operators = (uint32_t)g->operator_count;
  for (size_t i = 0; i < g->operator_count; i++) {
    const qb__operator *op = &g->operators[i];
    self->info.flops_per_sample += qb__operator_flops(g, op);
    self->info.weight_bytes += qb__operator_weight_bytes(g, op);
    self->bytes_per_sample += (double)qb__operator_activation_bytes(g, op);
    if (op->kind != QB__OP_FLATTEN)
      self->info.activation_bytes_per_sample += g->tensors[op->output].elements * sizeof(float);
  }
  *model = self;
  return QB_OK;
}

qb_status qb_model_builtin(qb_context *context, const char *name, qb_model **model)
{
  if (!context || !name || !model)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !context ? "context"
                    : !name  ? "name"
                             : "model");
  for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
    if (!strcmp(builtins[i].name, name)) {
      qb__graph graph;
      qb__graph_init(&graph, context);
      builtins[i].build(&graph, builtins[i].size);
      return qb__model_from_graph(&graph, name, model);
    }
  return qb__fail(QB_ERROR_NOT_FOUND,
                  "unknown built-in model '%.64s'; expected 'alexnet' or 'resnet50'", name);
}

#ifndef QB_HAVE_ONNX
qb_status qb_model_load_onnx(qb_context *context, const char *path, qb_model **model)
{
  (void)context, (void)model;
  return qb__fail(QB_ERROR_UNSUPPORTED,
                  "'%.256s' cannot be read: this libqosbatch was built without ONNX; use a build "
                  "with -Donnx=enabled",
                  path ? path : "");
}
#endif

qb_status qb_model_from_workload(qb_context *context, const qb_workload *workload, qb_model **model)
{
  if (!context || !model)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", !context ? "context" : "model");
  qb_workload copy;
  qb_status status = QB__STRUCT_IN(qb_workload, &copy, workload);
  if (status)
    return status;
  if (!copy.name || !*copy.name || !copy.run)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "qb_workload.%s is not set",
                    copy.run ? "name" : "run");
  if (!(copy.flops_per_sample >= 0) || !isfinite(copy.flops_per_sample) ||
      !(copy.bytes_per_sample >= 0) || !isfinite(copy.bytes_per_sample))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "qb_workload: %g FLOP and %g bytes per sample must be finite and not negative; "
                    "use 0 if unknown",
                    copy.flops_per_sample, copy.bytes_per_sample);
  qb_model *self;
  status = new_model(context, copy.name, &self);
  if (status)
    return status;
  self->is_workload = true;
  self->workload = copy;
  self->workload.name = self->info.name;
  self->info.flops_per_sample = copy.flops_per_sample;
  self->info.weight_bytes = copy.weight_bytes;
  self->bytes_per_sample = copy.bytes_per_sample;
  *model = self;
  return QB_OK;
}

qb_status qb_model_get_info(const qb_model *model, qb_model_info *info)
{
  if (!model)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "model is NULL");
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_model_info, info);
  if (!status)
    QB__STRUCT_OUT(qb_model_info, info, &model->info);
  return status;
}

/* Does every operator that reads a tensor move its last dimension to the front? */
static bool is_channels_last(const qb__graph *graph, int32_t tensor)
{
  const uint32_t last = graph->tensors[tensor].rank - 1;
  size_t readers = 0, movers = 0;
  for (size_t i = 0; i < graph->operator_count; i++) {
    const qb__operator *op = &graph->operators[i];
    size_t reads = 0;
    int32_t read;
    for (size_t k = 0; (read = qb__operator_input(op, k)) != QB__NONE; k++)
      reads += read == tensor;
    readers += reads > 0;
    movers += reads > 0 && op->kind == QB__OP_TRANSPOSE && last > 0 && op->order[0] == last;
  }
  return readers > 0 && movers == readers;
}

static qb_status get_tensor(const qb_model *model, const char *what, uint32_t index, uint32_t count,
                            const int32_t *tensors, qb_tensor_info *info)
{
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_tensor_info, info);
  if (status)
    return status;
  if (index >= count)
    return qb__fail(QB_ERROR_NOT_FOUND, "model '%s' has no %s %u; it has %u", model->info.name,
                    what, index, count);
  const qb__tensor *t = &model->graph.tensors[tensors[index]];
  qb_tensor_info found = QB_TENSOR_INFO_INIT;
  found.name = t->name;
  found.rank = t->rank;
  memcpy(found.dims, t->dims, sizeof found.dims);
  found.elements_per_sample = t->elements;
  found.channels_last = is_channels_last(&model->graph, tensors[index]);
  QB__STRUCT_OUT(qb_tensor_info, info, &found);
  return QB_OK;
}

qb_status qb_model_get_input(const qb_model *model, uint32_t index, qb_tensor_info *info)
{
  if (!model)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "model is NULL");
  return get_tensor(model, "input", index, model->info.inputs, model->graph.inputs, info);
}

qb_status qb_model_get_output(const qb_model *model, uint32_t index, qb_tensor_info *info)
{
  if (!model)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "model is NULL");
  return get_tensor(model, "output", index, model->info.outputs, model->graph.outputs, info);
}

qb_status qb_model_get_operator(const qb_model *model, uint32_t index, qb_operator_info *info)
{
  if (!model)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "model is NULL");
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_operator_info, info);
  if (status)
    return status;
  const qb__graph *g = &model->graph;
  if (index >= g->operator_count)
    return qb__fail(QB_ERROR_NOT_FOUND, "model '%s' has no operator %u; it has %zu",
                    model->info.name, index, g->operator_count);
  const qb__operator *op = &g->operators[index];
  const qb__saturation saturation = qb__layer_saturation(g, op);
  const qb_operator_info found = {sizeof found,
                                  op->name,
                                  qb__operator_kind_name(op),
                                  qb__operator_flops(g, op),
                                  qb__operator_activation_bytes(g, op),
                                  qb__operator_weight_bytes(g, op),
                                  saturation != QB__NOT_OF_INTEGERS,
                                  saturation == QB__CAN_SATURATE};
  QB__STRUCT_OUT(qb_operator_info, info, &found);
  return QB_OK;
}

qb_status qb_model_get_file(const qb_model *model, uint32_t index, const char **path)
{
  if (!model || !path)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", model ? "path" : "model");
  const size_t own = model->graph.file_count;
  if (index >= own && model->int8)
    return qb_model_get_file(model->int8, index - (uint32_t)own, path);
  if (index >= own)
    return qb__fail(QB_ERROR_NOT_FOUND, "model '%s' was read from %zu files; there is no file %u",
                    model->info.name, own, index);
  *path = model->graph.files[index];
  return QB_OK;
}

qb_model *qb_model_ref(qb_model *model)
{
  if (model)
    qb__refcount_take(&model->references);
  return model;
}

void qb_model_unref(qb_model *model)
{
  if (!model || !qb__refcount_drop(&model->references))
    return;
  qb_context *context = model->context;
  if (!model->f32)
    qb__graph_clear(&model->graph);
  qb_model_unref(model->f32);
  qb_model_unref(model->int8);
  qb__free(context, model->info.name);
  qb__free(context, model);
  qb_context_unref(context);
}

/* The same number of the same tensors, whatever their names. */
static qb_status check_same(const qb_model *model, const qb_model *quantized, const char *what,
                            qb_status (*get)(const qb_model *, uint32_t, qb_tensor_info *),
                            uint32_t count, uint32_t quantized_count)
{
  if (count != quantized_count)
    return qb__fail(QB_ERROR_MISMATCH, "'%.64s' has %u %ss, its quantized form '%.64s' %u",
                    model->info.name, count, what, quantized->info.name, quantized_count);
  for (uint32_t i = 0; i < count; i++) {
    qb_tensor_info a = QB_TENSOR_INFO_INIT, b = QB_TENSOR_INFO_INIT;
    qb_status status = get(model, i, &a);
    if (!status)
      status = get(quantized, i, &b);
    if (status)
      return status;
    if (a.rank != b.rank || memcmp(a.dims, b.dims, sizeof a.dims) != 0)
      return qb__fail(
          QB_ERROR_MISMATCH,
          "%s %u ('%.64s') of '%.64s' has another shape than that of its quantized form "
          "'%.64s'; quantize this network",
          what, i, a.name, model->info.name, quantized->info.name);
  }
  return QB_OK;
}

static qb_status check_join(const qb_model *model, const qb_model *quantized)
{
  if (model->is_workload || quantized->is_workload || model->f32 || quantized->f32)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "'%.64s' and '%.64s': join two networks; a workload gets the precision in its "
                    "configuration",
                    model->info.name, quantized->info.name);
  const qb_status status = check_same(model, quantized, "input", qb_model_get_input,
                                      model->info.inputs, quantized->info.inputs);
  return status ? status
                : check_same(model, quantized, "output", qb_model_get_output, model->info.outputs,
                             quantized->info.outputs);
}

qb_status qb_model_join_int8(qb_model *model, qb_model *quantized, qb_model **joined)
{
  if (!model || !quantized || !joined)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !model       ? "model"
                    : !quantized ? "quantized"
                                 : "joined");
  qb_model *self = NULL;
  qb_status status = check_join(model, quantized);
  if (!status)
    status = new_model(model->context, model->info.name, &self);
  if (status)
    return status;
  const char *name = self->info.name;
  self->info = model->info;
  self->info.name = name;
  self->bytes_per_sample = model->bytes_per_sample;
  self->network = model->network;
  self->graph = model->graph;
  self->f32 = qb_model_ref(model);
  self->int8 = qb_model_ref(quantized);
  *joined = self;
  return QB_OK;
}

qb_model *qb__model_in(const qb_model *model, qb_precision precision)
{
  return !model->f32                      ? (qb_model *)(uintptr_t)model
         : precision == QB_PRECISION_INT8 ? model->int8
                                          : model->f32;
}

qb_context *qb__model_context(const qb_model *model)
{
  return model->context;
}

const qb_model_info *qb__model_info(const qb_model *model)
{
  return &model->info;
}

bool qb__model_is_workload(const qb_model *model)
{
  return model->is_workload;
}

const qb_workload *qb__model_workload(const qb_model *model)
{
  return &model->workload;
}

const qb__graph *qb__model_graph(const qb_model *model)
{
  return &model->graph;
}

uint64_t qb__model_network(const qb_model *model)
{
  return model->network;
}

double qb__model_bytes_per_sample(const qb_model *model)
{
  return model->bytes_per_sample;
}
