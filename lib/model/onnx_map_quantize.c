/* SPDX-License-Identifier: Apache-2.0 */
/* Reals to integers and back. */
#include "core/error.h"
#include "model/onnx_constant.h"
#include "model/onnx_quantized.h"

#include <math.h>
#include <string.h>

/* The axis of samples that scales differ along; false after a problem. */
static bool axis_of(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                    const qb__onnx_scaling *s, uint32_t *axis)
{
  const size_t scales = s->scale->elements;
  const size_t zero_points = s->zero_point ? s->zero_point->elements : scales;
  const qb__onnx_shape shape = qb__onnx_shape_of(x);
  *axis = 0;
  if (qb__onnx_int(node, "block_size") || s->scale->rank > 1 || zero_points != scales) {
    qb__onnx_problem(im, node,
                     "its scales and zero points are not one each, or one for each element of an "
                     "axis");
    return false;
  }
  if (scales == 1)
    return true;
  if (im->opset < 13) {
    qb__onnx_problem(im, node, "scales along an axis exist from opset 13 on");
    return false;
  }
  if (!qb__onnx_within(im, node, x, qb__onnx_int(node, "axis"), axis))
    return false;
  *axis = qb__onnx_sample_axis(im, &shape, *axis);
  return true;
}

/* By a scale that is computed: what an operator gives of the value so far and another one. */
static bool then(qb__onnx *im, const qb__onnx_node *node, const char *type, qb__onnx_value *value,
                 qb__onnx_value *other)
{
  qb__onnx_value made;
  if (!qb__onnx_make_by(im, node, type, NULL, (qb__onnx_value *[]){value, other}, other ? 2 : 1,
                        &made))
    return false;
  *value = made;
  return true;
}

static bool is_computed(const qb__onnx_node *node)
{
  const qb__onnx_value *scale = qb__onnx_input(node, 1), *zero = qb__onnx_input(node, 2);
  return scale->kind == QB__ONNX_ACTIVATION || (zero && zero->kind == QB__ONNX_ACTIVATION);
}

/* Several would be repeated along the last axis, whichever axis they are for. */
static bool are_numbers(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *scale = qb__onnx_input(node, 1), *zero = qb__onnx_input(node, 2);
  if (qb__onnx_is_one_number(scale) && (!zero || qb__onnx_is_one_number(zero)))
    return true;
  qb__onnx_problem(im, node, "its computed scales and zero points are not single numbers");
  return false;
}

static void quantize_computed(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x,
                              int32_t type)
{
  qb__onnx_value y = *x, *zero = qb__onnx_input(node, 2);
  float low, high;
  if (!qb__onnx_integer_range(type, &low, &high))
    qb__onnx_problem(im, node, "the operator does not take elements of type %s",
                     qb__onnx_type_name(type));
  else if (are_numbers(im, node) && then(im, node, "Div", &y, qb__onnx_input(node, 1)) &&
           then(im, node, "Round", &y, NULL) && (!zero || then(im, node, "Add", &y, zero)))
    qb__onnx_typed_result(
        im, node, qb__onnx_activate(im, node, y.tensor, QB__ACTIVATION_CLIP, low, high), &y, type);
}

void qb__onnx_map_quantize(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node), *zero = qb__onnx_input(node, 2);
  const int32_t asked = (int32_t)qb__onnx_int(node, "output_dtype");
  const int32_t type = asked ? asked : zero ? zero->type : QB__ONNX_TYPE(UINT8);
  qb__onnx_scaling s;
  uint32_t axis;
  if (!x)
    return;
  if (is_computed(node))
    quantize_computed(im, node, x, type);
  else if (qb__onnx_read_scaling(im, node, 1, type, &s) && axis_of(im, node, x, &s, &axis))
    qb__onnx_typed_result(im, node, qb__onnx_to_integers(im, node, x->tensor, &s, axis), x, type);
}

void qb__onnx_map_dequantize(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  qb__onnx_value *zero = qb__onnx_input(node, 2);
  qb__onnx_scaling s;
  uint32_t axis;
  if (!x)
    return;
  if (is_computed(node)) {
    qb__onnx_value y = *x;
    if (are_numbers(im, node) && (!zero || then(im, node, "Sub", &y, zero)) &&
        then(im, node, "Mul", &y, qb__onnx_input(node, 1)))
      qb__onnx_result_like(im, node, y.tensor, &y);
  } else if (qb__onnx_read_scaling(im, node, 1, x->type, &s) && axis_of(im, node, x, &s, &axis)) {
    qb__onnx_result_like(im, node, qb__onnx_to_reals(im, node, x->tensor, &s, axis), x);
  }
}

/* A number as a constant of the dimensions of a tensor of single elements. */
static int32_t number(qb__onnx *im, const qb__onnx_node *node, int32_t like, float value)
{
  if (im->graph->status)
    return QB__NONE;
  const qb__tensor *t = &im->graph->tensors[like];
  const int32_t made = qb__graph_constant(im->graph, node->label, t->rank, t->dims);
  if (made != QB__NONE)
    *im->graph->tensors[made].constant = value;
  return made;
}

/* The range of each sample, 0 included, in steps of which there are 255; of zeros alone, 1. */
static void find_range(qb__onnx *im, const qb__onnx_node *node, int32_t x, int32_t *scale,
                       int32_t *zero_point)
{
  qb__graph *g = im->graph;
  const uint32_t all = (UINT32_C(1) << g->tensors[x].rank) - 1;
  int32_t low = qb__graph_reduce(g, node->label, QB__REDUCTION_MIN, x, all);
  int32_t high = qb__graph_reduce(g, node->label, QB__REDUCTION_MAX, x, all);
  low = qb__onnx_activate(im, node, low, QB__ACTIVATION_CLIP, -INFINITY, 0);
  high = qb__onnx_activate(im, node, high, QB__ACTIVATION_CLIP, 0, INFINITY);
  const int32_t range = qb__graph_binary(g, node->label, QB__OP_SUBTRACT, high, low);
  *scale = qb__graph_binary(g, node->label, QB__OP_DIVIDE, range, number(im, node, range, 255));
  *scale = qb__graph_select(g, node->label, range, *scale, number(im, node, range, 1));
  int32_t zero = qb__onnx_activate(im, node, low, QB__ACTIVATION_LINEAR, -1, 0);
  zero = qb__graph_binary(g, node->label, QB__OP_DIVIDE, zero, *scale);
  zero = qb__onnx_activate(im, node, zero, QB__ACTIVATION_CLIP, 0, 255);
  *zero_point = qb__onnx_activate(im, node, zero, QB__ACTIVATION_ROUND, 0, 0);
}

/* Output `index` as one number of each sample. */
static void number_result(qb__onnx *im, const qb__onnx_node *node, size_t index, int32_t tensor,
                          int32_t type)
{
  const qb__onnx_shape none = /* no dimension for the batch either */
      {.rank = 0, .batch_outer = 0};
  const char *name = node->proto->output[index];
  if (!*name || im->graph->status)
    return;
  qb__onnx_result_at(im, node, index, qb__onnx_reshaped(im, node, tensor, &none), &none);
  qb__onnx_find(im, name)->type = type;
}

/*
 * The standard's range is that of the whole tensor. Samples must not disturb each other: a batch
 * that is open, or one, gives each sample the range it has alone.
 */
void qb__onnx_map_dynamic_quantize(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  qb__graph *g = im->graph;
  int32_t scale, zero_point;
  if (!x)
    return;
  if (im->batched && !im->symbolic && im->batch != 1) {
    qb__onnx_mixing(im, node);
    return;
  }
  find_range(im, node, x->tensor, &scale, &zero_point);
  int32_t y = qb__graph_binary(g, node->label, QB__OP_DIVIDE, x->tensor, scale);
  y = qb__onnx_activate(im, node, y, QB__ACTIVATION_ROUND, 0, 0);
  y = qb__graph_binary(g, node->label, QB__OP_ADD, y, zero_point);
  y = qb__onnx_activate(im, node, y, QB__ACTIVATION_CLIP, 0, 255);
  qb__onnx_typed_result(im, node, y, x, QB__ONNX_TYPE(UINT8));
  number_result(im, node, 1, scale, QB__ONNX_TYPE(FLOAT));
  number_result(im, node, 2, zero_point, QB__ONNX_TYPE(UINT8));
}
