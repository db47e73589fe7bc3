/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers in bfloat16, whose sums are 32-bit floats. A result is bfloat16 where nothing reads it but
 * layers, and pools and reshapes on the way to these; layers convert other inputs themselves.
 */
#include "engine/lowering.h"

#include "core/alloc.h"
#include "engine/layer_choice.h"
#include "engine/network_plan_impl.h"
#include "model/graph_edit.h"

static bool has_weights(const qb__operator *op)
{
  return op->kind == QB__OP_CONVOLUTION || op->kind == QB__OP_DENSE || op->kind == QB__OP_LINEAR;
}

/* Whether oneDNN has a kernel for an operator in bfloat16, other than plain loops. */
static bool has_kernel(const qb__graph *graph, const qb__operator *op, struct dnnl_engine *engine)
{
  qb__primitive_spec spec = {.op = op};
  spec.source_dims = qb__plan_layer_dims(op, &graph->tensors[op->input], 1);
  spec.weights_dims = qb__plan_weights_dims(graph, op);
  spec.destination_dims = qb__plan_layer_dims(op, &graph->tensors[op->output], 1);
  spec.source_dims.type = spec.weights_dims.type = spec.destination_dims.type = QB__TYPE_BF16;
  qb__primitive primitive;
  if (qb__primitive_describe(graph->context, engine, &spec, &primitive))
    return false;
  const bool fast = !qb__is_slow(&primitive);
  qb__primitive_clear(graph->context, &primitive);
  return fast;
}

/* Layers are those whose weights are bfloat16 numbers. */
static void convert_weights(qb__graph *graph, struct dnnl_engine *engine)
{
  for (size_t i = 0; i < graph->operator_count; i++) {
    const qb__operator *op = &graph->operators[i];
    if (has_weights(op) && qb__users(graph, op->weights) == 1 && has_kernel(graph, op, engine))
      graph->tensors[op->weights].type = QB__TYPE_BF16;
  }
}

static bool is_layer(const qb__graph *graph, const qb__operator *op)
{
  return has_weights(op) && graph->tensors[op->weights].type == QB__TYPE_BF16;
}

static bool hands_on(const qb__operator *op)
{
  return op->kind == QB__OP_MAX_POOL || op->kind == QB__OP_AVERAGE_POOL ||
         op->kind == QB__OP_FLATTEN;
}

/* By tensor: what only layers read, directly or behind what hands it on. */
static void find_read_by_layers(const qb__graph *graph, bool *found)
{
  for (size_t t = 0; t < graph->tensor_count; t++)
    found[t] = !graph->tensors[t].constant;
  for (size_t i = 0; i < graph->output_count; i++)
    found[graph->outputs[i]] = false;
  for (size_t i = graph->operator_count; i-- > 0;) {
    const qb__operator *op = &graph->operators[i];
    const bool fits = is_layer(graph, op) || (hands_on(op) && found[op->output]);
    int32_t input;
    for (size_t j = 0; (input = qb__operator_input(op, j)) != QB__NONE; j++)
      found[input] = found[input] && fits;
  }
}

void qb__lower_bf16(qb__graph *graph, struct dnnl_engine *engine)
{
  bool *by_layers = qb__calloc(graph->context, graph->tensor_count, sizeof *by_layers);
  if (!by_layers) {
    graph->status = QB_ERROR_NO_MEMORY;
    return;
  }
  convert_weights(graph, engine);
  find_read_by_layers(graph, by_layers);
  for (size_t i = 0; i < graph->operator_count; i++) {
    const qb__operator *op = &graph->operators[i];
    const bool reads = hands_on(op) && graph->tensors[op->input].type == QB__TYPE_BF16;
    if (by_layers[op->output] && (is_layer(graph, op) || reads))
      graph->tensors[op->output].type = QB__TYPE_BF16;
  }
  qb__free(graph->context, by_layers);
}
