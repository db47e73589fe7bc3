/* SPDX-License-Identifier: Apache-2.0 */
/* Which operators are evaluated, and what all evaluations share. */
#include "model/onnx_fold.h"

#include <stdlib.h>
#include <string.h>

enum {
  MOVES_OPEN = 1, /* takes elements that depend on an open batch */
  REPEATED = 2    /* takes constants that are repeated along it */
};

typedef struct entry {
  const char *name;
  qb__onnx_evaluate *evaluate;
  int takes;
} entry;

static int by_name(const void *name, const void *e)
{
  return strcmp(name, ((const entry *)e)->name);
}

static const entry *entry_of(const char *operator_type)
{
  static const entry entries[] = {
      /* sorted */
      {"Abs", qb__onnx_fold_unary, REPEATED},
      {"Add", qb__onnx_fold_binary, MOVES_OPEN | REPEATED},
      {"And", qb__onnx_fold_binary, REPEATED},
      {"ArgMax", qb__onnx_fold_arg, 0},
      {"ArgMin", qb__onnx_fold_arg, 0},
      {"Cast", qb__onnx_fold_cast, MOVES_OPEN | REPEATED},
      {"CastLike", qb__onnx_fold_cast_like, MOVES_OPEN | REPEATED},
      {"Ceil", qb__onnx_fold_unary, REPEATED},
      {"Clip", qb__onnx_fold_clip, REPEATED},
      {"Concat", qb__onnx_fold_concat, MOVES_OPEN | REPEATED},
      {"Constant", qb__onnx_fold_constant, 0},
      {"ConstantOfShape", qb__onnx_fold_constant_of_shape, MOVES_OPEN},
      {"Cos", qb__onnx_fold_unary, REPEATED},
      {"CumSum", qb__onnx_fold_cum_sum, 0},
      {"DequantizeLinear", qb__onnx_fold_dequantize, 0},
      {"Div", qb__onnx_fold_binary, MOVES_OPEN | REPEATED},
      {"Dropout", qb__onnx_fold_identity, MOVES_OPEN | REPEATED},
      {"Equal", qb__onnx_fold_binary, MOVES_OPEN | REPEATED},
      {"Erf", qb__onnx_fold_unary, REPEATED},
      {"Exp", qb__onnx_fold_unary, REPEATED},
      {"Expand", qb__onnx_fold_expand, MOVES_OPEN | REPEATED},
      {"EyeLike", qb__onnx_fold_eye, 0},
      {"Flatten", qb__onnx_fold_flatten, MOVES_OPEN | REPEATED},
      {"Floor", qb__onnx_fold_unary, REPEATED},
      {"Gather", qb__onnx_fold_gather, MOVES_OPEN},
      {"GatherElements", qb__onnx_fold_gather_elements, MOVES_OPEN},
      {"GatherND", qb__onnx_fold_gather_nd, MOVES_OPEN},
      {"Gemm", qb__onnx_fold_gemm, 0},
      {"Greater", qb__onnx_fold_binary, MOVES_OPEN | REPEATED},
      {"GreaterOrEqual", qb__onnx_fold_binary, MOVES_OPEN | REPEATED},
      {"Identity", qb__onnx_fold_identity, MOVES_OPEN | REPEATED},
      {"IsNaN", qb__onnx_fold_unary, REPEATED},
      {"Less", qb__onnx_fold_binary, MOVES_OPEN | REPEATED},
      {"LessOrEqual", qb__onnx_fold_binary, MOVES_OPEN | REPEATED},
      {"Log", qb__onnx_fold_unary, REPEATED},
      {"MatMul", qb__onnx_fold_matmul, 0},
      {"Max", qb__onnx_fold_variadic, MOVES_OPEN | REPEATED},
      {"Mean", qb__onnx_fold_variadic, MOVES_OPEN | REPEATED},
      {"Min", qb__onnx_fold_variadic, MOVES_OPEN | REPEATED},
      {"Mod", qb__onnx_fold_binary, MOVES_OPEN | REPEATED},
      {"Mul", qb__onnx_fold_binary, MOVES_OPEN | REPEATED},
      {"Neg", qb__onnx_fold_unary, REPEATED},
      {"Not", qb__onnx_fold_unary, REPEATED},
      {"OneHot", qb__onnx_fold_one_hot, 0},
      {"Or", qb__onnx_fold_binary, REPEATED},
      {"Pow", qb__onnx_fold_pow, REPEATED},
      {"QuantizeLinear", qb__onnx_fold_quantize, 0},
      {"Range", qb__onnx_fold_range, 0},
      {"Reciprocal", qb__onnx_fold_unary, REPEATED},
      {"ReduceL1", qb__onnx_fold_reduce, 0},
      {"ReduceL2", qb__onnx_fold_reduce, 0},
      {"ReduceLogSum", qb__onnx_fold_reduce, 0},
      {"ReduceLogSumExp", qb__onnx_fold_reduce, 0},
      {"ReduceMax", qb__onnx_fold_reduce, MOVES_OPEN},
      {"ReduceMean", qb__onnx_fold_reduce, 0},
      {"ReduceMin", qb__onnx_fold_reduce, MOVES_OPEN},
      {"ReduceProd", qb__onnx_fold_reduce, MOVES_OPEN},
      {"ReduceSum", qb__onnx_fold_reduce, MOVES_OPEN},
      {"ReduceSumSquare", qb__onnx_fold_reduce, 0},
      {"Relu", qb__onnx_fold_unary, REPEATED},
      {"Reshape", qb__onnx_fold_reshape, MOVES_OPEN | REPEATED},
      {"Round", qb__onnx_fold_unary, REPEATED},
      {"ScatterND", qb__onnx_fold_scatter_nd, MOVES_OPEN},
      {"Shape", qb__onnx_fold_shape, MOVES_OPEN | REPEATED},
      {"Sigmoid", qb__onnx_fold_unary, REPEATED},
      {"Sign", qb__onnx_fold_unary, REPEATED},
      {"Sin", qb__onnx_fold_unary, REPEATED},
      {"Size", qb__onnx_fold_shape, MOVES_OPEN | REPEATED},
      {"Slice", qb__onnx_fold_slice, MOVES_OPEN | REPEATED},
      {"Split", qb__onnx_fold_split, MOVES_OPEN | REPEATED},
      {"Sqrt", qb__onnx_fold_unary, REPEATED},
      {"Squeeze", qb__onnx_fold_squeeze, MOVES_OPEN | REPEATED},
      {"Sub", qb__onnx_fold_binary, MOVES_OPEN | REPEATED},
      {"Sum", qb__onnx_fold_variadic, MOVES_OPEN | REPEATED},
      {"Tanh", qb__onnx_fold_unary, REPEATED},
      {"Tile", qb__onnx_fold_tile, MOVES_OPEN},
      {"Transpose", qb__onnx_fold_transpose, MOVES_OPEN | REPEATED},
      {"Trilu", qb__onnx_fold_trilu, 0},
      {"Unsqueeze", qb__onnx_fold_unsqueeze, MOVES_OPEN | REPEATED},
      {"Where", qb__onnx_fold_where, MOVES_OPEN | REPEATED},
      {"Xor", qb__onnx_fold_binary, REPEATED},
  };
  return bsearch(operator_type, entries, sizeof entries / sizeof *entries, sizeof *entries,
                 by_name);
}

bool qb__onnx_folds(const char *operator_type)
{
  return entry_of(operator_type);
}

void qb__onnx_open_problem(qb__onnx *im, const qb__onnx_node *node)
{
  qb__onnx_problem(im, node,
                   "it needs a known batch size; export the model with a fixed batch size");
}

bool qb__onnx_closed(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *value)
{
  if (!qb__onnx_has_open(value))
    return true;
  qb__onnx_open_problem(im, node);
  return false;
}

/* Whether an operator takes what its inputs have to do with an open batch. */
static bool takes(qb__onnx *im, const qb__onnx_node *node, const entry *e)
{
  for (size_t i = 0; i < node->input_count; i++) {
    const qb__onnx_value *v = node->inputs[i];
    if (v && !(e->takes & MOVES_OPEN) && !qb__onnx_closed(im, node, v))
      return false;
  }
  return e->takes & REPEATED || qb__onnx_unrepeated(im, node);
}

static void require_outputs(qb__onnx *im, const qb__onnx_node *node, size_t problems_before)
{
  for (size_t i = 0; i < node->proto->n_output && im->problem_count == problems_before; i++) {
    const char *name = node->proto->output[i];
    const qb__onnx_value *v = *name ? qb__onnx_find(im, name) : NULL;
    if (v && v->uses && v->kind == QB__ONNX_UNKNOWN)
      qb__onnx_problem(im, node, "its output '%.64s' is used, which is not supported", name);
  }
}

bool qb__onnx_fold(qb__onnx *im, const qb__onnx_node *node)
{
  const entry *e = entry_of(node->proto->op_type);
  const size_t problems_before = im->problem_count;
  if (!e)
    return false;
  qb__onnx_value *result = qb__onnx_find(im, node->proto->output[0]);
  if (takes(im, node, e))
    e->evaluate(im, node, result);
  if (im->problem_count != problems_before && result->owned)
    qb__onnx_release(im, result); /* half made */
  if (!im->status)
    require_outputs(im, node, problems_before);
  return true;
}

bool qb__onnx_make_like(qb__onnx *im, qb__onnx_value *value, const qb__onnx_value *source,
                        uint32_t rank, const int64_t *dims)
{
  return qb__onnx_make(im, value, source->type, rank, dims) &&
         (!source->open || qb__onnx_may_open(im, value));
}

void qb__onnx_copy(qb__onnx_value *to, size_t i, const qb__onnx_value *from, size_t j)
{
  const size_t width = qb__onnx_width(to->type);
  if (width == sizeof(float))
    ((float *)to->data)[i] = ((const float *)from->data)[j];
  else
    memcpy((char *)to->data + i * width, (const char *)from->data + j * width, width);
  if (to->open)
    to->open[i] = from->open && from->open[j];
}

void qb__onnx_walk_init(const qb__onnx *im, qb__onnx_walk *walk, uint32_t rank, const int64_t *dims)
{
  memset(walk, 0, sizeof *walk);
  walk->rank = rank;
  for (uint32_t i = 0; i < rank; i++)
    walk->dims[i] = qb__onnx_stored(im, dims[i]);
}

void qb__onnx_walk_repeat(const qb__onnx *im, qb__onnx_walk *walk, int which,
                          const qb__onnx_value *value)
{
  const uint32_t missing = walk->rank - value->rank;
  int64_t *strides = walk->strides[which] + missing;
  qb__onnx_strides(im, value, strides);
  for (uint32_t i = 0; i < value->rank; i++)
    if (qb__onnx_stored(im, value->dims[i]) == 1)
      strides[i] = 0;
}

void qb__onnx_walk_next(qb__onnx_walk *walk)
{
  for (uint32_t i = walk->rank; i-- > 0;) {
    for (int n = 0; n < 3; n++)
      walk->index[n] += walk->strides[n][i];
    if (++walk->at[i] < walk->dims[i])
      return;
    walk->at[i] = 0;
    for (int n = 0; n < 3; n++)
      walk->index[n] -= walk->strides[n][i] * walk->dims[i];
  }
}

void qb__onnx_strides(const qb__onnx *im, const qb__onnx_value *value, int64_t *strides)
{
  int64_t stride = 1;
  for (uint32_t i = value->rank; i-- > 0;) {
    strides[i] = stride;
    stride *= value->elements ? qb__onnx_stored(im, value->dims[i]) : 0; /* others may be huge */
  }
}

size_t qb__onnx_product(const qb__onnx *im, const qb__onnx_value *value, uint32_t first,
                        uint32_t last)
{
  size_t product = 1;
  for (uint32_t i = first; i < last; i++)
    product *= (size_t)qb__onnx_stored(im, value->dims[i]);
  return product;
}
