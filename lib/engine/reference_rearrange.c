/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/reference_impl.h"

#include <math.h>

static size_t index_of(const qb__tensor *t, const int64_t *at)
{
  size_t index = 0;
  for (uint32_t d = 0; d < t->rank; d++)
    index = index * (size_t)t->dims[d] + (size_t)at[d];
  return index;
}

/* Where the middle of element `at` of `to` elements lies among `from` elements. */
static double middle(int64_t at, int64_t from, int64_t to)
{
  return ((double)at + 0.5) * (double)from / (double)to - 0.5;
}

static double resize(const qb__operator *op, const qb__tensor *in, const qb__tensor *out,
                     const float *x, const int64_t *at)
{
  double sum = 0;
  int64_t from[QB_MAX_DIMS] = {at[0]};
  for (uint32_t corner = 0; corner < 1U << (in->rank - 1); corner++) {
    double weight = 1;
    for (uint32_t d = 1; d < in->rank; d++) {
      const double place = middle(at[d], in->dims[d], out->dims[d]);
      const bool upper = corner >> (d - 1) & 1;
      const double lower = floor(place);
      const double nearest = round(place);
      const double chosen = op->linear ? lower + upper : nearest;
      weight *= op->linear ? upper ? place - lower : 1 - (place - lower) : !upper;
      from[d] = (int64_t)fmin(fmax(chosen, 0), (double)in->dims[d] - 1);
    }
    sum += weight * x[index_of(in, from)];
  }
  return sum;
}

static float pad(const qb__operator *op, const qb__tensor *in, const float *x, const int64_t *at)
{
  int64_t from[QB_MAX_DIMS];
  for (uint32_t d = 0; d < in->rank; d++) {
    from[d] = at[d] - op->before[d];
    if (from[d] < 0 || from[d] >= in->dims[d])
      return op->value;
  }
  return x[index_of(in, from)];
}

/* The element at `from`, along the axis of all inputs one behind the other. */
static float joined(const qb__graph *g, const qb__operator *op, const qb__reference_inputs *in,
                    int64_t *from)
{
  size_t i = 0;
  while (from[op->axis] >= g->tensors[qb__operator_input(op, i)].dims[op->axis])
    from[op->axis] -= g->tensors[qb__operator_input(op, i++)].dims[op->axis];
  return in->values[i][index_of(&g->tensors[qb__operator_input(op, i)], from)];
}

static double pick(const qb__graph *g, const qb__operator *op, const qb__reference_inputs *in,
                   const int64_t *at)
{
  int64_t from[QB_MAX_DIMS];
  for (uint32_t d = 0; d < g->tensors[op->input].rank; d++)
    from[d] = at[d];
  double sum = 0;
  for (uint32_t t = 0; t < op->taps; t++) {
    const size_t tap = (size_t)at[op->axis] * op->taps + t;
    from[op->axis] = op->indices[tap];
    const double value = op->indices[tap] < 0 ? op->value : joined(g, op, in, from);
    sum += op->factors ? op->factors[tap] * value : value;
  }
  return sum;
}

static float transpose(const qb__operator *op, const qb__tensor *in, const float *x,
                       const int64_t *at)
{
  int64_t from[QB_MAX_DIMS];
  for (uint32_t d = 0; d < in->rank; d++)
    from[op->order[d]] = at[d];
  return x[index_of(in, from)];
}

void qb__reference_rearrange(const qb__graph *g, const qb__operator *op,
                             const qb__reference_inputs *inputs, float *y)
{
  const qb__tensor *in = &g->tensors[op->input], *out = &g->tensors[op->output];
  const float *x = inputs->values[0];
  int64_t at[QB_MAX_DIMS];
  for (size_t i = 0; i < out->elements; i++) {
    qb__reference_position(out, i, at);
    switch (op->kind) {
    case QB__OP_RESIZE: y[i] = (float)resize(op, in, out, x, at); break;
    case QB__OP_CONCAT: y[i] = joined(g, op, inputs, at); break;
    case QB__OP_PAD: y[i] = pad(op, in, x, at); break;
    case QB__OP_PICK: y[i] = (float)pick(g, op, inputs, at); break;
    case QB__OP_TRANSPOSE: y[i] = transpose(op, in, x, at); break;
    default: break;
    }
  }
}
