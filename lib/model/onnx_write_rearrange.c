/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that move elements. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/onnx_write_impl.h"

#include <math.h>
#include <string.h>

/* A constant, which has no batch, once for each sample: as many as the first input has. */
static qb__onnx_name write_batched(qb__onnx_writer *w, const qb__operator *op, int32_t constant)
{
  const qb__tensor *t = &w->graph->tensors[constant];
  static const int64_t first[1] = {0}, behind[1] = {1};
  int64_t ones[QB_MAX_DIMS];
  for (uint32_t i = 0; i < t->rank; i++)
    ones[i] = 1;
  const char *input = qb__onnx_write_name(w, w->graph->inputs[0]);
  const qb__onnx_name all = qb__onnx_write_step(w, op, "Shape", input, NULL);
  const qb__onnx_name from = qb__onnx_write_row(w, op, 1, first);
  const qb__onnx_name to = qb__onnx_write_row(w, op, 1, behind);
  const qb__onnx_name rest = qb__onnx_write_row(w, op, t->rank, ones);
  const qb__onnx_name batch = qb__onnx_write_fresh(w, op->name);
  qb__onnx_write_node(w, op, "Slice", batch.text, all.text, from.text, to.text, NULL);
  qb__onnx_write_end(w);
  const qb__onnx_name shape = qb__onnx_write_fresh(w, op->name);
  qb__onnx_write_node(w, op, "Concat", shape.text, batch.text, rest.text, NULL);
  qb__onnx_write_int(w, "axis", 0);
  qb__onnx_write_end(w);
  return qb__onnx_write_step(w, op, "Expand", qb__onnx_write_name(w, constant), shape.text);
}

/* All inputs of an operator one behind the other. */
static void write_joined(qb__onnx_writer *w, const qb__operator *op, const char *out)
{
  const size_t count = op->rest_count + 1;
  qb__onnx_name *names = qb__calloc(w->graph->context, count, sizeof *names);
  if (!names) {
    w->out.status = QB_ERROR_NO_MEMORY;
    return;
  }
  for (size_t i = 0; i < count; i++)
    if (w->graph->tensors[qb__operator_input(op, i)].constant)
      names[i] = write_batched(w, op, qb__operator_input(op, i));
  qb__onnx_write_node(w, op, "Concat", out, NULL);
  for (size_t i = 0; i < count; i++)
    qb__onnx_write_more(w, *names[i].text ? names[i].text
                                          : qb__onnx_write_name(w, qb__operator_input(op, i)));
  qb__onnx_write_int(w, "axis", (int64_t)op->axis + 1);
  qb__onnx_write_end(w);
  qb__free(w->graph->context, names);
}

/* Padding, then what is cut off. */
static void write_pad(qb__onnx_writer *w, const qb__operator *op, uint32_t rank,
                      const int64_t *before, const int64_t *after, const char *in, const char *out)
{
  int64_t pads[2 * (QB_MAX_DIMS + 1)] = {0};
  memcpy(pads + 1, before, rank * sizeof *pads);
  memcpy(pads + rank + 2, after, rank * sizeof *pads);
  const qb__onnx_name row = qb__onnx_write_row(w, op, 2 * ((size_t)rank + 1), pads);
  const qb__onnx_name value = qb__onnx_write_number(w, op, op->value);
  qb__onnx_write_node(w, op, "Pad", out, in, row.text, value.text, NULL);
  qb__onnx_write_end(w);
}

static void write_own_pad(qb__onnx_writer *w, const qb__operator *op, const char *in,
                          const char *out)
{
  const qb__tensor *x = &w->graph->tensors[op->input], *y = &w->graph->tensors[op->output];
  int64_t after[QB_MAX_DIMS];
  for (uint32_t i = 0; i < x->rank; i++)
    after[i] = y->dims[i] - x->dims[i] - op->before[i];
  write_pad(w, op, x->rank, op->before, after, in, out);
}

/* One tap of each element: `behind` is where the value lies that -1 stands for. */
static void write_gather(qb__onnx_writer *w, const qb__operator *op, uint32_t tap, int64_t behind,
                         const char *in, const char *out)
{
  const qb__tensor *y = &w->graph->tensors[op->output];
  const size_t count = (size_t)y->dims[op->axis];
  int64_t *indices = qb__calloc(w->graph->context, count, sizeof *indices);
  if (!indices) {
    w->out.status = QB_ERROR_NO_MEMORY;
    return;
  }
  for (size_t i = 0; i < count; i++) {
    const int64_t index = op->indices[i * op->taps + tap];
    indices[i] = index < 0 ? behind : index;
  }
  const qb__onnx_name row = qb__onnx_write_row(w, op, count, indices);
  qb__free(w->graph->context, indices);
  qb__onnx_write_node(w, op, "Gather", out, in, row.text, NULL);
  qb__onnx_write_int(w, "axis", (int64_t)op->axis + 1);
  qb__onnx_write_end(w);
}

/* The factors of one tap, to multiply elements with. */
static qb__onnx_name write_factors(qb__onnx_writer *w, const qb__operator *op, uint32_t tap)
{
  const qb__tensor *y = &w->graph->tensors[op->output];
  int64_t dims[QB_MAX_DIMS] = {1, 1, 1, 1, 1, 1, 1};
  dims[op->axis] = y->dims[op->axis];
  const qb__onnx_name name = qb__onnx_write_fresh(w, op->name);
  uint8_t *room =
      qb__onnx_write_constant(w, name.text, QB__ONNX_TYPE_FLOAT, y->rank, dims, sizeof(float));
  for (int64_t i = 0; room && i < dims[op->axis]; i++)
    memcpy(room + (size_t)i * sizeof(float), &op->factors[(size_t)i * op->taps + tap],
           sizeof(float));
  return name;
}

/* What the taps of a pick are of: all inputs, and behind them the value where one is named. */
static const char *write_picked(qb__onnx_writer *w, const qb__operator *op, const char *in,
                                qb__onnx_name made[2], int64_t *behind)
{
  const qb__graph *g = w->graph;
  const qb__tensor *x = &g->tensors[op->input];
  const size_t taps = (size_t)g->tensors[op->output].dims[op->axis] * op->taps;
  bool outside = false;
  *behind = 0;
  for (size_t i = 0; i <= op->rest_count; i++)
    *behind += g->tensors[qb__operator_input(op, i)].dims[op->axis];
  for (size_t i = 0; i < taps; i++)
    outside = outside || op->indices[i] < 0;
  if (op->rest_count) {
    made[0] = qb__onnx_write_fresh(w, op->name);
    write_joined(w, op, made[0].text);
    in = made[0].text;
  }
  if (outside) {
    made[1] = qb__onnx_write_fresh(w, op->name);
    const int64_t none[QB_MAX_DIMS] = {0};
    int64_t one[QB_MAX_DIMS] = {0};
    one[op->axis] = 1;
    write_pad(w, op, x->rank, none, one, in, made[1].text);
    in = made[1].text;
  }
  return in;
}

static void write_pick(qb__onnx_writer *w, const qb__operator *op, const char *in, const char *out)
{
  int64_t behind;
  qb__onnx_name made[2];
  in = write_picked(w, op, in, made, &behind);
  if (op->taps == 1 && !op->factors) {
    write_gather(w, op, 0, behind, in, out);
    return;
  }
  qb__onnx_name sum = {""};
  for (uint32_t t = 0; t < op->taps; t++) {
    const bool last = t + 1 == op->taps;
    qb__onnx_name part = qb__onnx_write_fresh(w, op->name);
    write_gather(w, op, t, behind, in, part.text);
    if (op->factors) {
      const qb__onnx_name factors = write_factors(w, op, t);
      const qb__onnx_name product = qb__onnx_write_fresh(w, op->name);
      qb__onnx_write_node(w, op, "Mul", last && t == 0 ? out : product.text, part.text,
                          factors.text, NULL);
      qb__onnx_write_end(w);
      part = product;
    }
    if (t > 0) {
      const qb__onnx_name next = qb__onnx_write_fresh(w, op->name);
      qb__onnx_write_node(w, op, "Add", last ? out : next.text, sum.text, part.text, NULL);
      qb__onnx_write_end(w);
      part = next;
    }
    sum = part;
  }
}

/* The least scale that gives a size: sizes themselves would have to name the batch. */
static float scale_of(int64_t from, int64_t to)
{
  float scale = (float)((double)to / (double)from);
  while ((int64_t)floorf((float)from * scale) < to)
    scale = nextafterf(scale, INFINITY);
  return scale;
}

static void write_resize(qb__onnx_writer *w, const qb__operator *op, const char *in,
                         const char *out)
{
  const qb__tensor *x = &w->graph->tensors[op->input], *y = &w->graph->tensors[op->output];
  float scales[QB_MAX_DIMS + 1] = {1};
  const int64_t count = (int64_t)x->rank + 1;
  for (uint32_t i = 0; i < x->rank; i++)
    scales[i + 1] = scale_of(x->dims[i], y->dims[i]);
  const qb__onnx_name name = qb__onnx_write_floats(w, op, 1, &count, scales);
  qb__onnx_write_node(w, op, "Resize", out, in, "", name.text, NULL);
  qb__onnx_write_text(w, "mode", op->linear ? "linear" : "nearest");
  /* As oneDNN rounds: ties away from zero, which positive places have upwards. */
  qb__onnx_write_text(w, "nearest_mode", "round_prefer_ceil");
  qb__onnx_write_end(w);
}

static void write_transpose(qb__onnx_writer *w, const qb__operator *op, const char *in,
                            const char *out)
{
  int64_t order[QB_MAX_DIMS + 1] = {0};
  const uint32_t rank = w->graph->tensors[op->input].rank;
  for (uint32_t i = 0; i < rank; i++)
    order[1 + i] = op->order[i] + 1;
  qb__onnx_write_node(w, op, "Transpose", out, in, NULL);
  qb__onnx_write_ints(w, "perm", (size_t)rank + 1, order, NULL);
  qb__onnx_write_end(w);
}

void qb__onnx_write_rearrangement(qb__onnx_writer *w, const qb__operator *op, const char *in,
                                  const char *out)
{
  const qb__tensor *y = &w->graph->tensors[op->output];
  switch (op->kind) {
  case QB__OP_RESIZE: write_resize(w, op, in, out); break;
  case QB__OP_CONCAT: write_joined(w, op, out); break;
  case QB__OP_PAD: write_own_pad(w, op, in, out); break;
  case QB__OP_PICK: write_pick(w, op, in, out); break;
  case QB__OP_TRANSPOSE: write_transpose(w, op, in, out); break;
  default: qb__onnx_write_reshape(w, op, y->rank, y->dims, in, out);
  }
}
