/* SPDX-License-Identifier: Apache-2.0 */
/* What mapping a node reads of it: attributes, inputs, axes. */
#include "core/error.h"
#include "model/onnx_map.h"

#include <string.h>

const Onnx__AttributeProto *qb__onnx_attribute(const qb__onnx_node *node, const char *name)
{
  for (size_t i = 0; i < node->proto->n_attribute; i++)
    if (node->proto->attribute[i]->name && !strcmp(node->proto->attribute[i]->name, name))
      return node->proto->attribute[i];
  return NULL;
}

int64_t qb__onnx_int(const qb__onnx_node *node, const char *name)
{
  const Onnx__AttributeProto *a = qb__onnx_attribute(node, name);
  const qb__onnx_rule *rule = qb__onnx_rule_in(node->schema, name, node->opset);
  return a ? a->i : rule ? rule->number : 0;
}

float qb__onnx_float(const qb__onnx_node *node, const char *name)
{
  const Onnx__AttributeProto *a = qb__onnx_attribute(node, name);
  const qb__onnx_rule *rule = qb__onnx_rule_in(node->schema, name, node->opset);
  return a ? a->f : rule ? rule->real : 0;
}

bool qb__onnx_text_is(const qb__onnx_node *node, const char *name, const char *value)
{
  const Onnx__AttributeProto *a = qb__onnx_attribute(node, name);
  const qb__onnx_rule *rule = qb__onnx_rule_in(node->schema, name, node->opset);
  if (a)
    return a->s.len == strlen(value) && !memcmp(a->s.data, value, a->s.len);
  return rule && rule->text && !strcmp(rule->text, value);
}

int qb__onnx_ints(const qb__onnx_node *node, const char *name, int64_t *values, int most)
{
  const Onnx__AttributeProto *a = qb__onnx_attribute(node, name);
  if (!a)
    return 0;
  if (a->n_ints > (size_t)most)
    return -1;
  for (size_t i = 0; i < a->n_ints; i++)
    values[i] = a->ints[i];
  return (int)a->n_ints;
}

qb__onnx_value *qb__onnx_input(const qb__onnx_node *node, size_t index)
{
  return index < node->input_count ? node->inputs[index] : NULL;
}

int qb__onnx_ints_or_input(qb__onnx *im, const qb__onnx_node *node, const char *name, int since,
                           size_t index, int64_t *values, int most)
{
  if (im->opset < since) {
    const int count = qb__onnx_ints(node, name, values, most);
    if (count < 0)
      qb__onnx_problem(im, node, "'%s' has more than %d elements", name, most);
    return count;
  }
  const qb__onnx_value *v = qb__onnx_input(node, index);
  for (size_t i = 0; v && v->open && i < v->elements; i++)
    if (v->open[i]) {
      qb__onnx_problem(
          im, node,
          "its input '%s' depends on the batch size; export the model with a fixed batch size",
          name);
      return -1;
    }
  return qb__onnx_dims_input(im, node, name, index, values, most);
}

int qb__onnx_dims_input(qb__onnx *im, const qb__onnx_node *node, const char *name, size_t index,
                        int64_t *dims, int most)
{
  const qb__onnx_value *v = qb__onnx_input(node, index);
  if (!v)
    return 0;
  if (!qb__onnx_is_integer(v) || v->elements > (size_t)most) {
    qb__onnx_problem(im, node, "its input '%s' is not a constant of at most %d integers", name,
                     most);
    return -1;
  }
  if (v->elements)
    memcpy(dims, v->data, v->elements * sizeof *dims);
  return (int)v->elements;
}

bool qb__onnx_axis(qb__onnx *im, const qb__onnx_node *node, int64_t axis, uint32_t rank,
                   uint32_t *result)
{
  const int64_t from_start = axis < 0 ? axis + rank : axis;
  if (from_start < 0 || from_start >= rank) {
    qb__onnx_problem(im, node, "axis %lld is out of range for %u dimensions", (long long)axis,
                     rank);
    return false;
  }
  *result = (uint32_t)from_start;
  return true;
}

bool qb__onnx_constant_input(qb__onnx *im, const qb__onnx_node *node, size_t index,
                             const char *what, bool needed, qb__onnx_value **value)
{
  *value = qb__onnx_input(node, index);
  if ((!*value && !needed) || qb__onnx_is_float(*value))
    return true;
  qb__onnx_problem(im, node, "its %s are not constants of the model", what);
  return false;
}
