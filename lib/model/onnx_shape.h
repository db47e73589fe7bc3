/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes that nodes give to their input, the same for activations and for constants. */
#ifndef QB_MODEL_ONNX_SHAPE_H
#define QB_MODEL_ONNX_SHAPE_H

#include "model/onnx_impl.h"

/* False after a problem. */
typedef bool qb__onnx_shape_of(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                               uint32_t *rank, int64_t *dims);

qb__onnx_shape_of qb__onnx_shape_reshape, qb__onnx_shape_flatten, qb__onnx_shape_squeeze;
qb__onnx_shape_of qb__onnx_shape_unsqueeze;

/* The dimensions that a Shape node gives: from start to before end. */
void qb__onnx_shape_range(const qb__onnx_node *node, uint32_t rank, int64_t *start, int64_t *end);

/* The order of a Transpose node. */
bool qb__onnx_order(qb__onnx *im, const qb__onnx_node *node, uint32_t rank, uint32_t *order);

#endif
