/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of 8 bits as bytes, what only moves them, and what reads and writes them in one pass. */
#include "engine/lowering.h"

#include "engine/kernel.h"
#include "model/graph_edit.h"

#include <float.h>

static bool is_number(const qb__graph *graph, int32_t constant)
{
  return constant == QB__NONE || graph->tensors[constant].elements == 1;
}

int32_t qb__lower_number(qb__graph *graph, const char *name, float value, float neutral)
{
  const int64_t one = 1;
  if (value == neutral)
    return QB__NONE;
  const int32_t constant = qb__graph_constant(graph, name, 1, &one);
  if (!graph->status)
    *graph->tensors[constant].constant = value;
  return constant;
}

float qb__lowered_number(const qb__graph *graph, int32_t constant, float neutral)
{
  return constant == QB__NONE ? neutral : *graph->tensors[constant].constant;
}

qb__byte_source qb__byte_source_of(const qb__graph *graph, int32_t tensor)
{
  const qb__operator *op = qb__maker(graph, tensor);
  if (!op || op->kind != QB__OP_DEQUANTIZE || !op->requantize.applies)
    return (qb__byte_source){QB__NONE, 0, 0};
  return (qb__byte_source){op->input, qb__lowered_number(graph, op->weights, 1),
                           qb__lowered_number(graph, op->bias, 0)};
}

/*
 * Puts an operator before `index` that reads bytes as reals; it writes `output`, or a new tensor
 * for QB__NONE.
 */
static int32_t insert_reals(qb__graph *graph, size_t index, const qb__byte_source *from,
                            int32_t output)
{
  const qb__operator *served = &graph->operators[index < graph->operator_count ? index : index - 1];
  const uint32_t origin = served->origin;
  const char *name = graph->tensors[from->tensor].name;
  const int32_t scale = qb__lower_number(graph, name, from->scale, 1);
  const int32_t zero = qb__lower_number(graph, name, from->zero, 0);
  const int32_t made = qb__graph_dequantize(graph, name, from->tensor, scale, zero, 0, -128, 255);
  if (graph->status)
    return QB__NONE;
  qb__operator *op = &graph->operators[graph->operator_count - 1];
  op->requantize.applies = true;
  op->origin = origin;
  if (output != QB__NONE)
    op->output = output;
  qb__move_last(graph, index);
  return output == QB__NONE ? made : output;
}

/* A new tensor of bytes with the dimensions of another one. */
static int32_t bytes_like(qb__graph *graph, int32_t tensor, qb__type type)
{
  const qb__tensor like = graph->tensors[tensor];
  const int32_t made = qb__graph_dequantize(graph, like.name, tensor, QB__NONE, QB__NONE, 0, 0, 0);
  if (graph->status)
    return QB__NONE;
  qb__remove_operator(graph, graph->operator_count - 1);
  graph->tensors[made].type = type;
  return made;
}

/* Where a result of a quantize is read as something else than by one scale and zero point. */
static bool reads_otherwise(const qb__graph *graph, const qb__operator *op)
{
  return op->kind != QB__OP_DEQUANTIZE || !is_number(graph, op->weights) ||
         !is_number(graph, op->bias);
}

/* Integers are `shift` more than the bytes that they become. */
static void read_as_bytes(qb__graph *graph, size_t writer, float shift)
{
  const int32_t bytes = graph->operators[writer].output;
  bool other = false;
  for (size_t i = writer + 1; i < graph->operator_count && !graph->status; i++) {
    qb__operator *op = &graph->operators[i];
    int32_t input;
    bool reads = false;
    for (size_t j = 0; (input = qb__operator_input(op, j)) != QB__NONE; j++)
      reads = reads || input == bytes;
    if (!reads)
      continue;
    if (reads_otherwise(graph, op)) {
      other = true;
      continue;
    }
    const float zero = qb__lowered_number(graph, op->bias, 0) - shift;
    const int32_t constant = qb__lower_number(graph, op->name, zero, 0);
    op = &graph->operators[i];
    op->bias = constant;
    op->requantize.applies = true;
  }
  for (size_t i = 0; i < graph->output_count; i++)
    other = other || graph->outputs[i] == bytes;
  if (!other || graph->status)
    return;
  /* The others read whole numbers, of which this operator alone reads the bytes. */
  const qb__byte_source plain = {bytes, 1, -shift};
  const int32_t numbers = insert_reals(graph, writer + 1, &plain, QB__NONE);
  for (size_t i = writer + 2; i < graph->operator_count && !graph->status; i++)
    if (!graph->operators[i].requantize.applies || graph->operators[i].input != bytes) {
      qb__operator *op = &graph->operators[i];
      op->input = op->input == bytes ? numbers : op->input;
      op->addend = op->addend == bytes ? numbers : op->addend;
      for (size_t j = 0; j < op->rest_count; j++)
        op->rest[j] = op->rest[j] == bytes ? numbers : op->rest[j];
    }
  for (size_t i = 0; i < graph->output_count; i++)
    graph->outputs[i] = graph->outputs[i] == bytes ? numbers : graph->outputs[i];
}

/* Whether 0 is in the middle of the integers that a quantize makes. */
static bool has_middle_zero(const qb__graph *graph, const qb__operator *op)
{
  return qb__lowered_number(graph, op->bias, 0) == op->alpha + 128;
}

/* Whether integers are only added to others, and the sum becomes unsigned bytes. */
static bool is_added_to_unsigned(const qb__graph *graph, int32_t integers)
{
  const qb__operator *op = qb__only_reader(graph, integers);
  if (!op || op->kind != QB__OP_DEQUANTIZE)
    return false;
  op = qb__only_reader(graph, op->output);
  if (!op || op->kind != QB__OP_ADD)
    return false;
  op = qb__only_reader(graph, op->output);
  if (op && op->kind == QB__OP_ACTIVATION)
    op = qb__only_reader(graph, op->output);
  return op && op->kind == QB__OP_QUANTIZE && !has_middle_zero(graph, op);
}

/* Reals that become integers of 8 bits by one scale become bytes. */
static void keep_bytes(qb__graph *graph, size_t index)
{
  qb__operator *op = &graph->operators[index];
  const float low = op->alpha;
  if (op->kind != QB__OP_QUANTIZE || !is_number(graph, op->weights) ||
      !is_number(graph, op->bias) || op->beta - low != 255 || (low != 0 && low != -128))
    return;
  /* Without VNNI, kernels on signed inputs halve their weights; layers add bytes of one type. */
  const bool is_signed =
      has_middle_zero(graph, op) && qb__has_vnni() && !is_added_to_unsigned(graph, op->output);
  const float shift = is_signed ? low + 128 : low;
  const float zero = qb__lowered_number(graph, op->bias, 0) - shift;
  const int32_t constant = qb__lower_number(graph, op->name, zero, 0);
  op = &graph->operators[index];
  op->bias = constant;
  op->alpha -= shift;
  op->beta -= shift;
  op->requantize.applies = true;
  graph->tensors[op->output].type = is_signed ? QB__TYPE_S8 : QB__TYPE_U8;
  read_as_bytes(graph, index, shift);
}

/* Whether an operator gives the same bytes in another place: what its inputs all have to be. */
static bool moves(const qb__operator *op)
{
  switch (op->kind) {
  case QB__OP_MAX_POOL:
  case QB__OP_CONCAT:
  case QB__OP_TRANSPOSE:
  case QB__OP_FLATTEN: return true;
  case QB__OP_PAD: return op->value == 0;
  default: return false;
  }
}

static bool same_source(const qb__graph *graph, const qb__byte_source *a, const qb__byte_source *b)
{
  return a->tensor != QB__NONE && b->tensor != QB__NONE && a->scale == b->scale &&
         a->zero == b->zero && graph->tensors[a->tensor].type == graph->tensors[b->tensor].type;
}

/* Moves bytes, and reads them as reals afterwards: a pool takes the largest of either. */
static bool sink(qb__graph *graph, size_t index)
{
  qb__operator *op = &graph->operators[index];
  qb__byte_source from = qb__byte_source_of(graph, op->input);
  int32_t input;
  if (!moves(op) || from.tensor == QB__NONE || !(from.scale > 0))
    return false;
  for (size_t i = 1; (input = qb__operator_input(op, i)) != QB__NONE; i++) {
    const qb__byte_source other = qb__byte_source_of(graph, input);
    if (!same_source(graph, &from, &other))
      return false;
  }
  for (size_t i = 0; i < op->rest_count; i++)
    op->rest[i] = qb__byte_source_of(graph, op->rest[i]).tensor;
  op->input = from.tensor;
  op->value = op->kind == QB__OP_PAD ? from.zero : op->value;
  const int32_t reals = op->output;
  const int32_t bytes = bytes_like(graph, reals, graph->tensors[from.tensor].type);
  if (graph->status)
    return false;
  graph->operators[index].output = from.tensor = bytes;
  insert_reals(graph, index + 1, &from, reals);
  return true;
}

/* Bytes that are read and written by the same scale and zero point stay what they are. */
static bool cancel(qb__graph *graph, size_t index)
{
  const qb__operator *op = &graph->operators[index];
  if (op->kind != QB__OP_QUANTIZE || !op->requantize.applies)
    return false;
  const qb__byte_source from = qb__byte_source_of(graph, op->input);
  const qb__byte_source to = {op->output, qb__lowered_number(graph, op->weights, 1),
                              qb__lowered_number(graph, op->bias, 0)};
  if (!same_source(graph, &from, &to))
    return false;
  qb__replace_tensor(graph, op->output, from.tensor);
  qb__remove_operator(graph, index);
  return true;
}

/* Lets an operator between a dequantize and a quantize read and write the bytes. */
static void join(qb__graph *graph, size_t index)
{
  qb__operator *op = &graph->operators[index];
  const qb__byte_source from = qb__byte_source_of(graph, op->input);
  const qb__operator *to = qb__only_reader(graph, op->output);
  if (from.tensor == QB__NONE || !to || to->kind != QB__OP_QUANTIZE || !to->requantize.applies ||
      !qb__kernel_computes_bytewise(op, graph->tensors[op->output].rank, from.scale))
    return;
  const float scale = qb__lowered_number(graph, to->weights, 1);
  if (!(from.scale > 0 && scale > 0 && from.scale / scale <= FLT_MAX && 1 / scale <= FLT_MAX))
    return;
  op->requantize = (qb__requantize){.applies = true,
                                    .step = from.scale,
                                    .offset = from.zero,
                                    .last_step = 1 / scale,
                                    .last_offset = qb__lowered_number(graph, to->bias, 0)};
  op->input = from.tensor;
  op->output = to->output;
  qb__remove_operator(graph, (size_t)(to - graph->operators));
}

void qb__lower_bytes(qb__graph *graph)
{
  for (size_t i = 0; i < graph->operator_count && !graph->status; i++)
    keep_bytes(graph, i);
  for (size_t i = 0; i < graph->operator_count && !graph->status;)
    if (!cancel(graph, i)) {
      sink(graph, i);
      i++;
    }
  for (size_t i = 0; i < graph->operator_count && !graph->status; i++)
    join(graph, i);
  qb__drop_unread(graph);
}
