/* SPDX-License-Identifier: Apache-2.0 */
/* Pools, norms and reductions. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/onnx_write_impl.h"

#include <string.h>

/* The axes of samples that `axes` has as bits, as those of tensors with a batch. */
static size_t list_axes(uint32_t axes, int64_t *list)
{
  size_t count = 0;
  for (int64_t i = 0; i < QB_MAX_DIMS; i++)
    if (axes >> i & 1)
      list[count++] = i + 1;
  return count;
}

static void write_reduce(qb__onnx_writer *w, const qb__operator *op, qb__reduction reduction,
                         uint32_t axes, const char *in, const char *out)
{
  static const char *const kinds[QB__REDUCTION_COUNT] = {
      [QB__REDUCTION_MEAN] = "ReduceMean",      [QB__REDUCTION_MAX] = "ReduceMax",
      [QB__REDUCTION_MIN] = "ReduceMin",        [QB__REDUCTION_SUM] = "ReduceSum",
      [QB__REDUCTION_PRODUCT] = "ReduceProd",   [QB__REDUCTION_L1] = "ReduceL1",
      [QB__REDUCTION_L2] = "ReduceL2",          [QB__REDUCTION_SUM_SQUARE] = "ReduceSumSquare",
      [QB__REDUCTION_LOG_SUM] = "ReduceLogSum", [QB__REDUCTION_LOG_SUM_EXP] = "ReduceLogSumExp"};
  int64_t list[QB_MAX_DIMS];
  const size_t count = list_axes(axes, list);
  if (reduction == QB__REDUCTION_SUM) { /* an input from opset 13 on, of the others from 18 on */
    const qb__onnx_name row = qb__onnx_write_row(w, op, count, list);
    qb__onnx_write_node(w, op, kinds[reduction], out, in, row.text, NULL);
  } else {
    qb__onnx_write_node(w, op, kinds[reduction], out, in, NULL);
    qb__onnx_write_ints(w, "axes", count, list, NULL);
  }
  qb__onnx_write_end(w);
}

static void write_arg(qb__onnx_writer *w, const qb__operator *op, const char *in, const char *out)
{
  const qb__onnx_name index = qb__onnx_write_fresh(w, op->name);
  qb__onnx_write_node(w, op, op->largest ? "ArgMax" : "ArgMin", index.text, in, NULL);
  qb__onnx_write_int(w, "axis", (int64_t)op->axis + 1);
  qb__onnx_write_int(w, "select_last_index", op->last);
  qb__onnx_write_end(w);
  qb__onnx_write_node(w, op, "Cast", out, index.text, NULL);
  qb__onnx_write_int(w, "to", QB__ONNX_TYPE_FLOAT);
  qb__onnx_write_end(w);
}

/* Scale and shift of a norm, of the given dimensions, behind what is normalised. */
static void write_scaling(qb__onnx_writer *w, const qb__operator *op, uint32_t rank,
                          const int64_t *dims, const char *in, const char *out)
{
  const qb__tensor *t = w->graph->tensors;
  qb__onnx_name product = {""};
  if (op->weights != QB__NONE) {
    const qb__onnx_name c = qb__onnx_write_floats(w, op, rank, dims, t[op->weights].constant);
    product = qb__onnx_write_fresh(w, op->name);
    qb__onnx_write_node(w, op, "Mul", op->bias == QB__NONE ? out : product.text, in, c.text, NULL);
    qb__onnx_write_end(w);
    in = product.text;
  }
  if (op->bias != QB__NONE) {
    const qb__onnx_name c = qb__onnx_write_floats(w, op, rank, dims, t[op->bias].constant);
    qb__onnx_write_node(w, op, "Add", out, in, c.text, NULL);
    qb__onnx_write_end(w);
  }
}

static bool is_scaled(const qb__operator *op)
{
  return op->weights != QB__NONE || op->bias != QB__NONE;
}

/* An operator of its own came with opset 17. */
static void write_layer_norm(qb__onnx_writer *w, const qb__operator *op, const char *in,
                             const char *out)
{
  const qb__tensor *t = &w->graph->tensors[op->input];
  const uint32_t axes = ((UINT32_C(1) << t->rank) - 1) & ~((UINT32_C(1) << op->axis) - 1);
  const qb__onnx_name mean = qb__onnx_write_fresh(w, op->name);
  write_reduce(w, op, QB__REDUCTION_MEAN, axes, in, mean.text);
  const qb__onnx_name centred = qb__onnx_write_step(w, op, "Sub", in, mean.text);
  const qb__onnx_name square = qb__onnx_write_step(w, op, "Mul", centred.text, centred.text);
  const qb__onnx_name variance = qb__onnx_write_fresh(w, op->name);
  write_reduce(w, op, QB__REDUCTION_MEAN, axes, square.text, variance.text);
  const qb__onnx_name epsilon = qb__onnx_write_number(w, op, op->epsilon);
  const qb__onnx_name sum = qb__onnx_write_step(w, op, "Add", variance.text, epsilon.text);
  const qb__onnx_name deviation = qb__onnx_write_step(w, op, "Sqrt", sum.text, NULL);
  const qb__onnx_name normalised = qb__onnx_write_fresh(w, op->name);
  qb__onnx_write_node(w, op, "Div", is_scaled(op) ? normalised.text : out, centred.text,
                      deviation.text, NULL);
  qb__onnx_write_end(w);
  write_scaling(w, op, t->rank - op->axis, t->dims + op->axis, normalised.text, out);
}

/* `count` times the same number. */
static qb__onnx_name write_repeated(qb__onnx_writer *w, const qb__operator *op, int64_t count,
                                    float value)
{
  const qb__onnx_name name = qb__onnx_write_fresh(w, op->name);
  uint8_t *room =
      qb__onnx_write_constant(w, name.text, QB__ONNX_TYPE_FLOAT, 1, &count, sizeof value);
  for (int64_t i = 0; room && i < count; i++)
    memcpy(room + (size_t)i * sizeof value, &value, sizeof value);
  return name;
}

/* Each group as a channel of an instance norm. */
static void write_group_norm(qb__onnx_writer *w, const qb__operator *op, const char *in,
                             const char *out)
{
  const qb__tensor *t = &w->graph->tensors[op->input];
  const int64_t rows[2] = {op->groups, (int64_t)t->elements / op->groups};
  const qb__onnx_name grouped = qb__onnx_write_fresh(w, op->name);
  qb__onnx_write_reshape(w, op, 2, rows, in, grouped.text);
  const qb__onnx_name one = write_repeated(w, op, op->groups, 1);
  const qb__onnx_name zero = write_repeated(w, op, op->groups, 0);
  const qb__onnx_name normalised = qb__onnx_write_fresh(w, op->name);
  qb__onnx_write_node(w, op, "InstanceNormalization", normalised.text, grouped.text, one.text,
                      zero.text, NULL);
  qb__onnx_write_float(w, "epsilon", op->epsilon);
  qb__onnx_write_end(w);
  const qb__onnx_name image = qb__onnx_write_fresh(w, op->name);
  qb__onnx_write_reshape(w, op, t->rank, t->dims, normalised.text,
                         is_scaled(op) ? image.text : out);
  const int64_t dims[QB_MAX_DIMS] = {t->dims[0], 1, 1, 1, 1, 1, 1};
  write_scaling(w, op, t->rank, dims, image.text, out);
}

static void write_pool(qb__onnx_writer *w, const qb__operator *op, const char *in, const char *out)
{
  const bool max = op->kind == QB__OP_MAX_POOL;
  qb__onnx_write_node(w, op, max ? "MaxPool" : "AveragePool", out, in, NULL);
  qb__onnx_write_window(w, op, max);
  if (!max)
    qb__onnx_write_int(w, "count_include_pad", op->include_padding);
  qb__onnx_write_end(w);
}

/* An average of a whole image has an operator of its own, which engines know better. */
static bool is_of_image(const qb__onnx_writer *w, const qb__operator *op)
{
  const qb__tensor *in = &w->graph->tensors[op->input], *out = &w->graph->tensors[op->output];
  bool all = op->kind == QB__OP_AVERAGE_POOL;
  for (uint32_t i = 1; all && i < in->rank; i++)
    all = out->dims[i] == 1 && op->window.kernel[i - 1] == in->dims[i] &&
          !op->window.pad_before[i - 1] && !op->window.pad_after[i - 1];
  return all;
}

static void write_lrn(qb__onnx_writer *w, const qb__operator *op, const char *in, const char *out)
{
  qb__onnx_write_node(w, op, "LRN", out, in, NULL);
  qb__onnx_write_int(w, "size", op->lrn_size);
  qb__onnx_write_float(w, "alpha", op->lrn_alpha);
  qb__onnx_write_float(w, "beta", op->lrn_beta);
  qb__onnx_write_float(w, "bias", op->lrn_k);
  qb__onnx_write_end(w);
}

void qb__onnx_write_reduction(qb__onnx_writer *w, const qb__operator *op, const char *in,
                              const char *out)
{
  switch (op->kind) {
  case QB__OP_LRN: write_lrn(w, op, in, out); break;
  case QB__OP_SOFTMAX:
    qb__onnx_write_node(w, op, op->logarithm ? "LogSoftmax" : "Softmax", out, in, NULL);
    qb__onnx_write_int(w, "axis", (int64_t)op->axis + 1);
    qb__onnx_write_end(w);
    break;
  case QB__OP_REDUCE: write_reduce(w, op, op->reduction, op->axes, in, out); break;
  case QB__OP_ARG: write_arg(w, op, in, out); break;
  case QB__OP_LAYER_NORM: write_layer_norm(w, op, in, out); break;
  case QB__OP_GROUP_NORM: write_group_norm(w, op, in, out); break;
  default:
    if (is_of_image(w, op)) {
      qb__onnx_write_node(w, op, "GlobalAveragePool", out, in, NULL);
      qb__onnx_write_end(w);
    } else {
      write_pool(w, op, in, out);
    }
  }
}
