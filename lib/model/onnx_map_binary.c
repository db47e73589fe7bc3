/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of two or more inputs, element by element: arithmetic, comparisons, choices. */
#include "core/error.h"
#include "model/onnx_map.h"

#include <math.h>
#include <string.h>

static qb__op_kind kind_of(const qb__onnx_node *node)
{
  static const struct {
    const char *type;
    qb__op_kind kind;
  } kinds[] = {
      {"Add", QB__OP_ADD},         {"And", QB__OP_MINIMUM},
      {"Div", QB__OP_DIVIDE},      {"Equal", QB__OP_EQUAL},
      {"Greater", QB__OP_GREATER}, {"GreaterOrEqual", QB__OP_GREATER_EQUAL},
      {"Less", QB__OP_LESS},       {"LessOrEqual", QB__OP_LESS_EQUAL},
      {"Max", QB__OP_MAXIMUM},     {"Mean", QB__OP_ADD},
      {"Min", QB__OP_MINIMUM},     {"Mul", QB__OP_MULTIPLY},
      {"Or", QB__OP_MAXIMUM},      {"PRelu", QB__OP_PRELU},
      {"Pow", QB__OP_POWER},       {"Sub", QB__OP_SUBTRACT},
      {"Sum", QB__OP_ADD},         {"Xor", QB__OP_EQUAL},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (!strcmp(node->proto->op_type, kinds[i].type))
      return kinds[i].kind;
  return qb__onnx_int(node, "fmod") ? QB__OP_MODULO : QB__OP_FLOOR_MODULO;
}

/*
 * x with a constant number, which comes first when `reversed`, as an activation, which can be
 * fused; QB__NONE where there is none for that.
 */
static int32_t with_number(qb__onnx *im, const qb__onnx_node *node, qb__op_kind kind, int32_t x,
                           float c, bool reversed)
{
  switch (kind) {
  case QB__OP_ADD: return qb__onnx_activate(im, node, x, QB__ACTIVATION_LINEAR, 1, c);
  case QB__OP_SUBTRACT:
    return qb__onnx_activate(im, node, x, QB__ACTIVATION_LINEAR, reversed ? -1 : 1,
                             reversed ? c : -c);
  case QB__OP_MULTIPLY: return qb__onnx_activate(im, node, x, QB__ACTIVATION_LINEAR, c, 0);
  case QB__OP_DIVIDE:
    return reversed ? qb__onnx_activate(im, node, x, QB__ACTIVATION_POWER, c, -1)
                    : qb__onnx_activate(im, node, x, QB__ACTIVATION_LINEAR, 1 / c, 0);
  case QB__OP_POWER:
    return reversed    ? QB__NONE
           : c == 0.5f ? qb__onnx_activate(im, node, x, QB__ACTIVATION_SQRT, 0, 0)
           : c == 1    ? qb__onnx_activate(im, node, x, QB__ACTIVATION_LINEAR, 1, 0)
                       : qb__onnx_activate(im, node, x, QB__ACTIVATION_POWER, 1, c);
  case QB__OP_MAXIMUM:
    return isnan(c) ? QB__NONE
           : c == 0 ? qb__onnx_activate(im, node, x, QB__ACTIVATION_RELU, 0, 0)
                    : qb__onnx_activate(im, node, x, QB__ACTIVATION_CLIP, c, INFINITY);
  case QB__OP_MINIMUM:
    return isnan(c) ? QB__NONE : qb__onnx_activate(im, node, x, QB__ACTIVATION_CLIP, -INFINITY, c);
  case QB__OP_PRELU:
    return reversed ? QB__NONE : qb__onnx_activate(im, node, x, QB__ACTIVATION_RELU, c, 0);
  default: return QB__NONE;
  }
}

/* x with a constant of one element a channel is a batch norm, which passes fold away. */
static int32_t with_channels(qb__onnx *im, const qb__onnx_node *node, qb__op_kind kind, int32_t x,
                             const float *c, bool reversed)
{
  enum { SCALE, SHIFT, MEAN, VARIANCE };
  const int64_t channels = im->graph->tensors[x].dims[0];
  int32_t constants[4];
  for (int i = 0; i < 4; i++)
    constants[i] = qb__graph_constant(im->graph, node->label, 1, &channels);
  if (im->graph->status)
    return QB__NONE;
  float *values[4];
  for (int i = 0; i < 4; i++)
    values[i] = im->graph->tensors[constants[i]].constant;
  for (int64_t i = 0; i < channels; i++) {
    const bool adds = kind == QB__OP_ADD || kind == QB__OP_SUBTRACT;
    values[SCALE][i] = kind == QB__OP_MULTIPLY                       ? c[i]
                       : kind == QB__OP_DIVIDE                       ? 1 / c[i]
                       : adds && reversed && kind == QB__OP_SUBTRACT ? -1
                                                                     : 1;
    values[SHIFT][i] = !adds ? 0 : kind == QB__OP_ADD || reversed ? c[i] : -c[i];
    values[MEAN][i] = 0;
    values[VARIANCE][i] = 1;
  }
  return qb__graph_batch_norm(im->graph, node->label, x, constants[SCALE], constants[SHIFT],
                              constants[MEAN], constants[VARIANCE], 0);
}

/* Whether a constant, as the graph would have it, has one element a channel of an activation. */
static bool is_of_channels(const qb__graph *g, qb__op_kind kind, int32_t x, int32_t c,
                           bool reversed)
{
  const int64_t channels = g->tensors[x].dims[0];
  return kind >= QB__OP_ADD && kind <= QB__OP_DIVIDE && !(kind == QB__OP_DIVIDE && reversed) &&
         g->tensors[c].dims[0] == channels && g->tensors[c].elements == (size_t)channels &&
         channels > 1;
}

static int32_t combine_tensors(qb__onnx *im, const qb__onnx_node *node, qb__op_kind kind,
                               const int32_t tensors[2], size_t elements)
{
  qb__graph *g = im->graph;
  const bool reversed = g->tensors[tensors[0]].constant != NULL;
  const int32_t x = tensors[reversed], c = tensors[!reversed];
  int32_t y = QB__NONE;
  if (g->tensors[c].constant && g->tensors[x].elements == elements) {
    if (g->tensors[c].elements == 1)
      y = with_number(im, node, kind, x, *g->tensors[c].constant, reversed);
    else if (is_of_channels(g, kind, x, c, reversed))
      y = with_channels(im, node, kind, x, g->tensors[c].constant, reversed);
  }
  return y == QB__NONE ? qb__graph_binary(g, node->label, kind, tensors[0], tensors[1]) : y;
}

/* Two inputs, repeated to each other's shapes; QB__NONE after a problem. */
static int32_t combine(qb__onnx *im, const qb__onnx_node *node, qb__op_kind kind, qb__onnx_value *a,
                       qb__onnx_value *b, qb__onnx_shape *out)
{
  qb__onnx_value *values[2] = {a, b};
  int32_t tensors[2];
  int64_t sample[QB__ONNX_RANK];
  size_t elements = 1;
  if (!qb__onnx_align(im, node, values, 2, 0, out, tensors))
    return QB__NONE;
  const uint32_t rank = qb__onnx_sample(im, out, sample);
  for (uint32_t i = 0; i < rank; i++)
    elements *= (size_t)sample[i];
  return combine_tensors(im, node, kind, tensors, elements);
}

void qb__onnx_map_binary(qb__onnx *im, const qb__onnx_node *node)
{
  qb__onnx_shape out;
  const qb__op_kind kind = kind_of(node);
  qb__onnx_value *a = qb__onnx_input(node, 0), *b = qb__onnx_input(node, 1);
  int32_t y = combine(im, node, kind, a, b, &out);
  if (!strcmp(node->proto->op_type, "Xor"))
    y = qb__onnx_activate(im, node, y, QB__ACTIVATION_LINEAR, -1, 1);
  qb__onnx_result(im, node, y, &out);
}

/* Sum, Mean, Max and Min of any number of inputs. */
void qb__onnx_map_variadic(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__op_kind kind = kind_of(node);
  qb__onnx_value sum = *qb__onnx_input(node, 0);
  for (size_t i = 1; i < node->input_count; i++) {
    qb__onnx_shape out;
    qb__onnx_value *left = i == 1 ? qb__onnx_input(node, 0) : &sum;
    const int32_t y = combine(im, node, kind, left, qb__onnx_input(node, i), &out);
    if (y == QB__NONE)
      return;
    sum = (qb__onnx_value){.name = sum.name, .writer = QB__NONE};
    qb__onnx_set(&sum, y, &out);
  }
  const qb__onnx_shape shape = qb__onnx_shape_of(&sum);
  const float share = 1 / (float)node->input_count;
  const bool mean = !strcmp(node->proto->op_type, "Mean") && node->input_count > 1;
  qb__onnx_result(im, node,
                  mean ? qb__onnx_activate(im, node, sum.tensor, QB__ACTIVATION_LINEAR, share, 0)
                       : sum.tensor,
                  &shape);
}

void qb__onnx_map_where(qb__onnx *im, const qb__onnx_node *node)
{
  qb__onnx_value *values[3];
  qb__onnx_shape out;
  int32_t tensors[3];
  for (size_t i = 0; i < 3; i++)
    values[i] = qb__onnx_input(node, i);
  if (qb__onnx_align(im, node, values, 3, 0, &out, tensors))
    qb__onnx_result(im, node,
                    qb__graph_select(im->graph, node->label, tensors[0], tensors[1], tensors[2]),
                    &out);
}
