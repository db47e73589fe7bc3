/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes that nodes give to their input, the same for activations and for constants. */
#ifndef QB_MODEL_ONNX_SHAPE_H
#define QB_MODEL_ONNX_SHAPE_H

#include "model/onnx_impl.h"

/* False after a problem. */
typedef bool qb__onnx_reshaping(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                                uint32_t *rank, int64_t *dims);

qb__onnx_reshaping qb__onnx_shape_reshape, qb__onnx_shape_flatten, qb__onnx_shape_squeeze;
qb__onnx_reshaping qb__onnx_shape_unsqueeze;

/* The product of dimensions; false where it overflows. */
bool qb__onnx_elements(uint32_t rank, const int64_t *dims, int64_t *elements);

/* What a Shape or Size node gives of a value, constant or not. */
void qb__onnx_make_shape(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                         qb__onnx_value *result);
/* The dimensions that a Shape node gives: from start to before end. */
void qb__onnx_shape_range(const qb__onnx_node *node, uint32_t rank, int64_t *start, int64_t *end);

/* The shape that values are repeated to; false where they do not fit each other. */
bool qb__onnx_broadcast(const qb__onnx_value *const *values, size_t count, uint32_t *rank,
                        int64_t *dims);

/* What a Slice node takes along an axis: `count` elements, each `step` behind the one before. */
typedef struct qb__onnx_range {
  int64_t start, step, count;
} qb__onnx_range;

/* One range for each axis of `x`; false after a problem. */
bool qb__onnx_slice(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                    qb__onnx_range *ranges);

/*
 * How many elements along an axis of `size` output `index` of a Split node has; false after a
 * problem.
 */
bool qb__onnx_split(qb__onnx *im, const qb__onnx_node *node, int64_t size, size_t index,
                    int64_t *count);

/* The axes of a Reduce node as a mask; false after a problem. */
bool qb__onnx_reduced(qb__onnx *im, const qb__onnx_node *node, uint32_t rank, uint32_t *mask);

/* The order of a Transpose node. */
bool qb__onnx_order(qb__onnx *im, const qb__onnx_node *node, uint32_t rank, uint32_t *order);

#endif
