/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluating nodes that read only constants. Semantics are those of ONNX in the model's opset. */
#ifndef QB_MODEL_ONNX_FOLD_H
#define QB_MODEL_ONNX_FOLD_H

#include "model/onnx_constant.h"

/* Evaluates a node into its first output; others are found by name. Problems are the node's. */
typedef void qb__onnx_evaluate(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result);

/* onnx_fold_arithmetic.c, element by element */
qb__onnx_evaluate qb__onnx_fold_binary, qb__onnx_fold_pow, qb__onnx_fold_variadic;
qb__onnx_evaluate qb__onnx_fold_where, qb__onnx_fold_clip;
/* onnx_fold_unary.c */
qb__onnx_evaluate qb__onnx_fold_unary, qb__onnx_fold_cast, qb__onnx_fold_cast_like;
/* onnx_fold_create.c */
qb__onnx_evaluate qb__onnx_fold_constant, qb__onnx_fold_constant_of_shape, qb__onnx_fold_shape;
qb__onnx_evaluate qb__onnx_fold_range, qb__onnx_fold_eye, qb__onnx_fold_one_hot;
/* onnx_fold_move.c */
qb__onnx_evaluate qb__onnx_fold_identity, qb__onnx_fold_reshape, qb__onnx_fold_flatten;
qb__onnx_evaluate qb__onnx_fold_squeeze, qb__onnx_fold_unsqueeze, qb__onnx_fold_transpose;
qb__onnx_evaluate qb__onnx_fold_expand, qb__onnx_fold_tile, qb__onnx_fold_concat;
qb__onnx_evaluate qb__onnx_fold_split, qb__onnx_fold_slice, qb__onnx_fold_trilu;
/* onnx_fold_gather.c */
qb__onnx_evaluate qb__onnx_fold_gather, qb__onnx_fold_gather_elements, qb__onnx_fold_gather_nd;
qb__onnx_evaluate qb__onnx_fold_scatter_nd;
/* onnx_fold_reduce.c */
qb__onnx_evaluate qb__onnx_fold_reduce, qb__onnx_fold_arg, qb__onnx_fold_cum_sum;
/* onnx_fold_matrix.c */
qb__onnx_evaluate qb__onnx_fold_matmul, qb__onnx_fold_gemm;

/* onnx_fold_quantize.c */
qb__onnx_evaluate qb__onnx_fold_quantize, qb__onnx_fold_dequantize;

/* The node needs the size of an open batch as a number. */
void qb__onnx_open_problem(qb__onnx *im, const qb__onnx_node *node);
/* Whether no element of a value depends on an open batch; a problem otherwise. */
bool qb__onnx_closed(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *value);

/* Room like that of `source`, with marks where it has some; false without memory. */
bool qb__onnx_make_like(qb__onnx *im, qb__onnx_value *value, const qb__onnx_value *source,
                        uint32_t rank, const int64_t *dims);
/* Copies an element with its mark; both values have the same type. */
void qb__onnx_copy(qb__onnx_value *to, size_t i, const qb__onnx_value *from, size_t j);

/* An integer with its mark. */
typedef struct qb__onnx_amount {
  int64_t value;
  bool open;
} qb__onnx_amount;

static inline qb__onnx_amount qb__onnx_amount_at(const qb__onnx_value *v, size_t i)
{
  const qb__onnx_amount amount = {qb__onnx_int_at(v, i), v->open && v->open[i]};
  return amount;
}

/* Whether elements of a type may depend on an open batch (onnx_fold_open.c). */
bool qb__onnx_open_fits(int32_t type);

/*
 * Two integers of a type, at least one of which depends on the open batch; false where the result
 * is neither the same for every batch nor a multiple of it.
 */
typedef bool qb__onnx_combine_open(int32_t type, qb__onnx_amount a, qb__onnx_amount b,
                                   qb__onnx_amount *result);
qb__onnx_combine_open qb__onnx_open_add, qb__onnx_open_subtract, qb__onnx_open_multiply,
    qb__onnx_open_divide;
qb__onnx_combine_open qb__onnx_open_modulo, qb__onnx_open_minimum, qb__onnx_open_maximum;
qb__onnx_combine_open qb__onnx_open_equal, qb__onnx_open_less, qb__onnx_open_less_or_equal;
qb__onnx_combine_open qb__onnx_open_greater, qb__onnx_open_greater_or_equal;

/*
 * What an operator makes of two elements of the same type (onnx_fold_binary.c); booleans are
 * integers.
 */
typedef struct qb__onnx_binary {
  const char *name;
  double (*real)(double, double);             /* NULL: none of reals */
  int64_t (*integer)(int64_t, int64_t, bool); /* NULL: none of integers; true: unsigned */
  qb__onnx_combine_open *open;                /* NULL: none of open ones */
  enum { QB__ONNX_SAME_TYPE, QB__ONNX_TO_BOOL, QB__ONNX_OF_BOOL } types;
  bool divides; /* so that an integer 0 is no second operand */
} qb__onnx_binary;

/* NULL for an operator that is not one of them. */
const qb__onnx_binary *qb__onnx_binary_of(const char *operator_type);
/* The one a node stands for. */
const qb__onnx_binary *qb__onnx_binary_for(const qb__onnx_node *node);
bool qb__onnx_binary_takes(const qb__onnx_binary *binary, int32_t type);
/* One element of two; false after a problem. */
bool qb__onnx_binary_apply(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_binary *binary,
                           qb__onnx_value *result, size_t i, const qb__onnx_value *a, size_t from,
                           const qb__onnx_value *b, size_t with);

/*
 * A position that runs over the elements of a shape in their order, with the index it has in up to
 * three other shapes of other strides.
 */
typedef struct qb__onnx_walk {
  uint32_t rank;
  int64_t dims[QB__ONNX_RANK], at[QB__ONNX_RANK];
  int64_t strides[3][QB__ONNX_RANK];
  int64_t index[3];
} qb__onnx_walk;

/* Begins with strides of 0. */
void qb__onnx_walk_init(const qb__onnx *im, qb__onnx_walk *walk, uint32_t rank,
                        const int64_t *dims);
/* Index `which` is that of a value that is repeated to the shape. */
void qb__onnx_walk_repeat(const qb__onnx *im, qb__onnx_walk *walk, int which,
                          const qb__onnx_value *value);
void qb__onnx_walk_next(qb__onnx_walk *walk);
/* The strides of a value's own data. */
void qb__onnx_strides(const qb__onnx *im, const qb__onnx_value *value, int64_t *strides);
/* The product of the dimensions from `first` to before `last` in a value's data. */
size_t qb__onnx_product(const qb__onnx *im, const qb__onnx_value *value, uint32_t first,
                        uint32_t last);

#endif
