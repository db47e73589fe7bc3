/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize/quantized_graph.h"

#include "core/alloc.h"
#include "core/error.h"
#include "model/graph_edit.h"
#include "model/graph_rebuild.h"
#include "model/saturation.h"

#include <math.h>
#include <string.h>

/* Of all tensors that share their range with one. */
static qb_status choose_range(const qb__scheme *scheme, const qb__calibration *calibration,
                              int32_t group, qb__integer_range *range)
{
  const qb_context *context = scheme->graph->context;
  qb__histogram *halves = qb__calloc(context, 2, sizeof *halves);
  if (!halves)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < scheme->graph->tensor_count; i++)
    for (int h = 0; h < 2; h++)
      if (scheme->group[i] == group && scheme->quantized[i])
        qb__histogram_merge(&halves[h], &calibration->of[i]->halves[h]);
  *range = qb__range_choose(&halves[0], &halves[1]);
  qb__free(context, halves);
  return QB_OK;
}

qb_status qb__choose_ranges(const qb__scheme *scheme, const qb__calibration *calibration,
                            qb__integer_range *ranges)
{
  qb_status status = QB_OK;
  const size_t count = scheme->graph->tensor_count;
  bool *chosen = qb__calloc(scheme->graph->context, count, sizeof *chosen);
  if (!chosen)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < count && !status; i++) {
    const int32_t group = scheme->group[i];
    if (scheme->quantized[i] && !chosen[group]) {
      status = choose_range(scheme, calibration, group, &ranges[group]);
      chosen[group] = true;
    }
    if (scheme->quantized[i])
      ranges[i] = ranges[group];
  }
  qb__free(scheme->graph->context, chosen);
  return status;
}

typedef struct builder {
  const qb__scheme *scheme;
  const qb__calibration *calibration;
  const qb__integer_range *ranges;
  bool portable;
  qb__rebuild rebuild;
  int32_t *floats; /* by tensor: as it was computed */
  int32_t *reals;  /* by tensor: as it is behind its integers */
} builder;

static int32_t add_number(qb__graph *g, const char *name, float value)
{
  static const int64_t one = 1;
  const int32_t constant = qb__graph_constant(g, name, 1, &one);
  if (constant != QB__NONE)
    g->tensors[constant].constant[0] = value;
  return constant;
}

/* Rounds what a tensor is so far. */
static void round_tensor(builder *b, int32_t tensor)
{
  qb__graph *to = b->rebuild.to;
  const qb__integer_range *range = &b->ranges[tensor];
  const char *name = b->scheme->graph->tensors[tensor].name;
  const int32_t scale = add_number(to, name, range->scale), zero = add_number(to, name, 0);
  const int32_t integers =
      qb__graph_quantize(to, name, b->floats[tensor], scale, zero, 0, range->low, range->high);
  b->reals[tensor] =
      qb__graph_dequantize(to, name, integers, scale, zero, 0, range->low, range->high);
}

/* The mean of what weight `i` of an output is multiplied with. */
static double mean_input(const builder *b, const qb__operator *op, size_t output, size_t i)
{
  const qb__graph *g = b->scheme->graph;
  const qb__tensor *x = &g->tensors[op->input], *w = &g->tensors[op->weights];
  const qb__observed *o = b->calibration->of[op->input];
  size_t first = i, stride = 1, count = 1;
  if (op->kind == QB__OP_CONVOLUTION) { /* of a channel */
    const size_t per_output = (size_t)w->dims[1],
                 taps = w->elements / (size_t)(w->dims[0]) / per_output;
    const size_t group = output / (size_t)(w->dims[0] / op->groups);
    count = x->elements / (size_t)x->dims[0];
    first = (group * per_output + i / taps) * count;
  } else if (op->kind == QB__OP_LINEAR) { /* of all rows */
    stride = (size_t)w->dims[1];
    count = x->elements / stride;
  }
  double sum = 0;
  for (size_t n = 0; n < count; n++)
    sum += o->sums[first + n * stride];
  return sum / (double)count / (double)o->samples;
}

/* The means of what the weights of one output are multiplied with; convolutions repeat them. */
static void mean_inputs(const builder *b, const qb__operator *op, size_t output, size_t each,
                        double *means)
{
  const qb__tensor *w = &b->scheme->graph->tensors[op->weights];
  const size_t taps = op->kind == QB__OP_CONVOLUTION ? each / (size_t)w->dims[1] : 1;
  for (size_t i = 0; i < each; i++)
    means[i] = i % taps ? means[i - 1] : mean_input(b, op, output, i);
}

/* The largest weight; with the one of 7 bits, two products with inputs up to 255 fit into 16 bits. */
enum { LARGEST = INT8_MAX, LARGEST_OF_7_BITS = 64 };

/* Rounds an output's weights. @return what that takes from the mean of its results */
static double round_weights(float *weights, size_t each, int largest, const double *means)
{
  double most = 0, lost = 0;
  for (size_t i = 0; i < each; i++)
    most = fmax(most, fabs((double)weights[i]));
  const double scale = most > 0 ? (double)qb__scale_of(fmax(most / largest, 0x1p-100)) : 1;
  for (size_t i = 0; i < each; i++) {
    const double rounded = nearbyint((double)weights[i] / scale) * scale;
    lost += ((double)weights[i] - rounded) * means[i];
    weights[i] = (float)rounded;
  }
  return lost;
}

/* Biases are whole numbers of the step that sums have: their integers are added. */
static void round_bias(const builder *b, const qb__operator *op, const float *steps, float *bias)
{
  const qb__graph *g = b->scheme->graph;
  const size_t outputs = (size_t)g->tensors[op->weights].dims[0];
  for (size_t o = 0; o < outputs && op->kind != QB__OP_LINEAR; o++) {
    const double step = (double)(steps[o] * b->ranges[op->input].scale);
    const double whole = nearbyint((double)bias[o] / step);
    if (fabs(whole) <= INT32_MAX)
      bias[o] = (float)(whole * step);
  }
}

/* Rounds all weights of a layer, and adds to its bias what that takes from its results. */
static qb_status round_outputs(const builder *b, const qb__operator *op, int largest,
                               float *weights, float *bias)
{
  const qb__graph *g = b->scheme->graph;
  const qb__tensor *w = &g->tensors[op->weights];
  const size_t outputs = (size_t)w->dims[0], each = w->elements / outputs;
  const size_t per_group = outputs / (size_t)(op->kind == QB__OP_CONVOLUTION ? op->groups : 1);
  double *means = qb__calloc(g->context, each, sizeof *means);
  if (!means)
    return QB_ERROR_NO_MEMORY;
  memcpy(weights, w->constant, w->elements * sizeof *weights);
  for (size_t o = 0; o < outputs; o++) {
    if (o % per_group == 0)
      mean_inputs(b, op, o, each, means);
    bias[o] = op->bias == QB__NONE ? 0 : g->tensors[op->bias].constant[o];
    bias[o] += (float)round_weights(weights + o * each, each, largest, means);
  }
  qb__free(g->context, means);
  return QB_OK;
}

/* Rounds the weights of a layer that was just built, and gives it a bias that makes up for it. */
static qb_status round_layer(builder *b, const qb__operator *op)
{
  qb__graph *to = b->rebuild.to;
  qb__operator *built = &to->operators[to->operator_count - 1];
  const qb__tensor w = to->tensors[built->weights];
  if (built->bias == QB__NONE)
    built->bias = qb__graph_constant(to, op->name, 1, w.dims);
  if (to->status)
    return to->status;
  float *bias = to->tensors[built->bias].constant;
  qb_status status = round_outputs(b, op, LARGEST, w.constant, bias);
  if (!status && b->portable && qb__layer_saturation(to, built) == QB__CAN_SATURATE)
    status = round_outputs(b, op, LARGEST_OF_7_BITS, w.constant, bias);
  if (status)
    return status;
  float *steps = qb__calloc(to->context, (size_t)w.dims[0], sizeof *steps);
  if (!steps)
    return QB_ERROR_NO_MEMORY;
  if (qb__layer_steps(to, built, steps))
    round_bias(b, op, steps, bias);
  qb__free(to->context, steps);
  return QB_OK;
}

/* What an operator reads: reals behind integers where it, or what wrote them, is on integers. */
static void map_inputs(builder *b, const qb__operator *op, bool integer)
{
  const qb__scheme *s = b->scheme;
  int32_t input = QB__NONE;
  for (size_t i = 0; (input = qb__operator_input(op, i)) != QB__NONE; i++) {
    if (s->graph->tensors[input].constant)
      continue;
    const int32_t producer = qb__producer(s->graph, input);
    const bool rounded =
        s->quantized[input] && (integer || (producer != QB__NONE && s->integer[producer]));
    b->rebuild.map[input] = rounded ? b->reals[input] : b->floats[input];
  }
}

static float rounded(const qb__integer_range *range, float value)
{
  return fminf(fmaxf(rintf(value / range->scale), range->low), range->high);
}

/* Whether rounding a layer's result has the effect of its activation. */
static bool is_rounded_alike(const builder *b, const qb__operator *op)
{
  const qb__integer_range *range = &b->ranges[op->output];
  if (!b->scheme->quantized[op->output] || qb__is_output(b->scheme->graph, op->output))
    return false;
  switch (op->activation) {
  case QB__ACTIVATION_RELU: return op->alpha == 0 && range->low == 0;
  case QB__ACTIVATION_CLIP:
    return rounded(range, op->alpha) == range->low && rounded(range, op->beta) == range->high;
  default: return false;
  }
}

static void build_operator(builder *b, size_t index)
{
  const qb__scheme *s = b->scheme;
  qb__operator plain = s->graph->operators[index];
  const qb__operator *op = &plain;
  const bool layer = s->integer[index] && qb__is_quantizable(s->graph, op);
  if (layer && is_rounded_alike(b, op))
    plain.activation = QB__ACTIVATION_NONE;
  map_inputs(b, op, s->integer[index]);
  if (layer) { /* constants of its own */
    b->rebuild.map[op->weights] = QB__NONE;
    if (op->bias != QB__NONE)
      b->rebuild.map[op->bias] = QB__NONE;
  }
  b->floats[op->output] = b->reals[op->output] = qb__rebuild_operator(&b->rebuild, op);
  if (layer && !b->rebuild.to->status)
    b->rebuild.to->status = round_layer(b, op);
  if (layer) {
    b->rebuild.map[op->weights] = QB__NONE;
    if (op->bias != QB__NONE)
      b->rebuild.map[op->bias] = QB__NONE;
  }
  if (s->quantized[op->output])
    round_tensor(b, op->output);
}

/* Outputs are what was computed, under their own names. */
static void finish(builder *b)
{
  qb__graph *to = b->rebuild.to;
  const qb__graph *g = b->scheme->graph;
  for (size_t i = 0; i < g->output_count && !to->status; i++) {
    qb__graph_rename(to, b->floats[g->outputs[i]], g->tensors[g->outputs[i]].name);
    qb__graph_output(to, b->floats[g->outputs[i]]);
  }
}

qb_status qb__quantized_graph(const qb__scheme *scheme, const qb__calibration *calibration,
                              const qb__integer_range *ranges, bool portable, qb__graph *to,
                              int32_t *reals)
{
  const qb__graph *g = scheme->graph;
  builder b = {.scheme = scheme,
               .calibration = calibration,
               .ranges = ranges,
               .portable = portable,
               .reals = reals};
  qb__rebuild_begin(&b.rebuild, g, to);
  b.floats = qb__calloc(g->context, g->tensor_count, sizeof *b.floats);
  if (!b.floats)
    to->status = QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < g->input_count && !to->status; i++) {
    const int32_t input = g->inputs[i];
    b.floats[input] = reals[input] = b.rebuild.map[input];
    if (scheme->quantized[input])
      round_tensor(&b, input);
  }
  for (size_t i = 0; i < g->operator_count && !to->status; i++)
    build_operator(&b, i);
  finish(&b);
  qb__free(g->context, b.floats);
  qb__rebuild_end(&b.rebuild);
  const qb_status status = to->status;
  if (status)
    qb__graph_clear(to);
  return status;
}
