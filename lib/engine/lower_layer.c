/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers on bytes: a convolution or dense layer with what follows it up to where its result becomes
 * bytes again. Operators behind it that it takes over:
 *
 *   dequantize              of integer sums, by a scale for each output
 *   quantize                to bytes
 *   quantize, dequantize, add, activation, quantize
 *                           a residual sum: what is added to is rounded as in the graph
 */
#include "engine/lowering.h"

#include "core/alloc.h"
#include "engine/layer_choice.h"
#include "engine/network_plan_impl.h"
#include "model/graph_edit.h"
#include "model/saturation.h"

#include <math.h>
#include <string.h>

enum { MOST_TAKEN = 6 };

/* A layer on its way. */
typedef struct lowering {
  qb__graph *graph;
  size_t index;
  qb__operator op; /* what becomes of the layer */
  qb__byte_source from;
  size_t outputs;
  float *steps, *factors, *bias; /* by output; bias of sums */
  int32_t result;                /* last tensor that was taken over */
  size_t taken[MOST_TAKEN];      /* operators, in their order */
  size_t taken_count;
} lowering;

/* The operator that alone reads the result so far. */
static qb__operator *reader(const lowering *l, size_t *index)
{
  qb__operator *op = qb__only_reader(l->graph, l->result);
  *index = op ? (size_t)(op - l->graph->operators) : 0;
  return op;
}

static void take(lowering *l, size_t index)
{
  l->taken[l->taken_count++] = index;
  l->result = l->graph->operators[index].output;
}

static bool is_of_outputs(const lowering *l, int32_t constant)
{
  const size_t elements = constant == QB__NONE ? 1 : l->graph->tensors[constant].elements;
  return elements == 1 || elements == l->outputs;
}

static float at(const qb__graph *graph, int32_t constant, size_t index)
{
  const qb__tensor *t = &graph->tensors[constant];
  return t->constant[t->elements == 1 ? 0 : index];
}

/* The dimension of a result that has one element for each output. */
static uint32_t output_axis(const lowering *l)
{
  return l->op.kind == QB__OP_LINEAR ? l->graph->tensors[l->op.output].rank - 1 : 0;
}

/* Sums of integers are scaled behind their layer. */
static void take_scale(lowering *l)
{
  size_t index;
  const qb__operator *op = reader(l, &index);
  if (l->op.integer_limit == 0 || !op || op->kind != QB__OP_DEQUANTIZE || op->requantize.applies ||
      op->bias != QB__NONE || op->weights == QB__NONE || !is_of_outputs(l, op->weights) ||
      (op->axis != output_axis(l) && l->graph->tensors[op->weights].elements > 1))
    return;
  for (size_t o = 0; o < l->outputs; o++)
    l->factors[o] *= at(l->graph, op->weights, o);
  take(l, index);
}

/* How a quantize makes bytes. */
typedef struct byte_result {
  float scale, zero, low, high;
  int32_t tensor;
} byte_result;

static bool take_bytes(lowering *l, byte_result *to)
{
  size_t index;
  const qb__operator *op = reader(l, &index);
  if (!op || op->kind != QB__OP_QUANTIZE || !op->requantize.applies)
    return false;
  *to = (byte_result){qb__lowered_number(l->graph, op->weights, 1),
                      qb__lowered_number(l->graph, op->bias, 0), op->alpha, op->beta, op->output};
  take(l, index);
  return to->scale > 0;
}

/* What lies between two limits whichever number it is divided by. */
static bool is_clip(const qb__operator *op, float *low, float *high)
{
  *low = -INFINITY;
  *high = INFINITY;
  switch (op->activation) {
  case QB__ACTIVATION_NONE: return true;
  case QB__ACTIVATION_RELU: *low = 0; return op->alpha == 0;
  case QB__ACTIVATION_CLIP:
    *low = op->alpha;
    *high = op->beta;
    return true;
  default: return false;
  }
}

/* An activation of what has been divided by a scale and moved to a zero point. */
static void clip_bytes(qb__operator *op, const byte_result *to, float low, float high)
{
  low = low / to->scale + to->zero;
  high = high / to->scale + to->zero;
  const bool clips = low > to->low || high < to->high;
  op->activation = clips ? QB__ACTIVATION_CLIP : QB__ACTIVATION_NONE;
  op->alpha = clips ? fmaxf(low, to->low) : 0;
  op->beta = clips ? fminf(high, to->high) : 0;
}

static void scale_all(lowering *l, float scale)
{
  for (size_t o = 0; o < l->outputs; o++)
    l->factors[o] /= scale;
}

/* Results are bytes: where the activation allows, factors and bias contain their scale. */
static void finish_bytes(lowering *l, const byte_result *to)
{
  float low, high;
  qb__requantize *r = &l->op.requantize;
  if (!is_clip(&l->op, &low, &high)) {
    r->last_step = 1 / to->scale;
    r->last_offset = to->zero;
    return;
  }
  scale_all(l, to->scale);
  for (size_t o = 0; o < l->outputs; o++)
    l->bias[o] += to->zero / l->factors[o];
  clip_bytes(&l->op, to, low, high);
}

/* The other input of a sum, where it is bytes that are there before the layer runs. */
static bool find_addend(const lowering *l, const qb__operator *add, int32_t sum,
                        qb__byte_source *addend)
{
  const int32_t other = add->input == sum ? add->addend : add->input;
  const qb__graph *g = l->graph;
  if (other == sum || g->tensors[other].constant ||
      g->tensors[other].elements != g->tensors[sum].elements)
    return false;
  *addend = qb__byte_source_of(g, other);
  return addend->tensor != QB__NONE && qb__producer(g, addend->tensor) < (int32_t)l->index;
}

/*
 * Takes a residual sum over, whose first summand are bytes `mid`; what it gives has to be bytes of
 * the addend's type, which it overwrites.
 */
static bool take_sum(lowering *l, const byte_result *mid)
{
  float low, high, mid_low, mid_high;
  byte_result to;
  qb__byte_source addend;
  size_t index;
  const qb__operator *op = reader(l, &index);
  if (!is_clip(&l->op, &mid_low, &mid_high) || !op || op->kind != QB__OP_DEQUANTIZE ||
      qb__byte_source_of(l->graph, op->output).scale != mid->scale ||
      qb__byte_source_of(l->graph, op->output).zero != mid->zero)
    return false;
  take(l, index);
  op = reader(l, &index);
  if (!op || op->kind != QB__OP_ADD || !find_addend(l, op, l->result, &addend))
    return false;
  take(l, index);
  qb__operator last = {.activation = QB__ACTIVATION_NONE};
  op = reader(l, &index);
  if (op && op->kind == QB__OP_ACTIVATION) {
    last = *op;
    take(l, index);
  }
  if (!is_clip(&last, &low, &high) || !take_bytes(l, &to) ||
      l->graph->tensors[to.tensor].type != l->graph->tensors[addend.tensor].type)
    return false;
  qb__requantize *r = &l->op.requantize;
  scale_all(l, mid->scale);
  r->rounds = true;
  r->low = fmaxf(mid->low - mid->zero, mid_low / mid->scale);
  r->high = fminf(mid->high - mid->zero, mid_high / mid->scale);
  r->step = mid->scale / to.scale;
  r->addend_step = addend.scale / to.scale;
  r->offset = to.zero - addend.zero * r->addend_step;
  l->op.addend = addend.tensor;
  clip_bytes(&l->op, &to, low, high);
  return true;
}

/*
 * A residual sum if there is one, else bytes, else reals. With reals to add, which lie where the
 * result goes, that is reals too.
 */
static void take_results(lowering *l)
{
  byte_result to;
  if (l->op.addend != QB__NONE)
    return;
  const lowering before_bytes = *l;
  if (!take_bytes(l, &to)) {
    *l = before_bytes;
    return;
  }
  const lowering before_sum = *l;
  if (take_sum(l, &to))
    return;
  *l = before_sum;
  finish_bytes(l, &to);
}

/* The zero point of the input, of which the sums have too much: for each output its weights' sum. */
static void move_zero(lowering *l)
{
  const qb__tensor *w = &l->graph->tensors[l->op.weights];
  const size_t each = w->elements / l->outputs;
  const float largest = l->graph->tensors[l->from.tensor].type == QB__TYPE_U8 ? 255 : 128;
  double most = 0;
  for (size_t o = 0; o < l->outputs; o++) {
    double sum = 0, gain = 0;
    for (size_t i = 0; i < each; i++) {
      const double weight = nearbyint((double)w->constant[o * each + i] / (double)l->steps[o]);
      sum += weight;
      gain += fabs(weight);
    }
    l->bias[o] -= (float)(l->from.zero * sum);
    most = fmax(most, (gain * largest + fabs((double)l->bias[o])) * fabs((double)l->factors[o]));
  }
  l->op.requantize.most = (float)most;
}

static bool has_padding(const qb__operator *op)
{
  bool pads = false;
  for (int i = 0; op->kind == QB__OP_CONVOLUTION && i < QB__MOST_SPATIAL; i++)
    pads = pads || op->window.pad_before[i] || op->window.pad_after[i];
  return pads;
}

/* Bytes with as many zero points around them as the window is padded by, before the layer. */
static void pad_input(lowering *l)
{
  qb__graph *g = l->graph;
  const qb__tensor x = g->tensors[l->from.tensor];
  int64_t before[QB_MAX_DIMS] = {0}, after[QB_MAX_DIMS] = {0};
  for (uint32_t i = 1; i < x.rank; i++) {
    before[i] = l->op.window.pad_before[i - 1];
    after[i] = l->op.window.pad_after[i - 1];
    l->op.window.pad_before[i - 1] = l->op.window.pad_after[i - 1] = 0;
  }
  const int32_t padded = qb__graph_pad(g, l->op.name, l->from.tensor, before, after, l->from.zero);
  if (g->status)
    return;
  g->operators[g->operator_count - 1].origin = l->op.origin;
  g->tensors[padded].type = x.type;
  l->op.input = padded;
  qb__move_last(g, l->index);
  l->index++;
  for (size_t i = 0; i < l->taken_count; i++)
    l->taken[i]++;
}

static int32_t add_vector(qb__graph *graph, const char *name, const float *values, size_t count)
{
  const int64_t dims = (int64_t)count;
  const int32_t constant = qb__graph_constant(graph, name, 1, &dims);
  if (!graph->status)
    memcpy(graph->tensors[constant].constant, values, count * sizeof *values);
  return constant;
}

/* The constants of the layer; weights stay those of the model, to be divided when packed. */
static void add_constants(lowering *l)
{
  qb__graph *g = l->graph;
  const qb__tensor weights = g->tensors[l->op.weights];
  if (!qb__sums_take_bias())
    for (size_t o = 0; o < l->outputs; o++)
      l->bias[o] *= l->factors[o];
  l->op.bias = add_vector(g, l->op.name, l->bias, l->outputs);
  l->op.requantize.factors = add_vector(g, l->op.name, l->factors, l->outputs);
  const int32_t steps = add_vector(g, l->op.name, l->steps, l->outputs);
  l->op.weights = qb__graph_adopt(g, weights.name, weights.rank, weights.dims, weights.constant);
  if (g->status)
    return;
  g->tensors[l->op.weights].borrowed = true;
  g->tensors[l->op.weights].type = QB__TYPE_S8;
  g->tensors[l->op.weights].steps = steps;
}

static qb__dims dims_of(const lowering *l, int32_t shape, int32_t bytes)
{
  qb__dims dims = qb__plan_layer_dims(&l->op, &l->graph->tensors[shape], 1);
  dims.type = l->graph->tensors[bytes].type;
  return dims;
}

/* Whether oneDNN has a kernel for the layer, other than plain loops. */
static bool has_kernel(const lowering *l, struct dnnl_engine *engine)
{
  const qb__graph *g = l->graph;
  qb__primitive_spec spec = {.op = &l->op};
  spec.source_dims = dims_of(l, l->op.input, l->from.tensor);
  spec.weights_dims = qb__plan_weights_dims(g, &l->op);
  spec.destination_dims = dims_of(l, l->op.output, l->result);
  spec.factors = l->factors;
  qb__primitive primitive;
  if (qb__primitive_describe(g->context, engine, &spec, &primitive))
    return false;
  const bool fast = !qb__is_slow(&primitive);
  qb__primitive_clear(g->context, &primitive);
  return fast;
}

static bool read_constants(lowering *l)
{
  const qb__graph *g = l->graph;
  if (!qb__layer_steps(g, &l->op, l->steps))
    return false;
  for (size_t o = 0; o < l->outputs; o++) {
    l->factors[o] = l->from.scale * l->steps[o];
    l->bias[o] = l->op.bias == QB__NONE ? 0 : at(g, l->op.bias, o) / l->factors[o];
  }
  return true;
}

/* Puts the layer into the graph if there is a kernel for it. */
static void finish(lowering *l, struct dnnl_engine *engine)
{
  qb__graph *g = l->graph;
  move_zero(l);
  add_constants(l);
  if (g->status || !has_kernel(l, engine))
    return;
  l->op.input = l->from.tensor;
  if (l->from.zero != 0 && has_padding(&l->op))
    pad_input(l);
  if (g->status)
    return;
  l->op.output = l->result;
  l->op.integer_limit = 0;
  g->operators[l->index] = l->op;
  for (size_t i = l->taken_count; i-- > 0;)
    qb__remove_operator(g, l->taken[i]);
}

static void lower_layer(qb__graph *graph, size_t index, struct dnnl_engine *engine)
{
  const qb__operator *op = &graph->operators[index];
  lowering l = {.graph = graph, .index = index, .op = *op, .result = op->output};
  if (op->kind != QB__OP_CONVOLUTION && op->kind != QB__OP_DENSE && op->kind != QB__OP_LINEAR)
    return;
  l.from = qb__byte_source_of(graph, op->input);
  if (op->requantize.applies || l.from.tensor == QB__NONE || !(l.from.scale > 0) ||
      (!qb__has_vnni() && qb__unsigned_saturation(graph, op, 255) != QB__CANNOT_SATURATE))
    return;
  l.outputs = (size_t)graph->tensors[op->weights].dims[0];
  l.op.requantize = (qb__requantize){.applies = true, .addend_step = 1, .last_step = 1};
  l.steps = qb__calloc(graph->context, 3 * l.outputs, sizeof *l.steps);
  if (!l.steps) {
    graph->status = QB_ERROR_NO_MEMORY;
    return;
  }
  l.factors = l.steps + l.outputs;
  l.bias = l.factors + l.outputs;
  if (read_constants(&l)) {
    take_scale(&l);
    take_results(&l);
    finish(&l, engine);
  }
  qb__free(graph->context, l.steps);
}

void qb__lower_layers(qb__graph *graph, struct dnnl_engine *engine)
{
  for (size_t i = 0; i < graph->operator_count && !graph->status; i++)
    lower_layer(graph, i, engine);
  qb__drop_unread(graph);
}
