/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lowering nodes onto operators of the graph. Each function maps a family of operators, which
 * node->proto->op_type tells apart; onnx_operators.c lists which.
 */
#ifndef QB_MODEL_ONNX_MAP_H
#define QB_MODEL_ONNX_MAP_H

#include "model/onnx_impl.h"

/* Dimensions as in the file, and which of them the batch is in (onnx_batch.c). */
typedef struct qb__onnx_shape {
  uint32_t rank;
  uint32_t batch_axis; /* where there is a batch */
  int64_t batch_outer;
  int64_t dims[QB__ONNX_RANK];
} qb__onnx_shape;

qb__onnx_shape qb__onnx_shape_of(const qb__onnx_value *x);

/* The dimensions of one sample, as the graph has them, never none; their number. */
uint32_t qb__onnx_sample(const qb__onnx *im, const qb__onnx_shape *shape, int64_t *sample);
/* Where a dimension other than the batch lies in a sample. */
uint32_t qb__onnx_sample_axis(const qb__onnx *im, const qb__onnx_shape *shape, uint32_t axis);
bool qb__onnx_is_batch(const qb__onnx *im, const qb__onnx_shape *shape, uint32_t axis);
/*
 * An axis of `x`, counted from 0, to work along; false after a problem, or where it is the batch.
 */
bool qb__onnx_within(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x, int64_t axis,
                     uint32_t *result);
/* Whether a sample is all of `x` behind its first dimension, as images are. */
bool qb__onnx_is_image(const qb__onnx *im, const qb__onnx_value *x);
/* The batch of the same elements under other dimensions; false where samples would be joined. */
bool qb__onnx_find_batch(const qb__onnx *im, const qb__onnx_shape *from, qb__onnx_shape *to);
/*
 * Inputs that are repeated to each other's shapes, but for their last `tail` dimensions, as tensors
 * of the graph of as many dimensions; false after a problem.
 */
bool qb__onnx_align(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *const *values,
                    size_t count, uint32_t tail, qb__onnx_shape *out, int32_t *tensors);

/* Input 0 where it is an activation; else NULL after a problem. */
const qb__onnx_value *qb__onnx_activation_input(qb__onnx *im, const qb__onnx_node *node);
/* The image in input 0, of 1 to 3 dimensions behind its channels; NULL after a problem. */
const qb__onnx_value *qb__onnx_image_input(qb__onnx *im, const qb__onnx_node *node,
                                           int32_t *tensor);
/* Constant input `index`, of floats; false after a problem. */
bool qb__onnx_constant_input(qb__onnx *im, const qb__onnx_node *node, size_t index,
                             const char *what, bool needed, qb__onnx_value **value);

/* An activation of a tensor of the graph. */
int32_t qb__onnx_activate(qb__onnx *im, const qb__onnx_node *node, int32_t x,
                          qb__activation activation, float alpha, float beta);

/* Makes an activation of a value. */
void qb__onnx_set(qb__onnx_value *value, int32_t tensor, const qb__onnx_shape *shape);
/* The node's outputs: one of them, the first, the first with the shape of an input. */
void qb__onnx_result_at(qb__onnx *im, const qb__onnx_node *node, size_t index, int32_t tensor,
                        const qb__onnx_shape *shape);
void qb__onnx_result(qb__onnx *im, const qb__onnx_node *node, int32_t tensor,
                     const qb__onnx_shape *shape);
void qb__onnx_result_like(qb__onnx *im, const qb__onnx_node *node, int32_t tensor,
                          const qb__onnx_value *like);
/* The first output as what an image became. */
void qb__onnx_image_result(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                           int32_t tensor);
/* The same elements of a sample under the dimensions of another shape. */
int32_t qb__onnx_reshaped(qb__onnx *im, const qb__onnx_node *node, int32_t tensor,
                          const qb__onnx_shape *shape);

/* A constant as a tensor of the graph; it must have as many elements as `dims`. */
int32_t qb__onnx_constant(qb__onnx *im, qb__onnx_value *value, uint32_t rank, const int64_t *dims);
/* The transpose of a constant matrix of `rows` rows as a constant of the graph. */
int32_t qb__onnx_transposed(qb__onnx *im, const qb__onnx_value *value, int64_t rows,
                            int64_t columns);
/* A copy of a constant, times `factor`, repeated to `dims`, to which it is aligned on the right. */
int32_t qb__onnx_repeated(qb__onnx *im, const qb__onnx_value *value, uint32_t rank,
                          const int64_t *dims, float factor);

/* What an operator's inputs have to be: activations are floats, which may stand for other types. */
typedef enum qb__onnx_accepts {
  QB__ONNX_ALL_FLOATS,
  QB__ONNX_ALL_BOOLEANS,
  QB__ONNX_ALL_ALIKE,
  QB__ONNX_ALL_NUMBERS,  /* alike, and no booleans */
  QB__ONNX_DATA_FLOATS,  /* activations are, constants are what the operator says */
  QB__ONNX_DATA_NUMBERS, /* the same, and no booleans */
  QB__ONNX_ANYTHING
} qb__onnx_accepts;

typedef enum qb__onnx_gives {
  QB__ONNX_A_FLOAT,
  QB__ONNX_A_BOOLEAN,
  QB__ONNX_AN_INTEGER,
  QB__ONNX_LIKE_FIRST,
  QB__ONNX_LIKE_SECOND,
  QB__ONNX_AS_MAPPED
} qb__onnx_gives;

typedef void qb__onnx_map(qb__onnx *im, const qb__onnx_node *node);

typedef struct qb__onnx_operator {
  const char *type;
  qb__onnx_map *map;
  qb__onnx_accepts accepts;
  qb__onnx_gives gives;
  bool all_outputs; /* else only the first is supported */
} qb__onnx_operator;

/*
 * Whether a node's inputs are of the types its operator wants; false after a problem
 * (onnx_types.c).
 */
bool qb__onnx_check_types(qb__onnx *im, const qb__onnx_node *node, qb__onnx_accepts accepts);
/* Gives the activations that a node has written their type. */
void qb__onnx_give_types(qb__onnx *im, const qb__onnx_node *node, qb__onnx_gives gives);

/* NULL for an operator that is evaluated on constants only, or not at all. */
const qb__onnx_operator *qb__onnx_operator_of(const char *type);

qb__onnx_map qb__onnx_map_activation, qb__onnx_map_parametric, qb__onnx_map_softsign;
qb__onnx_map qb__onnx_map_thresholded_relu, qb__onnx_map_is_nan, qb__onnx_map_clip;
qb__onnx_map qb__onnx_map_cast;
qb__onnx_map qb__onnx_map_binary, qb__onnx_map_variadic, qb__onnx_map_where;
qb__onnx_map qb__onnx_map_conv, qb__onnx_map_conv_transpose;
qb__onnx_map qb__onnx_map_pool, qb__onnx_map_lp_pool, qb__onnx_map_global_pool;
qb__onnx_map qb__onnx_map_lrn, qb__onnx_map_batch_norm, qb__onnx_map_instance_norm;
qb__onnx_map qb__onnx_map_group_norm, qb__onnx_map_layer_norm, qb__onnx_map_rms_norm;
qb__onnx_map qb__onnx_map_gemm, qb__onnx_map_matmul, qb__onnx_map_einsum;
qb__onnx_map qb__onnx_map_softmax, qb__onnx_map_reduce, qb__onnx_map_arg;
qb__onnx_map qb__onnx_map_identity, qb__onnx_map_shape, qb__onnx_map_reshape;
qb__onnx_map qb__onnx_map_flatten, qb__onnx_map_squeeze, qb__onnx_map_unsqueeze;
qb__onnx_map qb__onnx_map_transpose, qb__onnx_map_concat, qb__onnx_map_depth_to_space;
qb__onnx_map qb__onnx_map_space_to_depth;
qb__onnx_map qb__onnx_map_slice, qb__onnx_map_split, qb__onnx_map_gather, qb__onnx_map_expand;
qb__onnx_map qb__onnx_map_tile, qb__onnx_map_pad, qb__onnx_map_resize;
qb__onnx_map qb__onnx_map_quantize, qb__onnx_map_dequantize, qb__onnx_map_dynamic_quantize;
qb__onnx_map qb__onnx_map_conv_integer, qb__onnx_map_matmul_integer;
qb__onnx_map qb__onnx_map_qlinear_conv, qb__onnx_map_qlinear_matmul, qb__onnx_map_qgemm;
qb__onnx_map qb__onnx_map_qlinear, qb__onnx_map_qlinear_concat;

#endif
