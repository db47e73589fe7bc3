/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that move elements, where one does what several did. */
#include "core/alloc.h"
#include "core/error.h"
#include "model/graph_edit.h"
#include "model/patterns.h"

#include <string.h>

static bool join_transpositions(qb__graph *g, size_t index)
{
  qb__operator *outer = &g->operators[index];
  const qb__operator *inner = qb__maker(g, outer->input);
  if (!inner || inner->kind != QB__OP_TRANSPOSE)
    return false;
  const uint32_t rank = g->tensors[outer->output].rank;
  bool same = true;
  for (uint32_t i = 0; i < rank; i++) {
    outer->order[i] = inner->order[outer->order[i]];
    same = same && outer->order[i] == i;
  }
  outer->input = inner->input;
  if (same)
    outer->kind = QB__OP_FLATTEN;
  return false;
}

static int64_t *new_indices(qb__graph *g, int64_t count)
{
  int64_t *indices = qb__calloc(g->context, (size_t)count, sizeof *indices);
  if (!indices)
    g->status = QB_ERROR_NO_MEMORY;
  return indices;
}

/* A pick of one tap without a factor. */
static bool is_copy(const qb__operator *op)
{
  return op && op->kind == QB__OP_PICK && op->taps == 1 && !op->factors;
}

/* Makes an operator a pick of `count` elements along an axis, of which it takes over `indices`. */
static void become_copy(qb__graph *g, qb__operator *op, int32_t x, uint32_t axis, int64_t *indices)
{
  qb__free(g->context, op->indices);
  op->kind = QB__OP_PICK;
  op->input = x;
  op->indices = indices;
  op->axis = axis;
  op->taps = 1;
}

/* Channels as groups of rows, turned, and as channels again: they are shuffled. */
static bool recognise_shuffle(qb__graph *g, size_t index)
{
  qb__operator *op = &g->operators[index];
  const qb__operator *turn = qb__maker(g, op->input);
  const qb__operator *split = turn ? qb__maker(g, turn->input) : NULL;
  if (!split || turn->kind != QB__OP_TRANSPOSE || split->kind != QB__OP_FLATTEN)
    return false;
  const qb__tensor *x = &g->tensors[split->input], *t = &g->tensors[split->output];
  const int64_t groups = t->dims[0], rows = t->rank > 1 ? t->dims[1] : 1;
  bool fits = t->rank == x->rank + 1 && x->dims[0] == groups * rows &&
              g->tensors[op->output].rank == x->rank &&
              !memcmp(g->tensors[op->output].dims, x->dims, x->rank * sizeof *x->dims) &&
              turn->order[0] == 1 && turn->order[1] == 0;
  for (uint32_t i = 2; fits && i < t->rank; i++)
    fits = turn->order[i] == i && t->dims[i] == x->dims[i - 1];
  int64_t *indices = fits ? new_indices(g, x->dims[0]) : NULL;
  if (!indices)
    return false;
  for (int64_t i = 0; i < x->dims[0]; i++)
    indices[i] = i % groups * rows + i / groups;
  become_copy(g, op, split->input, 0, indices);
  return false;
}

/* A part of what a pick gives is a pick as well. */
static bool join_crop(qb__graph *g, size_t index)
{
  qb__operator *op = &g->operators[index];
  const qb__operator *inner = qb__maker(g, op->input);
  const qb__tensor *in = &g->tensors[op->input], *out = &g->tensors[op->output];
  bool fits = is_copy(inner) && !inner->rest_count;
  for (uint32_t i = 0; fits && i < in->rank; i++)
    fits = i == inner->axis ? op->before[i] <= 0 && out->dims[i] - op->before[i] <= in->dims[i]
                            : op->before[i] == 0 && out->dims[i] == in->dims[i];
  if (!fits)
    return false;
  const int64_t count = out->dims[inner->axis], first = -op->before[inner->axis];
  int64_t *indices = new_indices(g, count);
  if (!indices)
    return false;
  memcpy(indices, inner->indices + first, (size_t)count * sizeof *indices);
  op->value = inner->value;
  become_copy(g, op, inner->input, inner->axis, indices);
  return false;
}

/* A pick from a concat of two picks from both. */
static bool join_concat(qb__graph *g, size_t index)
{
  qb__operator *op = &g->operators[index];
  const qb__operator *concat = qb__maker(g, op->input);
  if (!concat || concat->kind != QB__OP_CONCAT || concat->axis != op->axis ||
      concat->rest_count != 1 || op->rest_count || g->tensors[concat->input].constant ||
      g->tensors[concat->rest[0]].constant)
    return false;
  op->rest = qb__calloc(g->context, 1, sizeof *op->rest);
  if (!op->rest) {
    g->status = QB_ERROR_NO_MEMORY;
    return false;
  }
  op->rest_count = 1;
  op->rest[0] = concat->rest[0];
  op->input = concat->input;
  return false;
}

/* The mean of whole images is a pool, which needs no row-major input. */
static bool pool_images(qb__graph *g, size_t index)
{
  qb__operator *op = &g->operators[index];
  const qb__tensor *in = &g->tensors[op->input];
  const uint32_t behind_channels = (UINT32_C(1) << in->rank) - 2;
  bool fits = op->reduction == QB__REDUCTION_MEAN && op->axes == behind_channels && in->rank >= 3 &&
              in->rank <= 1 + QB__MOST_SPATIAL;
  for (uint32_t i = 1; fits && i < in->rank; i++)
    fits = in->dims[i] <= INT16_MAX;
  if (!fits)
    return false;
  op->kind = QB__OP_AVERAGE_POOL;
  memset(&op->window, 0, sizeof op->window);
  for (uint32_t i = 0; i < QB__MOST_SPATIAL; i++) {
    op->window.kernel[i] = i + 1 < in->rank ? in->dims[i + 1] : 1;
    op->window.strides[i] = op->window.dilations[i] = 1;
  }
  return false;
}

void qb__recognise_moves(qb__graph *graph)
{
  qb__apply(graph, QB__OP_TRANSPOSE, join_transpositions);
  qb__apply(graph, QB__OP_FLATTEN, recognise_shuffle);
  qb__apply(graph, QB__OP_PAD, join_crop);
  qb__apply(graph, QB__OP_PICK, join_concat);
  qb__apply(graph, QB__OP_REDUCE, pool_images);
  qb__drop_unread(graph);
}
