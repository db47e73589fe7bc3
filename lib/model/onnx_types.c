/* SPDX-License-Identifier: Apache-2.0 */
/* The types that floats of the graph stand for: floats, booleans and integers. */
#include "core/error.h"
#include "model/onnx_map.h"

/* What floats of a constant or activation stand for, as far as the importer tells types apart. */
static int32_t class_of(const qb__onnx_value *v)
{
  const bool real = v->type == QB__ONNX_TYPE(FLOAT16) || v->type == QB__ONNX_TYPE(BFLOAT16) ||
                    v->type == QB__ONNX_TYPE(DOUBLE);
  return real ? QB__ONNX_TYPE(FLOAT) : v->type;
}

/* The type that an operator's inputs are to have: that of the first where it takes several. */
static int32_t expected_type(const qb__onnx_node *node, qb__onnx_accepts accepts)
{
  const int32_t first = class_of(node->inputs[0]);
  switch (accepts) {
  case QB__ONNX_ALL_BOOLEANS: return QB__ONNX_TYPE(BOOL);
  case QB__ONNX_ALL_ALIKE: return first;
  case QB__ONNX_ALL_NUMBERS:
  case QB__ONNX_DATA_NUMBERS: return first == QB__ONNX_TYPE(BOOL) ? QB__ONNX_TYPE(FLOAT) : first;
  default: return QB__ONNX_TYPE(FLOAT);
  }
}

bool qb__onnx_check_types(qb__onnx *im, const qb__onnx_node *node, qb__onnx_accepts accepts)
{
  if (accepts == QB__ONNX_ANYTHING)
    return true;
  const bool data = accepts == QB__ONNX_DATA_FLOATS || accepts == QB__ONNX_DATA_NUMBERS;
  const int32_t expected = expected_type(node, accepts);
  for (size_t i = 0; i < node->input_count; i++) {
    const qb__onnx_value *v = node->inputs[i];
    if (!v || (data && v->kind != QB__ONNX_ACTIVATION) || class_of(v) == expected)
      continue;
    qb__onnx_problem(im, node, "input '%.64s' has elements of ONNX type %d; expected %d here",
                     v->name, v->type, expected);
    return false;
  }
  return true;
}

/* The type of what a node has written. */
void qb__onnx_give_types(qb__onnx *im, const qb__onnx_node *node, qb__onnx_gives gives)
{
  if (gives == QB__ONNX_AS_MAPPED)
    return;
  const int32_t type = gives == QB__ONNX_A_BOOLEAN     ? QB__ONNX_TYPE(BOOL)
                       : gives == QB__ONNX_AN_INTEGER  ? QB__ONNX_TYPE(INT64)
                       : gives == QB__ONNX_LIKE_FIRST  ? class_of(node->inputs[0])
                       : gives == QB__ONNX_LIKE_SECOND ? class_of(node->inputs[1])
                                                       : QB__ONNX_TYPE(FLOAT);
  for (size_t i = 0; i < node->proto->n_output; i++) {
    qb__onnx_value *v = *node->proto->output[i] ? qb__onnx_find(im, node->proto->output[i]) : NULL;
    if (v && v->kind == QB__ONNX_ACTIVATION)
      v->type = type;
  }
}
