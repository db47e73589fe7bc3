/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators written as several. An expression is matched from its end, by what it computes: numbers
 * by their value, factors in any order. Only its last operator is rewritten.
 */
#include "model/patterns.h"
#include "core/error.h"
#include "model/graph_edit.h"

#include <math.h>
#include <string.h>

static const qb__operator *activation_of(const qb__graph *g, int32_t tensor, qb__activation kind)
{
  const qb__operator *op = qb__maker(g, tensor);
  return op && op->kind == QB__OP_ACTIVATION && op->activation == kind ? op : NULL;
}

/* As near as numbers in files are to what they stand for. */
static bool is_near(double found, double meant)
{
  return fabs(found - meant) <= 1e-5 * fabs(meant);
}

/* Coefficients of 1, x, x^2 and x^3. */
typedef struct polynomial {
  double of[4];
} polynomial;

static bool multiply(const polynomial *a, const polynomial *b, polynomial *product)
{
  memset(product, 0, sizeof *product);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      const double term = a->of[i] * b->of[j];
      if (i + j < 4)
        product->of[i + j] += term;
      else if (term != 0)
        return false;
    }
  return true;
}

static bool combine(qb__op_kind kind, const polynomial *a, const polynomial *b, polynomial *result)
{
  if (kind == QB__OP_MULTIPLY)
    return multiply(a, b, result);
  for (int i = 0; i < 4; i++)
    result->of[i] = kind == QB__OP_ADD ? a->of[i] + b->of[i] : a->of[i] - b->of[i];
  return kind == QB__OP_ADD || kind == QB__OP_SUBTRACT;
}

enum { DEEPEST = 8 /* expressions of activations are shorter */ };

static bool polynomial_of(const qb__graph *g, int32_t tensor, int32_t x, int depth, polynomial *p);

static bool power_of(const qb__graph *g, const qb__operator *op, int32_t x, int depth,
                     polynomial *p)
{
  polynomial base, result = {{op->alpha}};
  if (op->beta != 2 && op->beta != 3)
    return false;
  bool fits = polynomial_of(g, op->input, x, depth, &base);
  for (int i = 0; fits && i < (int)op->beta; i++) {
    const polynomial before = result;
    fits = multiply(&before, &base, &result);
  }
  *p = result;
  return fits;
}

/* Whether a tensor is a polynomial of `x`, and which. */
static bool polynomial_of(const qb__graph *g, int32_t tensor, int32_t x, int depth, polynomial *p)
{
  memset(p, 0, sizeof *p);
  if (tensor == x) {
    p->of[1] = 1;
    return true;
  }
  const qb__tensor *t = &g->tensors[tensor];
  if (t->constant) {
    p->of[0] = t->constant[0];
    return t->elements == 1;
  }
  const qb__operator *op = qb__maker(g, tensor);
  if (!op || depth == DEEPEST)
    return false;
  if (op->kind == QB__OP_ACTIVATION && op->activation == QB__ACTIVATION_POWER)
    return power_of(g, op, x, depth + 1, p);
  polynomial a, b;
  if (op->kind == QB__OP_ACTIVATION && op->activation == QB__ACTIVATION_LINEAR) {
    if (!polynomial_of(g, op->input, x, depth + 1, &a))
      return false;
    for (int i = 0; i < 4; i++)
      p->of[i] = op->alpha * a.of[i] + (i ? 0 : op->beta);
    return true;
  }
  return op->kind >= QB__OP_ADD && op->kind <= QB__OP_MULTIPLY &&
         polynomial_of(g, op->input, x, depth + 1, &a) &&
         polynomial_of(g, op->addend, x, depth + 1, &b) && combine(op->kind, &a, &b, p);
}

/* Whether p is constant + factor * x. */
static bool is_line(const polynomial *p, double constant, double factor)
{
  return is_near(p->of[0], constant) && is_near(p->of[1], factor) && p->of[2] == 0 && p->of[3] == 0;
}

/*
 * The first operator back from a tensor that is no number times it plus a number: `scale`, `shift`.
 */
static const qb__operator *core_of(const qb__graph *g, int32_t tensor, double *scale, double *shift)
{
  *scale = 1;
  *shift = 0;
  for (int depth = 0; depth < DEEPEST; depth++) {
    const qb__operator *linear = activation_of(g, tensor, QB__ACTIVATION_LINEAR);
    if (!linear)
      return qb__maker(g, tensor);
    *shift += *scale * linear->beta;
    *scale *= linear->alpha;
    tensor = linear->input;
  }
  return NULL;
}

/* x times a number times an activation of x: what that is, and the number. */
typedef struct gated {
  qb__activation activation;
  float alpha;
  double factor;
} gated;

static bool match_gate(const qb__graph *g, const qb__operator *core, int32_t x, double scale,
                       double shift, gated *found)
{
  polynomial p;
  *found = (gated){QB__ACTIVATION_NONE, 0, scale};
  if (core->kind != QB__OP_ACTIVATION)
    return false;
  const bool plain = shift == 0, plus_one = is_near(shift, scale);
  const bool inner = polynomial_of(g, core->input, x, 0, &p);
  switch (core->activation) {
  case QB__ACTIVATION_SIGMOID:
    found->activation = QB__ACTIVATION_SWISH;
    found->alpha = (float)p.of[1];
    return plain && inner && is_line(&p, 0, p.of[1]);
  case QB__ACTIVATION_CLIP: /* to 0..1, or to a multiple of that */
    found->activation = QB__ACTIVATION_HARD_SWISH;
    found->factor = scale * core->beta;
    return plain && inner && core->alpha == 0 && core->beta > 0 &&
           is_line(&p, core->beta / 2, core->beta / 6);
  case QB__ACTIVATION_ERF:
    found->activation = QB__ACTIVATION_GELU_ERF;
    found->factor = 2 * scale;
    return plus_one && inner && is_line(&p, 0, sqrt(0.5));
  case QB__ACTIVATION_TANH: {
    const qb__operator *softplus = activation_of(g, core->input, QB__ACTIVATION_SOFTPLUS);
    if (softplus && softplus->input == x) {
      found->activation = QB__ACTIVATION_MISH;
      return plain;
    }
    found->activation = QB__ACTIVATION_GELU_TANH;
    found->factor = 2 * scale;
    return plus_one && inner && p.of[0] == 0 && p.of[2] == 0 && is_near(p.of[1], sqrt(2 / M_PI)) &&
           is_near(p.of[3], 0.044715 * p.of[1]);
  }
  default: return false;
  }
}

/* Looks for x: what the gate's activation, or the polynomial in it, is of. */
static bool match_product(const qb__graph *g, int32_t value, int32_t gate, int32_t *x, gated *found)
{
  double scale, shift;
  const qb__operator *core = core_of(g, gate, &scale, &shift);
  if (!core)
    return false;
  *x = value; /* itself, or what it is a multiple of */
  for (int depth = 0; depth < DEEPEST; depth++) {
    polynomial p;
    if (polynomial_of(g, value, *x, 0, &p) && match_gate(g, core, *x, scale, shift, found)) {
      found->factor *= p.of[1];
      return is_line(&p, 0, p.of[1]);
    }
    const qb__operator *linear = activation_of(g, *x, QB__ACTIVATION_LINEAR);
    if (!linear)
      return false;
    *x = linear->input;
  }
  return false;
}

static void become(qb__operator *op, qb__op_kind kind, int32_t x)
{
  op->kind = kind;
  op->input = x;
  op->addend = QB__NONE;
}

/* The operator that alone reads a tensor and multiplies it with a number; or NULL. */
static qb__operator *only_scaling(qb__graph *g, int32_t tensor, double factor)
{
  for (size_t i = 0; i < g->operator_count && qb__readers(g, tensor) == 1; i++) {
    qb__operator *op = &g->operators[i];
    if (op->kind == QB__OP_ACTIVATION && op->activation == QB__ACTIVATION_LINEAR &&
        op->input == tensor && op->beta == 0 && is_near(op->alpha, factor))
      return op;
  }
  return NULL;
}

/* A product of x and an activation of x; a half of it may be taken behind the product. */
static bool recognise_gate(qb__graph *g, size_t index)
{
  qb__operator *op = &g->operators[index];
  gated found;
  int32_t x;
  if (!match_product(g, op->input, op->addend, &x, &found) &&
      !match_product(g, op->addend, op->input, &x, &found))
    return false;
  if (!is_near(found.factor, 1)) {
    op = only_scaling(g, op->output, 1 / found.factor);
    if (!op)
      return false;
  }
  become(op, QB__OP_ACTIVATION, x);
  op->activation = found.activation;
  op->alpha = found.alpha;
  op->beta = 0;
  return false;
}

/* Whether a tensor is x less its mean over some axes. */
static bool is_centred(const qb__graph *g, int32_t tensor, int32_t *x, uint32_t *axes)
{
  const qb__operator *difference = qb__maker(g, tensor);
  if (!difference || difference->kind != QB__OP_SUBTRACT)
    return false;
  const qb__operator *mean = qb__maker(g, difference->addend);
  *x = difference->input;
  *axes = mean ? mean->axes : 0;
  return mean && mean->kind == QB__OP_REDUCE && mean->reduction == QB__REDUCTION_MEAN &&
         mean->input == *x;
}

/* What a tensor is the square of, or QB__NONE. */
static int32_t square_root(const qb__graph *g, int32_t tensor)
{
  const qb__operator *op = qb__maker(g, tensor);
  if (op && op->kind == QB__OP_MULTIPLY && op->input == op->addend)
    return op->input;
  op = activation_of(g, tensor, QB__ACTIVATION_POWER);
  return op && op->alpha == 1 && op->beta == 2 ? op->input : QB__NONE;
}

/* Whether a tensor is the variance of x over the axes, plus epsilon. */
static bool is_variance(const qb__graph *g, int32_t tensor, int32_t x, uint32_t axes,
                        float *epsilon)
{
  const qb__operator *sum = activation_of(g, tensor, QB__ACTIVATION_LINEAR);
  *epsilon = sum ? sum->beta : 0;
  const qb__operator *mean = qb__maker(g, sum ? sum->input : tensor);
  if (!mean || mean->kind != QB__OP_REDUCE || mean->reduction != QB__REDUCTION_MEAN ||
      mean->axes != axes || (sum && sum->alpha != 1))
    return false;
  int32_t same_x;
  uint32_t same_axes;
  const int32_t root = square_root(g, mean->input);
  return root != QB__NONE && is_centred(g, root, &same_x, &same_axes) && same_x == x &&
         same_axes == axes;
}

/* What a tensor is the square root of, or its reciprocal where `inverse`. */
static int32_t square_of(const qb__graph *g, int32_t tensor, bool inverse)
{
  const qb__operator *op = activation_of(g, tensor, QB__ACTIVATION_POWER);
  if (op && op->alpha == 1 && op->beta == (inverse ? -0.5f : 0.5f))
    return op->input;
  if (inverse) {
    if (!op || op->alpha != 1 || op->beta != -1)
      return QB__NONE;
    tensor = op->input;
  }
  op = activation_of(g, tensor, QB__ACTIVATION_SQRT);
  return op ? op->input : QB__NONE;
}

/* The first of the axes, which go on to the last one; the rank if they do not. */
static uint32_t first_of(uint32_t axes, uint32_t rank)
{
  uint32_t first = rank;
  while (first > 0 && axes >> (first - 1) & 1)
    first--;
  return axes >> first << first == axes && !(axes & ((UINT32_C(1) << first) - 1)) ? first : rank;
}

static bool match_layer_norm(qb__graph *g, qb__operator *op, int32_t centred, int32_t deviation)
{
  int32_t x;
  uint32_t axes;
  float epsilon;
  const int32_t variance = square_of(g, deviation, op->kind == QB__OP_MULTIPLY);
  if (variance == QB__NONE || !is_centred(g, centred, &x, &axes) ||
      !is_variance(g, variance, x, axes, &epsilon))
    return false;
  const uint32_t rank = g->tensors[x].rank, first = first_of(axes, rank);
  if (first == rank)
    return false;
  become(op, QB__OP_LAYER_NORM, x);
  op->axis = first;
  op->epsilon = epsilon;
  return true;
}

static bool recognise_layer_norm(qb__graph *g, size_t index)
{
  qb__operator *op = &g->operators[index];
  if (!match_layer_norm(g, op, op->input, op->addend) && op->kind == QB__OP_MULTIPLY)
    match_layer_norm(g, op, op->addend, op->input);
  return false;
}

/* Whether a constant has the last dimensions of a tensor, from `first` on, and 1 before them. */
static bool is_of_last(const qb__tensor *constant, const qb__tensor *t, uint32_t first)
{
  bool fits = constant->constant && constant->rank == t->rank;
  for (uint32_t i = 0; fits && i < t->rank; i++)
    fits = constant->dims[i] == (i < first ? 1 : t->dims[i]);
  return fits;
}

/* A product or sum with a constant behind a layer norm is its scale or shift. */
static bool complete_layer_norm(qb__graph *g, size_t index)
{
  const qb__operator outer = g->operators[index];
  for (int i = 0; i < 2; i++) {
    const int32_t inner = i ? outer.addend : outer.input, other = i ? outer.input : outer.addend;
    const int32_t before = qb__producer(g, inner);
    qb__operator *norm = before == QB__NONE ? NULL : &g->operators[before];
    const bool scales = outer.kind == QB__OP_MULTIPLY;
    if (!norm || norm->kind != QB__OP_LAYER_NORM || qb__readers(g, inner) != 1 ||
        norm->bias != QB__NONE || (scales && norm->weights != QB__NONE) ||
        !is_of_last(&g->tensors[other], &g->tensors[inner], norm->axis))
      continue;
    *(scales ? &norm->weights : &norm->bias) = other;
    norm->output = outer.output;
    qb__remove_operator(g, index);
    return true;
  }
  return false;
}

void qb__recognise(qb__graph *graph)
{
  qb__apply(graph, QB__OP_MULTIPLY, recognise_gate);
  qb__apply(graph, QB__OP_DIVIDE, recognise_layer_norm);
  qb__apply(graph, QB__OP_MULTIPLY, recognise_layer_norm);
  qb__drop_unread(graph);
  qb__apply(graph, QB__OP_MULTIPLY, complete_layer_norm);
  qb__apply(graph, QB__OP_ADD, complete_layer_norm);
}
