/* SPDX-License-Identifier: Apache-2.0 */
#include "model/graph.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"

#include <stdio.h>
#include <string.h>

/* One sample may have this many elements: QB_MAX_BATCH of them still have an addressable size. */
static const int64_t MOST_ELEMENTS = (int64_t)1 << 40;

void qb__graph_init(qb__graph *graph, qb_context *context)
{
  memset(graph, 0, sizeof *graph);
  graph->context = context;
  graph->input = graph->output = QB__NONE;
}

void qb__graph_clear(qb__graph *graph)
{
  for (size_t i = 0; i < graph->tensor_count; i++) {
    qb__free(graph->context, graph->tensors[i].name);
    qb__free(graph->context, graph->tensors[i].constant);
  }
  for (size_t i = 0; i < graph->operator_count; i++)
    qb__free(graph->context, graph->operators[i].name);
  qb__free(graph->context, graph->tensors);
  qb__free(graph->context, graph->operators);
  qb__graph_init(graph, graph->context);
}

static int32_t fail(qb__graph *graph, qb_status status)
{
  graph->status = status;
  return QB__NONE;
}

static const char *write_shape(uint32_t rank, const int64_t *dims, char text[128])
{
  size_t n = 0;
  text[0] = 0;
  for (uint32_t i = 0; i < rank && n < 100; i++)
    n += (size_t)snprintf(text + n, 128 - n, "%s%lld", i ? "x" : "", (long long)dims[i]);
  return text;
}

static int32_t add_tensor(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims,
                          bool constant)
{
  if (graph->status)
    return QB__NONE;
  char shape[128];
  int64_t elements = 1;
  bool valid = rank >= 1 && rank <= QB_MAX_DIMS;
  for (uint32_t i = 0; valid && i < rank; i++)
    valid = dims[i] > 0 && qb__mul_i64(elements, dims[i], &elements) && elements <= MOST_ELEMENTS;
  if (!valid)
    return fail(graph,
                qb__fail(QB_ERROR_OVERFLOW,
                         "'%s': shape %s is empty or too large; every dimension must be positive "
                         "and their product at most 2^40",
                         name, write_shape(rank <= QB_MAX_DIMS ? rank : QB_MAX_DIMS, dims, shape)));
  qb__tensor tensor = {.rank = rank, .elements = (size_t)elements};
  memcpy(tensor.dims, dims, rank * sizeof *dims); /* before growing: they may be another tensor's */
  if (!qb__grow(graph->context, &graph->tensors, graph->tensor_count, &graph->tensor_capacity,
                sizeof *graph->tensors))
    return fail(graph, QB_ERROR_NO_MEMORY);
  tensor.name = qb__strdup(graph->context, name);
  if (tensor.name && constant)
    tensor.constant = qb__alloc_aligned(graph->context, tensor.elements * sizeof(float), 64);
  if (!tensor.name || (constant && !tensor.constant)) {
    qb__free(graph->context, tensor.name);
    return fail(graph, QB_ERROR_NO_MEMORY);
  }
  graph->tensors[graph->tensor_count] = tensor;
  return (int32_t)graph->tensor_count++;
}

int32_t qb__graph_input(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims)
{
  return graph->input = add_tensor(graph, name, rank, dims, false);
}

int32_t qb__graph_constant(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims)
{
  return add_tensor(graph, name, rank, dims, true);
}

void qb__graph_output(qb__graph *graph, int32_t x)
{
  graph->output = x;
}

/* An operator with nothing but its kind, name and input set. */
static qb__operator blank(qb__op_kind kind, int32_t x)
{
  const qb__operator op = {.kind = kind,
                           .input = x,
                           .weights = QB__NONE,
                           .bias = QB__NONE,
                           .mean = QB__NONE,
                           .variance = QB__NONE,
                           .addend = QB__NONE,
                           .output = QB__NONE};
  return op;
}

static int32_t add_operator(qb__graph *graph, const char *name, qb__operator op, uint32_t rank,
                            const int64_t *output_dims)
{
  op.output = add_tensor(graph, name, rank, output_dims, false);
  if (graph->status)
    return QB__NONE;
  if (!qb__grow(graph->context, &graph->operators, graph->operator_count, &graph->operator_capacity,
                sizeof *graph->operators) ||
      !(op.name = qb__strdup(graph->context, name)))
    return fail(graph, QB_ERROR_NO_MEMORY);
  graph->operators[graph->operator_count++] = op;
  return op.output;
}

static int32_t wrong_shape(qb__graph *graph, const char *name, const char *what, int32_t found,
                           const char *expected)
{
  char shape[128];
  const qb__tensor *t = &graph->tensors[found];
  return fail(graph,
              qb__fail(QB_ERROR_INVALID_ARGUMENT, "operator '%s': %s '%s' is %s, expected %s", name,
                       what, t->name, write_shape(t->rank, t->dims, shape), expected));
}

/* Output size of a window along one axis; 0 when the window does not fit. */
static int64_t slide(int64_t size, const qb__window *w, int axis)
{
  const int64_t extent = (w->kernel[axis] - 1) * w->dilations[axis] + 1;
  const int64_t padded = size + w->pad_before[axis] + w->pad_after[axis];
  return padded < extent ? 0 : (padded - extent) / w->strides[axis] + 1;
}

static bool window_valid(const qb__window *w)
{
  for (int i = 0; i < 2; i++)
    if (w->kernel[i] < 1 || w->kernel[i] > INT16_MAX || w->strides[i] < 1 || w->dilations[i] < 1 ||
        w->dilations[i] > INT16_MAX || w->pad_before[i] < 0 || w->pad_after[i] < 0 ||
        w->pad_before[i] > INT16_MAX || w->pad_after[i] > INT16_MAX)
      return false;
  return true;
}

int32_t qb__graph_convolution(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                              int32_t bias, const qb__window *window, int64_t groups)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x], *w = &graph->tensors[weights];
  if (in->rank != 3)
    return wrong_shape(graph, name, "input", x, "CxHxW");
  if (w->rank != 4 || groups < 1 || w->dims[0] % groups || w->dims[1] * groups != in->dims[0])
    return wrong_shape(graph, name, "weights", weights, "OxIxHxW, I times groups the input's C");
  if (bias != QB__NONE && graph->tensors[bias].elements != (size_t)w->dims[0])
    return wrong_shape(graph, name, "bias", bias, "one value an output channel");
  qb__operator op = blank(QB__OP_CONVOLUTION, x);
  op.weights = weights;
  op.bias = bias;
  op.groups = groups;
  op.window = *window;
  op.window.kernel[0] = w->dims[2];
  op.window.kernel[1] = w->dims[3];
  if (!window_valid(&op.window))
    return fail(graph, qb__fail(QB_ERROR_INVALID_ARGUMENT,
                                "operator '%s': strides and dilations must be at least 1, pads not "
                                "negative",
                                name));
  const int64_t dims[3] = {w->dims[0], slide(in->dims[1], &op.window, 0),
                           slide(in->dims[2], &op.window, 1)};
  return add_operator(graph, name, op, 3, dims);
}

int32_t qb__graph_batch_norm(qb__graph *graph, const char *name, int32_t x, int32_t scale,
                             int32_t shift, int32_t mean, int32_t variance, float epsilon)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x];
  const int32_t constants[4] = {scale, shift, mean, variance};
  for (int i = 0; i < 4; i++)
    if (graph->tensors[constants[i]].elements != (size_t)in->dims[0])
      return wrong_shape(graph, name, "constant", constants[i], "one value a channel");
  qb__operator op = blank(QB__OP_BATCH_NORM, x);
  op.weights = scale;
  op.bias = shift;
  op.mean = mean;
  op.variance = variance;
  op.epsilon = epsilon;
  return add_operator(graph, name, op, in->rank, in->dims);
}

int32_t qb__graph_activation(qb__graph *graph, const char *name, int32_t x,
                             qb__activation activation)
{
  if (graph->status)
    return QB__NONE;
  qb__operator op = blank(QB__OP_ACTIVATION, x);
  op.activation = activation;
  return add_operator(graph, name, op, graph->tensors[x].rank, graph->tensors[x].dims);
}

int32_t qb__graph_add(qb__graph *graph, const char *name, int32_t x, int32_t addend)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *a = &graph->tensors[x], *b = &graph->tensors[addend];
  if (a->rank != b->rank || memcmp(a->dims, b->dims, a->rank * sizeof *a->dims))
    return wrong_shape(graph, name, "addend", addend, "the shape of the other input");
  qb__operator op = blank(QB__OP_ADD, x);
  op.addend = addend;
  return add_operator(graph, name, op, a->rank, a->dims);
}

int32_t qb__graph_pool(qb__graph *graph, const char *name, qb__op_kind kind, int32_t x,
                       const qb__window *window)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x];
  if (in->rank != 3)
    return wrong_shape(graph, name, "input", x, "CxHxW");
  qb__operator op = blank(kind, x);
  op.window = *window;
  if (!window_valid(window))
    return fail(graph, qb__fail(QB_ERROR_INVALID_ARGUMENT,
                                "operator '%s': kernel and strides must be at least 1, pads not "
                                "negative",
                                name));
  for (int i = 0; i < 2; i++) {
    const int64_t extent = (window->kernel[i] - 1) * window->dilations[i] + 1;
    if (window->pad_before[i] >= extent || window->pad_after[i] >= extent)
      return fail(graph, qb__fail(QB_ERROR_INVALID_ARGUMENT,
                                  "operator '%s': pads must be smaller than the window, or it "
                                  "covers nothing but padding",
                                  name));
  }
  const int64_t dims[3] = {in->dims[0], slide(in->dims[1], window, 0),
                           slide(in->dims[2], window, 1)};
  return add_operator(graph, name, op, 3, dims);
}

int32_t qb__graph_lrn(qb__graph *graph, const char *name, int32_t x, int64_t size, float alpha,
                      float beta, float k)
{
  if (graph->status)
    return QB__NONE;
  if (graph->tensors[x].rank != 3)
    return wrong_shape(graph, name, "input", x, "CxHxW");
  if (size < 1 || size % 2 == 0)
    return fail(graph, qb__fail(QB_ERROR_INVALID_ARGUMENT,
                                "operator '%s': size %lld must be odd and positive: as many "
                                "channels on either side",
                                name, (long long)size));
  qb__operator op = blank(QB__OP_LRN, x);
  op.lrn_size = size;
  op.lrn_alpha = alpha;
  op.lrn_beta = beta;
  op.lrn_k = k;
  return add_operator(graph, name, op, 3, graph->tensors[x].dims);
}

int32_t qb__graph_dense(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                        int32_t bias)
{
  if (graph->status)
    return QB__NONE;
  const qb__tensor *in = &graph->tensors[x], *w = &graph->tensors[weights];
  if (w->rank != 2 || (size_t)w->dims[1] != in->elements)
    return wrong_shape(graph, name, "weights", weights, "OxI, I the elements of the input");
  if (bias != QB__NONE && graph->tensors[bias].elements != (size_t)w->dims[0])
    return wrong_shape(graph, name, "bias", bias, "one value an output");
  qb__operator op = blank(QB__OP_DENSE, x);
  op.weights = weights;
  op.bias = bias;
  return add_operator(graph, name, op, 1, w->dims);
}

int32_t qb__graph_softmax(qb__graph *graph, const char *name, int32_t x)
{
  if (graph->status)
    return QB__NONE;
  return add_operator(graph, name, blank(QB__OP_SOFTMAX, x), graph->tensors[x].rank,
                      graph->tensors[x].dims);
}

int32_t qb__graph_flatten(qb__graph *graph, const char *name, int32_t x)
{
  if (graph->status)
    return QB__NONE;
  const int64_t dims[1] = {(int64_t)graph->tensors[x].elements};
  return add_operator(graph, name, blank(QB__OP_FLATTEN, x), 1, dims);
}
