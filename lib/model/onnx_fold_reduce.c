/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that run along axes of constants. */
#include "model/onnx_fold.h"

#include "model/onnx_shape.h"

#include <math.h>
#include <string.h>

/* The dimensions that are left. */
static uint32_t left_dims(const qb__onnx_value *x, uint32_t mask, bool keep, int64_t *dims)
{
  uint32_t rank = 0;
  for (uint32_t i = 0; i < x->rank; i++)
    if (!(mask >> i & 1))
      dims[rank++] = x->dims[i];
    else if (keep)
      dims[rank++] = 1;
  return rank;
}

/* A walk over x whose index 0 is that of the result each element goes into. */
static void walk_into(const qb__onnx *im, const qb__onnx_value *x, uint32_t mask,
                      qb__onnx_walk *walk)
{
  int64_t stride = 1;
  qb__onnx_walk_init(im, walk, x->rank, x->dims);
  for (uint32_t i = x->rank; i-- > 0;) {
    walk->strides[0][i] = mask >> i & 1 ? 0 : stride;
    stride *= mask >> i & 1 || !x->elements ? 1 : walk->dims[i];
  }
}

/* How a Reduce operator goes over its elements: what it makes of each, of two, and of all. */
typedef struct reduction {
  const char *name, *combine;
  double start;
  double (*before)(double);        /* NULL: nothing */
  double (*after)(double, double); /* of the sum and the number of elements; NULL: nothing */
} reduction;

static double square(double x)
{
  return x * x;
}

static double mean(double sum, double count)
{
  return sum / count;
}

static double root(double sum, double count)
{
  (void)count;
  return sqrt(sum);
}

static double logarithm(double sum, double count)
{
  (void)count;
  return log(sum);
}

static const reduction *reduction_of(const char *operator_type)
{
  static const reduction list[] = {
      {"ReduceL1", "Add", 0, fabs, NULL},          {"ReduceL2", "Add", 0, square, root},
      {"ReduceLogSum", "Add", 0, NULL, logarithm}, {"ReduceLogSumExp", "Add", 0, exp, logarithm},
      {"ReduceMax", "Max", -INFINITY, NULL, NULL}, {"ReduceMean", "Add", 0, NULL, mean},
      {"ReduceMin", "Min", INFINITY, NULL, NULL},  {"ReduceProd", "Mul", 1, NULL, NULL},
      {"ReduceSum", "Add", 0, NULL, NULL},         {"ReduceSumSquare", "Add", 0, square, NULL},
  };
  const reduction *r = list;
  while (strcmp(r->name, operator_type) != 0)
    r++;
  return r;
}

/* Elements come in their order; a result's first one replaces what it began with. */
static bool reduce_integers(qb__onnx *im, const qb__onnx_node *node, const reduction *r,
                            const qb__onnx_value *x, qb__onnx_walk *walk, uint32_t mask,
                            qb__onnx_value *result)
{
  const qb__onnx_binary *combine = qb__onnx_binary_of(r->combine);
  if (!x->elements && isinf(r->start)) {
    qb__onnx_problem(im, node, "its constant has no elements");
    return false;
  }
  for (size_t i = 0; i < result->elements; i++)
    ((int64_t *)result->data)[i] = r->start == 1;
  for (size_t i = 0; i < x->elements; i++, qb__onnx_walk_next(walk)) {
    bool first = true;
    for (uint32_t d = 0; d < walk->rank; d++)
      first = first && (!(mask >> d & 1) || walk->at[d] == 0);
    const size_t to = (size_t)walk->index[0];
    if (first)
      qb__onnx_copy(result, to, x, i);
    else if (!qb__onnx_binary_apply(im, node, combine, result, to, result, to, x, i))
      return false;
  }
  return true;
}

/* Sums are doubles, whatever the type of the elements. */
static bool reduce_reals(qb__onnx *im, const reduction *r, const qb__onnx_value *x,
                         qb__onnx_walk *walk, qb__onnx_value *result)
{
  const qb__onnx_binary *combine = qb__onnx_binary_of(r->combine);
  const double count = result->elements ? (double)(x->elements / result->elements) : 0;
  qb__onnx_value sums = {.tensor = QB__NONE};
  if (!qb__onnx_make(im, &sums, QB__ONNX_TYPE(DOUBLE), result->rank, result->dims))
    return false;
  double *sum = sums.data;
  for (size_t i = 0; i < result->elements; i++)
    sum[i] = r->start;
  for (size_t i = 0; i < x->elements; i++, qb__onnx_walk_next(walk)) {
    const double value = qb__onnx_real_at(x, i);
    double *to = &sum[walk->index[0]];
    *to = combine->real(*to, r->before ? r->before(value) : value);
  }
  for (size_t i = 0; i < result->elements; i++) {
    const double value = r->after ? r->after(sum[i], count) : sum[i];
    if (qb__onnx_is_real_type(result->type))
      qb__onnx_set_real(result, i, value);
    else
      ((int64_t *)result->data)[i] = qb__onnx_truncate(result->type, value);
  }
  qb__onnx_release(im, &sums);
  return true;
}

void qb__onnx_fold_reduce(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  const reduction *r = reduction_of(node->proto->op_type);
  int64_t dims[QB__ONNX_RANK];
  uint32_t mask;
  qb__onnx_walk walk;
  if (!qb__onnx_reduced(im, node, x->rank, &mask))
    return;
  const uint32_t rank = left_dims(x, mask, qb__onnx_int(node, "keepdims") != 0, dims);
  if (!qb__onnx_make_like(im, result, x, rank, dims))
    return;
  walk_into(im, x, mask, &walk);
  if (qb__onnx_is_real_type(x->type) || r->before || r->after)
    (void)reduce_reals(im, r, x, &walk, result);
  else
    (void)reduce_integers(im, node, r, x, &walk, mask, result);
}

/* Whether an element takes the place of the largest, or least, so far. */
static bool is_better(const qb__onnx_value *x, size_t i, size_t best, bool most, bool last)
{
  if (qb__onnx_is_real_type(x->type)) {
    const double value = qb__onnx_real_at(x, i), other = qb__onnx_real_at(x, best);
    if (isnan(value) || isnan(other))
      return !isnan(other) || (isnan(value) && last);
    return most ? value > other || (last && value == other)
                : value < other || (last && value == other);
  }
  const qb__onnx_binary *less = qb__onnx_binary_of("Less");
  const int64_t value = qb__onnx_int_at(x, i), other = qb__onnx_int_at(x, best);
  const bool wide = x->type == QB__ONNX_TYPE(UINT64);
  return (last && value == other) ||
         (most ? less->integer(other, value, wide) : less->integer(value, other, wide));
}

void qb__onnx_fold_arg(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  const bool most = !strcmp(node->proto->op_type, "ArgMax");
  const bool last = qb__onnx_int(node, "select_last_index") != 0;
  int64_t dims[QB__ONNX_RANK];
  uint32_t axis;
  if (!qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), x->rank, &axis))
    return;
  const uint32_t rank =
      left_dims(x, UINT32_C(1) << axis, qb__onnx_int(node, "keepdims") != 0, dims);
  if (!x->dims[axis])
    qb__onnx_problem(im, node, "there are no elements along axis %u", axis);
  else if (qb__onnx_make(im, result, QB__ONNX_TYPE(INT64), rank, dims) && result->elements) {
    const size_t inner = qb__onnx_product(im, x, axis + 1, x->rank);
    const size_t size = (size_t)x->dims[axis];
    for (size_t i = 0; i < result->elements; i++) {
      const size_t first = i / inner * inner * size + i % inner;
      size_t best = 0;
      for (size_t n = 1; n < size; n++)
        if (is_better(x, first + n * inner, first + best * inner, most, last))
          best = n;
      qb__onnx_set_int(result, i, (int64_t)best);
    }
  }
}

/* One row of a CumSum: from its first element, or its last. */
static void sum_row(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                    qb__onnx_value *result, size_t first, size_t inner, size_t size)
{
  const bool reverse = qb__onnx_int(node, "reverse") != 0;
  const size_t exclusive = qb__onnx_int(node, "exclusive") ? 1 : 0;
  const qb__onnx_binary *add = qb__onnx_binary_of("Add");
  for (size_t n = 0; n < size; n++) {
    const size_t at = first + (reverse ? size - 1 - n : n) * inner;
    const size_t before = reverse ? at + inner : at - inner;
    const size_t from = !exclusive ? at : before;
    if (n < exclusive)
      memset((char *)result->data + at * qb__onnx_width(x->type), 0, qb__onnx_width(x->type));
    else if (n == 0)
      qb__onnx_copy(result, at, x, from);
    else
      (void)qb__onnx_binary_apply(im, node, add, result, at, result, before, x, from);
  }
}

void qb__onnx_fold_cum_sum(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0);
  int64_t given = 0;
  uint32_t axis;
  if (qb__onnx_ints_or_input(im, node, "axis", 11, 1, &given, 1) < 1 ||
      !qb__onnx_axis(im, node, given, x->rank, &axis) ||
      !qb__onnx_make(im, result, x->type, x->rank, x->dims) || !x->elements)
    return;
  const size_t inner = qb__onnx_product(im, x, axis + 1, x->rank), size = (size_t)x->dims[axis];
  for (size_t i = 0; i < x->elements / size; i++)
    sum_row(im, node, x, result, i / inner * inner * size + i % inner, inner, size);
}
