/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/reference_impl.h"

/* One row of a layer. */
static void dense(const qb__graph *g, const qb__operator *op, const float *x, float *y)
{
  const qb__tensor *w = &g->tensors[op->weights];
  for (int64_t o = 0; o < w->dims[0]; o++) {
    double sum = op->bias == QB__NONE ? 0 : g->tensors[op->bias].constant[o];
    for (int64_t i = 0; i < w->dims[1]; i++)
      sum += (double)w->constant[o * w->dims[1] + i] * x[i];
    y[o] = (float)sum;
  }
}

static void matmul(const qb__graph *g, const qb__operator *op, const qb__reference_inputs *in,
                   float *y)
{
  const qb__tensor *a = &g->tensors[op->input], *b = &g->tensors[op->addend];
  const qb__tensor *t = &g->tensors[op->output];
  const uint32_t rank = t->rank;
  const int64_t depth = a->dims[rank - 1], columns = b->dims[rank - 1];
  int64_t at[QB_MAX_DIMS], of_a[QB_MAX_DIMS], of_b[QB_MAX_DIMS];
  for (size_t i = 0; i < t->elements; i++) {
    qb__reference_position(t, i, at);
    for (uint32_t d = 0; d < rank; d++)
      of_a[d] = of_b[d] = at[d];
    of_a[rank - 1] = of_b[rank - 2] = 0;
    const float *row = in->values[0] + qb__reference_repeated(a, of_a);
    const float *column = in->values[1] + qb__reference_repeated(b, of_b);
    double sum = 0;
    for (int64_t k = 0; k < depth; k++)
      sum += (double)row[k] * column[k * columns];
    y[i] = (float)sum;
  }
}

void qb__reference_multiply(const qb__graph *g, const qb__operator *op,
                            const qb__reference_inputs *in, float *y)
{
  if (op->kind == QB__OP_MATMUL) {
    matmul(g, op, in, y);
    return;
  }
  const qb__tensor *w = &g->tensors[op->weights];
  const size_t rows = g->tensors[op->output].elements / (size_t)w->dims[0];
  for (size_t r = 0; r < rows; r++)
    dense(g, op, in->values[0] + r * (size_t)w->dims[1], y + r * (size_t)w->dims[0]);
}
