/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators of com.microsoft, as ONNX Runtime's quantizer writes them: what a standard operator
 * makes of reals, with integers before and behind it.
 */
#include "core/alloc.h"
#include "model/onnx_quantized.h"

#include <string.h>

typedef struct form {
  const char *type, *standard;
  size_t plain;  /* inputs before the first of integers */
  size_t inputs; /* of integers; the scale and zero point of each come behind it */
} form;

static const form *form_of(const char *type)
{
  static const form forms[] = {
      {"QLinearAdd", "Add", 0, 2},
      {"QLinearAveragePool", "AveragePool", 0, 1},
      {"QLinearGlobalAveragePool", "GlobalAveragePool", 0, 1},
      {"QLinearLeakyRelu", "LeakyRelu", 0, 1},
      {"QLinearMul", "Mul", 0, 2},
      {"QLinearSigmoid", "Sigmoid", 0, 1},
      {"QLinearSoftmax", "Softmax", 0, 1},
      {"QLinearWhere", "Where", 1, 2},
  };
  const form *f = forms;
  while (strcmp(f->type, type) != 0)
    f++;
  return f;
}

/* The result of a standard operator as integers. */
static void finish(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *reals,
                   size_t scale)
{
  qb__onnx_scaling s;
  if (!qb__onnx_read_scaling(im, node, scale, 0, &s))
    return;
  if (s.scale->elements != 1 || (s.zero_point && s.zero_point->elements != 1))
    qb__onnx_problem(im, node, "its scales and zero points are not single numbers");
  else
    qb__onnx_typed_result(im, node, qb__onnx_to_integers(im, node, reals->tensor, &s, 0), reals,
                          s.type);
}

/* The axis of a QLinearSoftmax means what it does in the opset that an attribute says. */
static bool make(qb__onnx *im, const qb__onnx_node *node, const form *f, qb__onnx_value **inputs,
                 qb__onnx_value *reals)
{
  const int64_t opset = im->opset;
  if (!strcmp(f->standard, "Softmax"))
    im->opset = qb__onnx_int(node, "opset");
  const bool good =
      qb__onnx_make_by(im, node, f->standard, NULL, inputs, f->plain + f->inputs, reals);
  im->opset = opset;
  return good;
}

void qb__onnx_map_qlinear(qb__onnx *im, const qb__onnx_node *node)
{
  const form *f = form_of(node->proto->op_type);
  qb__onnx_value made[2] = {{.owned = false}, {.owned = false}}, reals;
  qb__onnx_value *inputs[3] = {qb__onnx_input(node, 0)};
  bool good = true;
  if (qb__onnx_int(node, "channels_last")) {
    qb__onnx_problem(im, node, "channels-last images are not supported");
    return;
  }
  for (size_t i = 0; good && i < f->inputs; i++) {
    good = qb__onnx_make_reals(im, node, f->plain + 3 * i, &made[i]);
    inputs[f->plain + i] = &made[i];
  }
  if (good && make(im, node, f, inputs, &reals))
    finish(im, node, &reals, f->plain + 3 * f->inputs);
  qb__onnx_release_made(im, made, 2);
}

/* The scale and zero point of the output come first. */
void qb__onnx_map_qlinear_concat(qb__onnx *im, const qb__onnx_node *node)
{
  const size_t count = (node->input_count - 2) / 3;
  if (node->input_count != 2 + 3 * count || !count) {
    qb__onnx_problem(im, node, "its inputs are not three for each of what it joins");
    return;
  }
  qb__onnx_value reals;
  qb__onnx_value *made = qb__calloc(im->context, count, sizeof *made);
  qb__onnx_value **inputs = qb__calloc(im->context, count, sizeof(qb__onnx_value *));
  bool good = made && inputs;
  if (!good)
    im->status = QB_ERROR_NO_MEMORY;
  for (size_t i = 0; good && i < count; i++) {
    good = qb__onnx_make_reals(im, node, 2 + 3 * i, &made[i]);
    inputs[i] = &made[i];
  }
  if (good && qb__onnx_make_by(im, node, "Concat", NULL, inputs, count, &reals))
    finish(im, node, &reals, 0);
  if (made)
    qb__onnx_release_made(im, made, count);
  qb__free(im->context, made);
  qb__free(im->context, inputs);
}
