/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What quantized operators are made of. Activations that stand for integers are floats of whole
 * numbers in the range of their type; scales and zero points are operators of the graph, so that it
 * tells which tensors are quantized, and how.
 */
#ifndef QB_MODEL_ONNX_QUANTIZED_H
#define QB_MODEL_ONNX_QUANTIZED_H

#include "model/onnx_map.h"

/* A constant scale, and a constant zero point or NULL, of integers of a type. */
typedef struct qb__onnx_scaling {
  qb__onnx_value *scale, *zero_point;
  int32_t type;
} qb__onnx_scaling;

/* The least and the largest integer of a type of 8, 16 or 32 bits; false for other types. */
bool qb__onnx_integer_range(int32_t type, float *low, float *high);

/* Whether a value has one element, of each sample where it is computed. */
bool qb__onnx_is_one_number(const qb__onnx_value *value);

/* Whether a zero point, or NULL, has the type of what it is for; a problem otherwise. */
bool qb__onnx_check_zero_point(qb__onnx *im, const qb__onnx_node *node,
                               const qb__onnx_value *zero_point, int32_t type);

/*
 * The scale in input `scale` and the zero point behind it, of integers of `type`, or where that is
 * 0 of the zero point's type, else uint8; false after a problem.
 */
bool qb__onnx_read_scaling(qb__onnx *im, const qb__onnx_node *node, size_t scale, int32_t type,
                           qb__onnx_scaling *scaling);

/* A tensor of the graph to integers or back, by scales and zero points along an axis of samples. */
int32_t qb__onnx_to_integers(qb__onnx *im, const qb__onnx_node *node, int32_t x,
                             const qb__onnx_scaling *scaling, uint32_t axis);
int32_t qb__onnx_to_reals(qb__onnx *im, const qb__onnx_node *node, int32_t x,
                          const qb__onnx_scaling *scaling, uint32_t axis);

/*
 * Values that are made on the way, of the caller: constants are to be released by
 * qb__onnx_release_made(). All of them are false after a problem.
 *
 * Input `index`, integers of the scale behind it, as reals.
 */
bool qb__onnx_make_reals(qb__onnx *im, const qb__onnx_node *node, size_t index,
                         qb__onnx_value *made);
/*
 * Integers of input `index` less the zero point in input `zero_point`, which has one element or one
 * for each along `axis`; `limit` is the largest absolute value that they can have.
 */
bool qb__onnx_make_shifted(qb__onnx *im, const qb__onnx_node *node, size_t index, size_t zero_point,
                           int64_t axis, qb__onnx_value *made, float *limit);
/*
 * What a standard operator gives of other inputs: in place of the node, with those of its
 * attributes that the operator has, but for `without`, which may be NULL.
 */
bool qb__onnx_make_by(qb__onnx *im, const qb__onnx_node *node, const char *type,
                      const char *without, qb__onnx_value **inputs, size_t count,
                      qb__onnx_value *made);
void qb__onnx_release_made(qb__onnx *im, qb__onnx_value *made, size_t count);

/* Makes a tensor the node's first output, of the shape of `like` and of a type. */
void qb__onnx_typed_result(qb__onnx *im, const qb__onnx_node *node, int32_t tensor,
                           const qb__onnx_value *like, int32_t type);

#endif
