/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Einsum of one or two inputs, as a product of matrices: the letters that both inputs and the
 * result have are its leading dimensions, those of both inputs alone are summed over, and those of
 * one input and the result are rows or columns.
 */
#include "core/error.h"
#include "model/onnx_map.h"

#include <stdio.h>
#include <string.h>

enum { MOST_LETTERS = QB__ONNX_RANK };

/* The letters of a term of an equation, without blanks. */
typedef struct term {
  char letters[MOST_LETTERS + 1];
  uint32_t count;
} term;

static bool add_letter(term *t, char letter)
{
  if (((letter | 32) < 'a' || (letter | 32) > 'z') || t->count == MOST_LETTERS ||
      memchr(t->letters, letter, t->count))
    return false;
  t->letters[t->count++] = letter;
  return true;
}

static bool has(const term *t, char letter)
{
  return memchr(t->letters, letter, t->count) != NULL;
}

static uint32_t index_of(const term *t, char letter)
{
  return (uint32_t)((const char *)memchr(t->letters, letter, t->count) - t->letters);
}

/* "ij,jk->ik"; terms[2] is the result. False where letters repeat in a term, or are not letters. */
static bool parse(const char *text, size_t length, term terms[3], size_t *inputs)
{
  size_t at = 0;
  memset(terms, 0, 3 * sizeof *terms);
  *inputs = 1;
  for (size_t i = 0; i < length; i++) {
    if (text[i] == ' ')
      continue;
    if (text[i] == ',' && at == 0) {
      at = 1;
      *inputs = 2;
    } else if (text[i] == '-' && i + 1 < length && text[i + 1] == '>' && at < 2) {
      at = 2;
      i++;
    } else if (!add_letter(&terms[at], text[i])) {
      return false;
    }
  }
  return at == 2;
}

/* Letters in the order that a product wants them: leading, rows or columns, summed. */
typedef struct side {
  int32_t tensor;
  term letters; /* of the sample, in the order of its dimensions */
} side;

/* Dimensions of a sample by letter; the batch's letter has none where it is left out. */
static bool enter(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x, const term *t,
                  side *s)
{
  const qb__onnx_shape shape = qb__onnx_shape_of(x);
  int64_t sample[QB__ONNX_RANK];
  s->tensor = x->tensor;
  s->letters.count = 0;
  if (x->kind != QB__ONNX_ACTIVATION || x->rank != t->count) {
    qb__onnx_problem(im, node, "it is supported for activations of as many dimensions as letters");
    return false;
  }
  const bool dropped = qb__onnx_sample(im, &shape, sample) < x->rank;
  for (uint32_t i = 0; i < t->count; i++)
    if (!dropped || i != x->batch_axis)
      add_letter(&s->letters, t->letters[i]);
  return true;
}

/* Turns the dimensions of a side into the order of `wanted`, which has the same letters. */
static int32_t turn(qb__onnx *im, const qb__onnx_node *node, const side *s, const term *wanted)
{
  uint32_t order[QB_MAX_DIMS];
  bool same = true;
  for (uint32_t i = 0; i < wanted->count; i++) {
    order[i] = index_of(&s->letters, wanted->letters[i]);
    same = same && order[i] == i;
  }
  return same ? s->tensor : qb__graph_transpose(im->graph, node->label, s->tensor, order);
}

typedef struct product {
  term leading, rows, columns, summed;
} product;

/* The product of the sizes of letters, by the side that has them. */
static int64_t size_of(const qb__onnx *im, const side *s, const term *letters)
{
  int64_t size = 1;
  for (uint32_t i = 0; i < letters->count; i++)
    size *= im->graph->tensors[s->tensor].dims[index_of(&s->letters, letters->letters[i])];
  return size;
}

static term joined(const term *a, const term *b, const term *c)
{
  const term *terms[3] = {a, b, c};
  term all = {.count = 0};
  for (int t = 0; t < 3; t++)
    for (uint32_t i = 0; i < terms[t]->count; i++)
      add_letter(&all, terms[t]->letters[i]);
  return all;
}

/* Sorts letters into their parts; false where one stands on one side alone. */
static bool sort_letters(const side *a, const side *b, const term *out, product *p)
{
  memset(p, 0, sizeof *p);
  for (uint32_t i = 0; i < a->letters.count; i++) {
    const char letter = a->letters.letters[i];
    const bool both = has(&b->letters, letter), kept = has(out, letter);
    if (!both && !kept)
      return false;
    add_letter(both && kept ? &p->leading : both ? &p->summed : &p->rows, letter);
  }
  for (uint32_t i = 0; i < b->letters.count; i++)
    if (!has(&a->letters, b->letters.letters[i])) {
      if (!has(out, b->letters.letters[i]))
        return false;
      add_letter(&p->columns, b->letters.letters[i]);
    }
  return true;
}

static int32_t multiply(qb__onnx *im, const qb__onnx_node *node, const side *a, const side *b,
                        const product *p, side *result)
{
  qb__graph *g = im->graph;
  const int64_t leading = size_of(im, a, &p->leading), rows = size_of(im, a, &p->rows);
  const int64_t columns = size_of(im, b, &p->columns), summed = size_of(im, a, &p->summed);
  const int64_t left[3] = {leading, rows, summed}, right[3] = {leading, summed, columns};
  const term a_order = joined(&p->leading, &p->rows, &p->summed);
  const term b_order = joined(&p->leading, &p->summed, &p->columns);
  int64_t dims[QB__ONNX_RANK] = {1};
  result->letters = joined(&p->leading, &p->rows, &p->columns);
  for (uint32_t i = 0; i < result->letters.count; i++) {
    const char letter = result->letters.letters[i];
    const side *s = has(&a->letters, letter) ? a : b;
    dims[i] = g->tensors[s->tensor].dims[index_of(&s->letters, letter)];
  }
  int32_t x = turn(im, node, a, &a_order), y = turn(im, node, b, &b_order);
  x = qb__graph_reshape(g, node->label, x, 3, left);
  y = qb__graph_reshape(g, node->label, y, 3, right);
  const int32_t z = g->status ? QB__NONE : qb__graph_matmul(g, node->label, x, y);
  const uint32_t rank = result->letters.count ? result->letters.count : 1;
  return qb__graph_reshape(g, node->label, z, rank, dims);
}

/* The shape of the result, the batch included; false where inputs do not fit each other or it. */
static bool result_shape(const qb__onnx *im, const qb__onnx_node *node, const term terms[3],
                         size_t inputs, qb__onnx_shape *shape)
{
  const qb__onnx_value *first = node->inputs[0];
  shape->rank = terms[2].count;
  for (uint32_t i = 0; i < terms[2].count; i++) {
    shape->dims[i] = 0;
    for (size_t n = 0; n < inputs; n++)
      if (has(&terms[n], terms[2].letters[i]))
        shape->dims[i] = node->inputs[n]->dims[index_of(&terms[n], terms[2].letters[i])];
    if (!shape->dims[i])
      return false;
  }
  for (uint32_t i = 0; inputs == 2 && i < terms[0].count; i++)
    if (has(&terms[1], terms[0].letters[i]) &&
        first->dims[i] != node->inputs[1]->dims[index_of(&terms[1], terms[0].letters[i])])
      return false;
  shape->batch_axis = 0;
  shape->batch_outer = first->batch_outer;
  if (im->batched && has(&terms[2], terms[0].letters[first->batch_axis]))
    shape->batch_axis = index_of(&terms[2], terms[0].letters[first->batch_axis]);
  return true;
}

/* Whether the batch is the same letter everywhere. */
static bool keeps_batch(const qb__onnx *im, const qb__onnx_node *node, const term terms[3],
                        size_t inputs)
{
  for (size_t n = 0; im->batched && n < inputs; n++)
    if (node->inputs[n]->batch_outer != node->inputs[0]->batch_outer ||
        terms[n].letters[node->inputs[n]->batch_axis] !=
            terms[0].letters[node->inputs[0]->batch_axis] ||
        !has(&terms[2], terms[n].letters[node->inputs[n]->batch_axis]))
      return false;
  return true;
}

void qb__onnx_map_einsum(qb__onnx *im, const qb__onnx_node *node)
{
  const Onnx__AttributeProto *equation = qb__onnx_attribute(node, "equation");
  term terms[3];
  size_t inputs;
  side sides[2], result = {.tensor = QB__NONE};
  product p;
  qb__onnx_shape shape;
  if (!parse((const char *)equation->s.data, equation->s.len, terms, &inputs) ||
      inputs != node->input_count) {
    qb__onnx_problem(im, node,
                     "only equations of one or two terms with a result, and without a repeated "
                     "letter within a term, are supported");
    return;
  }
  for (size_t n = 0; n < inputs; n++)
    if (!enter(im, node, node->inputs[n], &terms[n], &sides[n]))
      return;
  if (!result_shape(im, node, terms, inputs, &shape)) {
    qb__onnx_problem(im, node, "the shapes of its inputs do not match its equation");
    return;
  }
  if (!keeps_batch(im, node, terms, inputs)) {
    qb__onnx_mixing(im, node);
    return;
  }
  term wanted = {.count = 0};
  if (inputs == 2) {
    if (!sort_letters(&sides[0], &sides[1], &terms[2], &p)) {
      qb__onnx_problem(im, node, "a sum over a letter of one input alone is not supported");
      return;
    }
    result.tensor = multiply(im, node, &sides[0], &sides[1], &p, &result);
  } else {
    result = sides[0];
  }
  for (uint32_t i = 0; i < terms[2].count; i++)
    if (has(&result.letters, terms[2].letters[i]))
      add_letter(&wanted, terms[2].letters[i]);
  if (wanted.count != result.letters.count)
    qb__onnx_problem(im, node, "a sum over a letter of one input alone is not supported");
  else if (!im->graph->status)
    qb__onnx_result(im, node, turn(im, node, &result, &wanted), &shape);
}
