/* SPDX-License-Identifier: Apache-2.0 */
/* Constants to integers of a scale and back: weights of quantized models. */
#include "model/onnx_fold.h"

#include "model/onnx_quantized.h"

#include <math.h>

#define TYPE QB__ONNX_TYPE

/*
 * Which scale an element has: all the same, one for each along an axis, or one for each block
 * there.
 */
typedef struct places {
  bool blocked;
  size_t inner, size, block; /* elements behind the axis, along it, and of a block */
} places;

static size_t place_of(const places *p, size_t i)
{
  const size_t outer = i / p->inner / p->size, at = i / p->inner % p->size;
  const size_t blocks = (p->size + p->block - 1) / p->block;
  return p->blocked ? (outer * blocks + at / p->block) * p->inner + i % p->inner : at;
}

/* False after a problem. */
static bool find_places(qb__onnx *im, const qb__onnx_node *node, places *p)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0), *scale = qb__onnx_input(node, 1);
  const qb__onnx_value *zero_point = qb__onnx_input(node, 2);
  const int64_t block = qb__onnx_int(node, "block_size");
  uint32_t axis;
  const bool alike = !zero_point || zero_point->elements == scale->elements;
  *p = (places){block > 0, x->elements ? x->elements : 1, 1, block > 0 ? (size_t)block : 1};
  if (alike && scale->elements == 1 && block == 0)
    return true;
  if (!qb__onnx_axis(im, node, qb__onnx_int(node, "axis"), x->rank, &axis))
    return false;
  p->inner = qb__onnx_product(im, x, axis + 1, x->rank);
  p->size = (size_t)x->dims[axis];
  const size_t blocks = (p->size + p->block - 1) / p->block;
  const size_t scales = p->blocked ? qb__onnx_product(im, x, 0, axis) * blocks * p->inner : p->size;
  if (alike && block >= 0 && scale->elements == scales && scale->rank == (p->blocked ? x->rank : 1))
    return true;
  qb__onnx_problem(im, node, "its scales and zero points do not fit its input");
  return false;
}

/* Scales, and the reals of the other side, have the types `scales` and `reals`. */
static bool check_types(qb__onnx *im, const qb__onnx_node *node, int32_t integers,
                        unsigned most_bits, int32_t scales, int32_t reals)
{
  float low, high;
  if (qb__onnx_integer_range(integers, &low, &high) && qb__onnx_is_real_type(scales) &&
      qb__onnx_is_real_type(reals) && qb__onnx_type_bits(integers) <= most_bits)
    return qb__onnx_check_zero_point(im, node, qb__onnx_input(node, 2), integers);
  qb__onnx_problem(im, node, "elements of type %s and scales of type %s are not of the operator's",
                   qb__onnx_type_name(integers), qb__onnx_type_name(scales));
  return false;
}

void qb__onnx_fold_quantize(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0), *scale = qb__onnx_input(node, 1);
  const qb__onnx_value *zero_point = qb__onnx_input(node, 2);
  const int32_t asked = (int32_t)qb__onnx_int(node, "output_dtype");
  const int32_t type = asked ? asked : zero_point ? zero_point->type : TYPE(UINT8);
  places p;
  float low, high;
  if (!check_types(im, node, type, 16, scale->type, scale->type) || !find_places(im, node, &p) ||
      !qb__onnx_make(im, result, type, x->rank, x->dims))
    return;
  qb__onnx_integer_range(type, &low, &high);
  for (size_t i = 0; i < x->elements; i++) {
    const size_t at = place_of(&p, i);
    const float steps = (float)qb__onnx_real_at(x, i) / (float)qb__onnx_real_at(scale, at);
    const float zero = zero_point ? (float)qb__onnx_int_at(zero_point, at) : 0;
    const float y = fminf(fmaxf(nearbyintf(steps) + zero, low), high);
    qb__onnx_set_int(result, i, (int64_t)y);
  }
}

void qb__onnx_fold_dequantize(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *result)
{
  const qb__onnx_value *x = qb__onnx_input(node, 0), *scale = qb__onnx_input(node, 1);
  const qb__onnx_value *zero_point = qb__onnx_input(node, 2);
  const int32_t asked = (int32_t)qb__onnx_int(node, "output_dtype");
  const int32_t type = asked ? asked : scale->type;
  places p;
  if (!check_types(im, node, x->type, 32, scale->type, type) || !find_places(im, node, &p) ||
      !qb__onnx_make(im, result, type, x->rank, x->dims))
    return;
  for (size_t i = 0; i < x->elements; i++) {
    const size_t at = place_of(&p, i);
    const int64_t zero = zero_point ? qb__onnx_int_at(zero_point, at) : 0;
    const float steps = (float)(qb__onnx_int_at(x, i) - zero);
    qb__onnx_set_real(result, i, (double)(steps * (float)qb__onnx_real_at(scale, at)));
  }
}
