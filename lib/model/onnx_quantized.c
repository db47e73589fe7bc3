/* SPDX-License-Identifier: Apache-2.0 */
#include "model/onnx_quantized.h"

#include "core/error.h"
#include "model/onnx_fold.h"

#include <math.h>
#include <string.h>

bool qb__onnx_integer_range(int32_t type, float *low, float *high)
{
  const unsigned bits = qb__onnx_type_bits(type);
  const bool is_unsigned = type == QB__ONNX_TYPE(UINT8) || type == QB__ONNX_TYPE(UINT16);
  *low = is_unsigned ? 0 : -ldexpf(1, (int)bits - 1);
  *high = ldexpf(1, (int)bits - !is_unsigned) - 1;
  return is_unsigned || type == QB__ONNX_TYPE(INT8) || type == QB__ONNX_TYPE(INT16) ||
         type == QB__ONNX_TYPE(INT32);
}

static bool is_constant(const qb__onnx_value *v)
{
  return v && v->kind == QB__ONNX_CONSTANT;
}

bool qb__onnx_is_one_number(const qb__onnx_value *v)
{
  for (uint32_t d = 0; d < v->rank; d++)
    if (v->dims[d] != 1)
      return false;
  return true;
}

bool qb__onnx_check_zero_point(qb__onnx *im, const qb__onnx_node *node,
                               const qb__onnx_value *zero_point, int32_t type)
{
  if (!zero_point || zero_point->type == type)
    return true;
  qb__onnx_problem(im, node, "a zero point of type %s is given for elements of type %s",
                   qb__onnx_type_name(zero_point->type), qb__onnx_type_name(type));
  return false;
}

bool qb__onnx_read_scaling(qb__onnx *im, const qb__onnx_node *node, size_t scale, int32_t type,
                           qb__onnx_scaling *scaling)
{
  qb__onnx_value *zero_point = qb__onnx_input(node, scale + 1);
  float low, high;
  *scaling = (qb__onnx_scaling){qb__onnx_input(node, scale), zero_point, type};
  if (!type)
    scaling->type = zero_point ? zero_point->type : QB__ONNX_TYPE(UINT8);
  if (!qb__onnx_is_float(scaling->scale) || (zero_point && !is_constant(zero_point)))
    qb__onnx_problem(im, node, "its scales and zero points are not constants of the model");
  else if (!qb__onnx_integer_range(scaling->type, &low, &high))
    qb__onnx_problem(im, node, "the operator does not take elements of type %s",
                     qb__onnx_type_name(scaling->type));
  else
    return qb__onnx_check_zero_point(im, node, zero_point, scaling->type);
  return false;
}

/* A constant as a vector of the graph. */
static int32_t vector(qb__onnx *im, qb__onnx_value *value)
{
  const int64_t count = (int64_t)value->elements;
  return qb__onnx_constant(im, value, 1, &count);
}

/* QB__NONE for zero points that are all 0. */
static int32_t zero_points(qb__onnx *im, qb__onnx_value *value)
{
  bool all_zero = true;
  for (size_t i = 0; value && i < value->elements; i++)
    all_zero = all_zero && qb__onnx_int_at(value, i) == 0;
  return all_zero ? QB__NONE : vector(im, value);
}

int32_t qb__onnx_to_integers(qb__onnx *im, const qb__onnx_node *node, int32_t x,
                             const qb__onnx_scaling *s, uint32_t axis)
{
  float low, high;
  if (!qb__onnx_integer_range(s->type, &low, &high) || qb__onnx_type_bits(s->type) > 16) {
    qb__onnx_problem(im, node, "reals become integers of 8 and 16 bits, not of type %s",
                     qb__onnx_type_name(s->type));
    return QB__NONE;
  }
  const int32_t scale = s->scale ? vector(im, s->scale) : QB__NONE;
  const int32_t zero = zero_points(im, s->zero_point);
  return qb__graph_quantize(im->graph, node->label, x, scale, zero, axis, low, high);
}

int32_t qb__onnx_to_reals(qb__onnx *im, const qb__onnx_node *node, int32_t x,
                          const qb__onnx_scaling *s, uint32_t axis)
{
  float low, high;
  qb__onnx_integer_range(s->type, &low, &high);
  const int32_t scale = s->scale ? vector(im, s->scale) : QB__NONE;
  const int32_t zero = zero_points(im, s->zero_point);
  if (scale == QB__NONE && zero == QB__NONE)
    return x;
  return qb__graph_dequantize(im->graph, node->label, x, scale, zero, axis, low, high);
}

static qb__onnx_value blank(const qb__onnx_value *like)
{
  return (qb__onnx_value){.name = like->name, .tensor = QB__NONE, .writer = QB__NONE};
}

static void set_made(qb__onnx_value *made, int32_t tensor, const qb__onnx_value *like)
{
  const qb__onnx_shape shape = qb__onnx_shape_of(like);
  *made = blank(like);
  qb__onnx_set(made, tensor, &shape);
}

/* Constant integers as floats: less the zero point of their index along the axis, times the scale. */
static bool make_constant(qb__onnx *im, const qb__onnx_value *x, const qb__onnx_value *zero_point,
                          uint32_t axis, float scale, qb__onnx_value *made)
{
  const bool differ = zero_point && zero_point->elements > 1;
  const size_t inner = differ ? qb__onnx_product(im, x, axis + 1, x->rank) : 1;
  *made = blank(x);
  if (!qb__onnx_make(im, made, QB__ONNX_TYPE(FLOAT), x->rank, x->dims))
    return false;
  for (size_t i = 0; i < x->elements; i++) {
    const size_t at = differ ? i / inner % zero_point->elements : 0;
    const int64_t zero = zero_point ? qb__onnx_int_at(zero_point, at) : 0;
    ((float *)made->data)[i] = (float)(qb__onnx_int_at(x, i) - zero) * scale;
  }
  return true;
}

bool qb__onnx_make_reals(qb__onnx *im, const qb__onnx_node *node, size_t index,
                         qb__onnx_value *made)
{
  qb__onnx_value *x = qb__onnx_input(node, index);
  qb__onnx_scaling s;
  float scale;
  if (!qb__onnx_read_scaling(im, node, index + 1, x->type, &s))
    return false;
  if (!qb__onnx_number(s.scale, &scale) || (s.zero_point && s.zero_point->elements != 1)) {
    qb__onnx_problem(im, node, "its scales and zero points are not single numbers");
    return false;
  }
  if (is_constant(x))
    return make_constant(im, x, s.zero_point, 0, scale, made);
  set_made(made, qb__onnx_to_reals(im, node, x->tensor, &s, 0), x);
  return !im->graph->status;
}

/* Whether a zero point has an element for each along an axis of what it is for. */
static bool fits_axis(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                      const qb__onnx_value *zero_point, int64_t axis, uint32_t *at)
{
  *at = 0;
  if (!zero_point || zero_point->elements == 1)
    return true;
  if (!qb__onnx_axis(im, node, axis, x->rank, at))
    return false;
  if (zero_point->elements == (size_t)x->dims[*at] && zero_point->rank == 1)
    return true;
  qb__onnx_problem(im, node, "its zero points are not one, or one for each element of an axis");
  return false;
}

static float largest_of(const qb__onnx_value *v)
{
  float most = 0;
  for (size_t i = 0; i < v->elements; i++)
    most = fmaxf(most, fabsf(((const float *)v->data)[i]));
  return most;
}

/* The largest absolute value of integers of low to high less a zero point. */
static float limit_of(float low, float high, const qb__onnx_value *zero_point)
{
  float limit = is_constant(zero_point) ? 0 : high - low;
  for (size_t i = 0; is_constant(zero_point) && i < zero_point->elements; i++) {
    const float zero = (float)qb__onnx_int_at(zero_point, i);
    limit = fmaxf(limit, fmaxf(high - zero, zero - low));
  }
  return zero_point ? limit : fmaxf(high, -low);
}

/*
 * Integers of 8 or 16 bits, whose differences are floats, and a zero point of the same type; false
 * after a problem.
 */
static bool fit_each_other(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                           const qb__onnx_value *zero_point, float *low, float *high)
{
  if (qb__onnx_integer_range(x->type, low, high) && qb__onnx_type_bits(x->type) <= 16 &&
      (!zero_point || zero_point->type == x->type))
    return true;
  qb__onnx_problem(im, node, "elements of type %s with zero points of type %s are not supported",
                   qb__onnx_type_name(x->type),
                   qb__onnx_type_name(zero_point ? zero_point->type : x->type));
  return false;
}

/* An activation less constant zero points, of which there are several along axis `at`. */
static bool shift_activation(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                             qb__onnx_value *zero_point, uint32_t at, qb__onnx_value *made)
{
  const bool several = zero_point && zero_point->elements > 1;
  const qb__onnx_shape shape = qb__onnx_shape_of(x);
  const qb__onnx_scaling shift = {NULL, zero_point, x->type};
  if (several && !qb__onnx_within(im, node, x, at, &at))
    return false;
  const uint32_t along = several ? qb__onnx_sample_axis(im, &shape, at) : 0;
  set_made(made, qb__onnx_to_reals(im, node, x->tensor, &shift, along), x);
  return !im->graph->status;
}

bool qb__onnx_make_shifted(qb__onnx *im, const qb__onnx_node *node, size_t index, size_t zero_point,
                           int64_t axis, qb__onnx_value *made, float *limit)
{
  qb__onnx_value *x = qb__onnx_input(node, index), *zero = qb__onnx_input(node, zero_point);
  float low, high;
  uint32_t at;
  if (!fit_each_other(im, node, x, zero, &low, &high))
    return false;
  *limit = limit_of(low, high, zero);
  if (zero && !is_constant(zero) && !qb__onnx_is_one_number(zero)) {
    qb__onnx_problem(im, node, "its computed zero point is not a single number");
    return false;
  }
  if (zero && !is_constant(zero))
    return qb__onnx_make_by(im, node, "Sub", NULL, (qb__onnx_value *[]){x, zero}, 2, made);
  if (!fits_axis(im, node, x, zero, axis, &at))
    return false;
  if (!is_constant(x))
    return shift_activation(im, node, x, zero, at, made);
  const bool good = make_constant(im, x, zero, at, 1, made);
  *limit = good ? largest_of(made) : 0;
  return good;
}

enum { MOST_ATTRIBUTES = 16 /* more than any operator has */ };

/* Those of a node that another operator has, too; their number. */
static size_t common_attributes(const qb__onnx_node *node, const qb__onnx_schema *schema,
                                const char *without, Onnx__AttributeProto **attributes)
{
  size_t count = 0;
  for (size_t i = 0; i < node->proto->n_attribute && count < MOST_ATTRIBUTES; i++) {
    Onnx__AttributeProto *a = node->proto->attribute[i];
    if (qb__onnx_rule_in(schema, a->name, node->opset) &&
        (!without || strcmp(a->name, without) != 0))
      attributes[count++] = a;
  }
  return count;
}

bool qb__onnx_make_by(qb__onnx *im, const qb__onnx_node *node, const char *type,
                      const char *without, qb__onnx_value **inputs, size_t count,
                      qb__onnx_value *made)
{
  Onnx__AttributeProto *attributes[MOST_ATTRIBUTES];
  Onnx__NodeProto proto = *node->proto;
  char name[32] = "";
  strncat(name, type, sizeof name - 1);
  proto.op_type = name;
  proto.attribute = attributes;
  qb__onnx_node inner = *node;
  inner.proto = &proto;
  inner.schema = qb__onnx_schema_of(type);
  inner.form = qb__onnx_form_in(inner.schema, inner.opset);
  inner.inputs = inputs;
  inner.input_count = count;
  proto.n_attribute = common_attributes(node, inner.schema, without, attributes);
  qb__onnx_value *result = qb__onnx_find(im, node->proto->output[0]);
  qb__onnx_operator_of(type)->map(im, &inner);
  const bool good = !im->status && !im->graph->status && result->kind == QB__ONNX_ACTIVATION;
  *made = *result;
  result->kind = QB__ONNX_UNKNOWN; /* until the node itself has written it */
  return good;
}

void qb__onnx_release_made(qb__onnx *im, qb__onnx_value *made, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (made[i].owned)
      qb__onnx_release(im, &made[i]);
}

void qb__onnx_typed_result(qb__onnx *im, const qb__onnx_node *node, int32_t tensor,
                           const qb__onnx_value *like, int32_t type)
{
  qb__onnx_result_like(im, node, tensor, like);
  qb__onnx_value *result = qb__onnx_find(im, node->proto->output[0]);
  if (result->kind == QB__ONNX_ACTIVATION)
    result->type = type;
}
