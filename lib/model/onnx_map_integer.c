/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions and products of matrices of integers, whose sums are exact. */
#include "core/error.h"
#include "model/onnx_constant.h"
#include "model/onnx_quantized.h"

#include <string.h>

/* A product of two inputs, each less its zero point. */
typedef struct product {
  size_t inputs[2], zero_points[2];
  int64_t axes[2]; /* that zero points of several elements are along */
  const char *type, *without;
  size_t bias; /* 0: none */
} product;

/* A constant bias of integers as floats; false after a problem. */
static bool make_bias(qb__onnx *im, const qb__onnx_node *node, qb__onnx_value *bias,
                      qb__onnx_value *made)
{
  if (bias->type != QB__ONNX_TYPE(INT32)) {
    qb__onnx_problem(im, node, "its bias is of type %s; int32 is expected",
                     qb__onnx_type_name(bias->type));
    return false;
  }
  *made = *bias;
  made->owned = false;
  if (bias->kind == QB__ONNX_ACTIVATION)
    return true;
  made->tensor = QB__NONE;
  if (!qb__onnx_make(im, made, QB__ONNX_TYPE(FLOAT), bias->rank, bias->dims))
    return false;
  for (size_t i = 0; i < bias->elements; i++)
    ((float *)made->data)[i] = (float)qb__onnx_int_at(bias, i);
  return true;
}

/* The exact sums; false after a problem. */
static bool multiply(qb__onnx *im, const qb__onnx_node *node, const product *p,
                     qb__onnx_value *sums)
{
  qb__onnx_value made[3] = {{.owned = false}, {.owned = false}, {.owned = false}};
  qb__onnx_value *bias = p->bias ? qb__onnx_input(node, p->bias) : NULL;
  const size_t before = im->graph->operator_count;
  float limits[2];
  bool good = true;
  for (int i = 0; good && i < 2; i++)
    good = qb__onnx_make_shifted(im, node, p->inputs[i], p->zero_points[i], p->axes[i], &made[i],
                                 &limits[i]);
  good = good && (!bias || make_bias(im, node, bias, &made[2]));
  if (good) {
    qb__onnx_value *inputs[3] = {&made[0], &made[1], &made[2]};
    good = qb__onnx_make_by(im, node, p->type, p->without, inputs, bias ? 3 : 2, sums);
    qb__graph_mark_integers(im->graph, before, limits[0], limits[1]);
  }
  qb__onnx_release_made(im, made, 3);
  return good;
}

static void of_integers(qb__onnx *im, const qb__onnx_node *node, const product *p)
{
  qb__onnx_value sums;
  if (multiply(im, node, p, &sums))
    qb__onnx_typed_result(im, node, sums.tensor, &sums, QB__ONNX_TYPE(INT32));
}

void qb__onnx_map_conv_integer(qb__onnx *im, const qb__onnx_node *node)
{
  of_integers(im, node, &(product){{0, 1}, {2, 3}, {1, 0}, "Conv", NULL, 0});
}

void qb__onnx_map_matmul_integer(qb__onnx *im, const qb__onnx_node *node)
{
  of_integers(im, node, &(product){{0, 1}, {2, 3}, {-2, -1}, "MatMul", NULL, 0});
}

/* Factors of sums: the product of both scales, over that of the output where there is one. */
static qb__onnx_value *make_factors(qb__onnx *im, const qb__onnx_node *node, float alpha,
                                    const qb__onnx_scaling *x, const qb__onnx_scaling *w,
                                    const qb__onnx_scaling *y, qb__onnx_value *made)
{
  float first, last = 1;
  const int64_t count = (int64_t)w->scale->elements;
  if (!qb__onnx_number(x->scale, &first) || (y && !qb__onnx_number(y->scale, &last))) {
    qb__onnx_problem(im, node, "the scales of its input and output are not single numbers");
    return NULL;
  }
  *made = (qb__onnx_value){.name = w->scale->name, .tensor = QB__NONE, .writer = QB__NONE};
  if (!qb__onnx_make(im, made, QB__ONNX_TYPE(FLOAT), 1, &count))
    return NULL;
  for (int64_t i = 0; i < count; i++) {
    const float factor = alpha * first * ((const float *)w->scale->data)[i];
    ((float *)made->data)[i] = y ? factor / last : factor;
  }
  return made;
}

/* The axis of samples that an output's scales are along; false after a problem. */
static bool output_axis(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *sums,
                        int64_t axis, uint32_t *within)
{
  const qb__onnx_shape shape = qb__onnx_shape_of(sums);
  if (!qb__onnx_within(im, node, sums, axis, within))
    return false;
  *within = qb__onnx_sample_axis(im, &shape, *within);
  return true;
}

/* Sums of a scaled input and scaled weights, as integers of the output's scale or as reals. */
static void scale_sums(qb__onnx *im, const qb__onnx_node *node, const product *p,
                       const size_t scales[3], int64_t axis, float alpha)
{
  qb__onnx_scaling x, w, y;
  qb__onnx_value sums, factors = {.owned = false};
  uint32_t within = 0;
  const bool scaled = qb__onnx_input(node, scales[2]) != NULL;
  if (!qb__onnx_read_scaling(im, node, scales[0], qb__onnx_input(node, p->inputs[0])->type, &x) ||
      !qb__onnx_read_scaling(im, node, scales[1], qb__onnx_input(node, p->inputs[1])->type, &w) ||
      (scaled && !qb__onnx_read_scaling(im, node, scales[2], 0, &y)) ||
      !make_factors(im, node, alpha, &x, &w, scaled ? &y : NULL, &factors))
    return;
  if (multiply(im, node, p, &sums) &&
      (factors.elements == 1 || output_axis(im, node, &sums, axis, &within))) {
    const qb__onnx_scaling all = {&factors, NULL, QB__ONNX_TYPE(INT32)};
    int32_t tensor = qb__onnx_to_reals(im, node, sums.tensor, &all, within);
    y.scale = NULL; /* is in the factors */
    if (scaled)
      tensor = qb__onnx_to_integers(im, node, tensor, &y, 0);
    qb__onnx_typed_result(im, node, tensor, &sums, scaled ? y.type : QB__ONNX_TYPE(FLOAT));
  }
  qb__onnx_release_made(im, &factors, 1);
}

void qb__onnx_map_qlinear_conv(qb__onnx *im, const qb__onnx_node *node)
{
  const product p = {{0, 3}, {2, 5}, {1, 0}, "Conv", NULL, 8};
  scale_sums(im, node, &p, (const size_t[3]){1, 4, 6}, 1, 1);
}

void qb__onnx_map_qlinear_matmul(qb__onnx *im, const qb__onnx_node *node)
{
  const product p = {{0, 3}, {2, 5}, {-2, -1}, "MatMul", NULL, 0};
  scale_sums(im, node, &p, (const size_t[3]){1, 4, 6}, -1, 1);
}

/* Of com.microsoft. Its bias is added to the sums, before alpha. */
void qb__onnx_map_qgemm(qb__onnx *im, const qb__onnx_node *node)
{
  const int64_t columns = qb__onnx_int(node, "transB") ? 0 : 1;
  const product p = {{0, 3}, {2, 5}, {0, columns}, "Gemm", "alpha", 6};
  scale_sums(im, node, &p, (const size_t[3]){1, 4, 7}, -1, qb__onnx_float(node, "alpha"));
}
