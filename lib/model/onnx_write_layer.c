/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions, layers of weights, and batch norms: in floats, or with weights of 8 bits. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/onnx_write_impl.h"
#include "model/saturation.h"

#include <math.h>
#include <string.h>

/*
 * How the file holds weights: their dimensions, where element i of the graph's is, and which
 * dimension is that of the outputs.
 */
typedef struct form {
  uint32_t rank;
  int64_t dims[QB_MAX_DIMS];
  size_t (*place)(const qb__tensor *weights, const qb__operator *op, size_t i);
  uint32_t axis;
} form;

static size_t same_place(const qb__tensor *weights, const qb__operator *op, size_t i)
{
  (void)weights, (void)op;
  return i;
}

/* O, I as I, O. */
static size_t turned_place(const qb__tensor *weights, const qb__operator *op, size_t i)
{
  (void)op;
  const size_t outputs = (size_t)weights->dims[0], inputs = (size_t)weights->dims[1];
  return i % inputs * outputs + i / inputs;
}

/* O, I/groups, .. as I, O/groups, .. */
static size_t deconvolution_place(const qb__tensor *weights, const qb__operator *op, size_t i)
{
  const size_t inputs = (size_t)weights->dims[1];
  const size_t outputs = (size_t)(weights->dims[0] / op->groups);
  const size_t taps = weights->elements / ((size_t)weights->dims[0] * inputs);
  const size_t tap = i % taps, in = i / taps % inputs, out = i / taps / inputs;
  return ((out / outputs * inputs + in) * outputs + out % outputs) * taps + tap;
}

static form form_of(const qb__onnx_writer *w, const qb__operator *op)
{
  const qb__tensor *t = &w->graph->tensors[op->weights];
  form f = {.rank = t->rank, .place = same_place};
  memcpy(f.dims, t->dims, sizeof f.dims);
  const bool rows = op->kind == QB__OP_LINEAR;
  if (rows || op->kind == QB__OP_DECONVOLUTION) {
    f.dims[0] = rows ? t->dims[1] : t->dims[1] * op->groups;
    f.dims[1] = rows ? t->dims[0] : t->dims[0] / op->groups;
    f.place = rows ? turned_place : deconvolution_place;
    f.axis = 1;
  }
  return f;
}

static qb__onnx_name write_float_weights(qb__onnx_writer *w, const qb__operator *op)
{
  const qb__tensor *t = &w->graph->tensors[op->weights];
  const form f = form_of(w, op);
  const qb__onnx_name name = qb__onnx_write_fresh(w, t->name);
  uint8_t *room =
      qb__onnx_write_constant(w, name.text, QB__ONNX_TYPE_FLOAT, f.rank, f.dims, sizeof(float));
  for (size_t i = 0; room && i < t->elements; i++)
    memcpy(room + f.place(t, op, i) * sizeof(float), &t->constant[i], sizeof(float));
  return name;
}

static qb__onnx_name write_vector(qb__onnx_writer *w, const qb__operator *op, const float *values,
                                  int64_t count)
{
  return qb__onnx_write_floats(w, op, 1, &count, values);
}

/* As many zero points of 0, for runtimes that do not take them as 0 where they are left out. */
static qb__onnx_name write_zeros(qb__onnx_writer *w, const qb__operator *op, int64_t count)
{
  const qb__onnx_name name = qb__onnx_write_fresh(w, op->name);
  void *room = qb__onnx_write_constant(w, name.text, QB__ONNX_TYPE_INT8, 1, &count, 1);
  if (room)
    memset(room, 0, (size_t)count);
  return name;
}

/* Integers as reals, by scales along an axis; without zero points `zeros` is NULL. */
static qb__onnx_name write_dequantize(qb__onnx_writer *w, const qb__operator *op,
                                      const char *integers, const char *scales, const char *zeros,
                                      uint32_t axis)
{
  const qb__onnx_name reals = qb__onnx_write_fresh(w, op->name);
  qb__onnx_write_node(w, op, "DequantizeLinear", reals.text, integers, scales, zeros, NULL);
  qb__onnx_write_int(w, "axis", axis);
  qb__onnx_write_end(w);
  return reals;
}

static qb__onnx_name write_integer_weights(qb__onnx_writer *w, const qb__operator *op,
                                           const float *steps)
{
  const qb__tensor *t = &w->graph->tensors[op->weights];
  const form f = form_of(w, op);
  const size_t each = t->elements / (size_t)t->dims[0];
  const qb__onnx_name scales = write_vector(w, op, steps, t->dims[0]);
  const qb__onnx_name zeros = write_zeros(w, op, t->dims[0]);
  const qb__onnx_name name = qb__onnx_write_fresh(w, t->name);
  int8_t *room = qb__onnx_write_constant(w, name.text, QB__ONNX_TYPE_INT8, f.rank, f.dims, 1);
  for (size_t i = 0; room && i < t->elements; i++)
    room[f.place(t, op, i)] = (int8_t)lrint((double)t->constant[i] / (double)steps[i / each]);
  return write_dequantize(w, op, name.text, scales.text, zeros.text, f.axis);
}

static qb__onnx_name write_float_bias(qb__onnx_writer *w, const qb__operator *op)
{
  const qb__tensor *t = &w->graph->tensors[op->bias];
  return write_vector(w, op, t->constant, (int64_t)t->elements);
}

/* Whether 32 bits hold a bias in steps of the sums, nearly. */
static bool fits_sums(const qb__tensor *bias, const float *scales)
{
  bool fits = true;
  for (size_t i = 0; fits && i < bias->elements; i++) {
    const double steps = (double)bias->constant[i] / (double)scales[i], whole = nearbyint(steps);
    fits = fabs(whole) <= INT32_MAX && fabs(steps - whole) <= 1e-3 + fabs(whole) * 0x1p-22;
  }
  return fits;
}

/* In 32 bits with the scale of the sums, as quantized layers have it; in floats if that loses. */
static qb__onnx_name write_integer_bias(qb__onnx_writer *w, const qb__operator *op,
                                        const float *scales)
{
  const qb__tensor *t = &w->graph->tensors[op->bias];
  if (!fits_sums(t, scales))
    return write_float_bias(w, op);
  const int64_t count = (int64_t)t->elements;
  const qb__onnx_name scale = write_vector(w, op, scales, count);
  const qb__onnx_name name = qb__onnx_write_fresh(w, t->name);
  uint8_t *room =
      qb__onnx_write_constant(w, name.text, QB__ONNX_TYPE_INT32, 1, &count, sizeof(int32_t));
  for (size_t i = 0; room && i < t->elements; i++) {
    const int32_t steps = (int32_t)lrint((double)t->constant[i] / (double)scales[i]);
    memcpy(room + i * sizeof steps, &steps, sizeof steps);
  }
  return write_dequantize(w, op, name.text, scale.text, NULL, 0);
}

/* Names of the constants that a layer reads; the bias' is empty where there is none. */
typedef struct constants {
  qb__onnx_name weights, bias;
} constants;

static constants write_constants(qb__onnx_writer *w, const qb__operator *op)
{
  const qb__graph *g = w->graph;
  const qb__tensor *t = &g->tensors[op->weights];
  constants c = {{""}, {""}};
  float *steps = qb__calloc(g->context, (size_t)t->dims[0], sizeof *steps);
  if (!steps) {
    w->out.status = QB_ERROR_NO_MEMORY;
    return c;
  }
  const qb__operator *from = qb__integers_read(g, op);
  const bool of_integers = from && from->kind == QB__OP_DEQUANTIZE && qb__layer_steps(g, op, steps);
  c.weights = of_integers ? write_integer_weights(w, op, steps) : write_float_weights(w, op);
  /* The scale of the input and of the weights. */
  const qb__tensor *scale =
      of_integers && from->weights != QB__NONE ? &g->tensors[from->weights] : NULL;
  for (size_t o = 0; scale && o < (size_t)t->dims[0]; o++)
    steps[o] *= scale->constant[0];
  if (op->bias != QB__NONE)
    c.bias = of_integers && op->kind != QB__OP_LINEAR && (!scale || scale->elements == 1)
                 ? write_integer_bias(w, op, steps)
                 : write_float_bias(w, op);
  qb__free(g->context, steps);
  return c;
}

void qb__onnx_write_window(qb__onnx_writer *w, const qb__operator *op, bool dilated)
{
  const size_t spatial = w->graph->tensors[op->input].rank - 1;
  const qb__window *window = &op->window;
  int64_t after[QB__MOST_SPATIAL];
  for (size_t i = 0; i < spatial; i++)
    after[i] = window->pad_after[i] < 0 ? 0 : window->pad_after[i];
  qb__onnx_write_ints(w, "kernel_shape", spatial, window->kernel, NULL);
  qb__onnx_write_ints(w, "strides", spatial, window->strides, NULL);
  qb__onnx_write_ints(w, "pads", spatial, window->pad_before, after);
  if (dilated)
    qb__onnx_write_ints(w, "dilations", spatial, window->dilations, NULL);
}

static const char *or_none(const qb__onnx_name *name)
{
  return *name->text ? name->text : NULL;
}

static void write_convolution(qb__onnx_writer *w, const qb__operator *op, const char *in,
                              const char *out)
{
  const bool transposed = op->kind == QB__OP_DECONVOLUTION;
  const constants c = write_constants(w, op);
  qb__onnx_write_node(w, op, transposed ? "ConvTranspose" : "Conv", out, in, c.weights.text,
                      or_none(&c.bias), NULL);
  qb__onnx_write_window(w, op, true);
  qb__onnx_write_int(w, "group", op->groups);
  int64_t added[QB__MOST_SPATIAL] = {0};
  const size_t spatial = w->graph->tensors[op->input].rank - 1;
  for (size_t i = 0; i < spatial; i++)
    added[i] = op->window.pad_after[i] < 0 ? -op->window.pad_after[i] : 0;
  if (transposed)
    qb__onnx_write_ints(w, "output_padding", spatial, added, NULL);
  qb__onnx_write_end(w);
}

/* The input of a dense layer is all of a sample. */
static void write_dense(qb__onnx_writer *w, const qb__operator *op, const char *in, const char *out)
{
  const qb__tensor *x = &w->graph->tensors[op->input];
  const qb__onnx_name flat = qb__onnx_write_fresh(w, op->name);
  if (x->rank > 1) {
    qb__onnx_write_node(w, op, "Flatten", flat.text, in, NULL);
    qb__onnx_write_end(w);
    in = flat.text;
  }
  const constants c = write_constants(w, op);
  qb__onnx_write_node(w, op, "Gemm", out, in, c.weights.text, or_none(&c.bias), NULL);
  qb__onnx_write_int(w, "transB", 1);
  qb__onnx_write_end(w);
}

static void write_linear(qb__onnx_writer *w, const qb__operator *op, const char *in,
                         const char *out)
{
  const constants c = write_constants(w, op);
  const qb__onnx_name product = qb__onnx_write_fresh(w, op->name);
  const bool adds = *c.bias.text;
  qb__onnx_write_node(w, op, "MatMul", adds ? product.text : out, in, c.weights.text, NULL);
  qb__onnx_write_end(w);
  if (adds) {
    qb__onnx_write_node(w, op, "Add", out, product.text, c.bias.text, NULL);
    qb__onnx_write_end(w);
  }
}

static void write_batch_norm(qb__onnx_writer *w, const qb__operator *op, const char *in,
                             const char *out)
{
  const int32_t tensors[4] = {op->weights, op->bias, op->mean, op->variance};
  qb__onnx_name names[4];
  for (int i = 0; i < 4; i++) {
    const qb__tensor *t = &w->graph->tensors[tensors[i]];
    names[i] = write_vector(w, op, t->constant, (int64_t)t->elements);
  }
  qb__onnx_write_node(w, op, "BatchNormalization", out, in, names[0].text, names[1].text,
                      names[2].text, names[3].text, NULL);
  qb__onnx_write_float(w, "epsilon", op->epsilon);
  qb__onnx_write_end(w);
}

void qb__onnx_write_layer(qb__onnx_writer *w, const qb__operator *op, const char *in,
                          const char *out)
{
  switch (op->kind) {
  case QB__OP_DENSE: write_dense(w, op, in, out); break;
  case QB__OP_LINEAR: write_linear(w, op, in, out); break;
  case QB__OP_BATCH_NORM: write_batch_norm(w, op, in, out); break;
  default: write_convolution(w, op, in, out);
  }
}
