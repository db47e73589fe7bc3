/* SPDX-License-Identifier: Apache-2.0 */
#include "model/onnx_schema.h"

#include <stdlib.h>
#include <string.h>

static int by_type(const void *type, const void *schema)
{
  return strcmp(type, ((const qb__onnx_schema *)schema)->type);
}

const qb__onnx_schema *qb__onnx_schema_of(const char *type)
{
  return bsearch(type, qb__onnx_schemas, qb__onnx_schema_count, sizeof *qb__onnx_schemas, by_type);
}

bool qb__onnx_schema_is_of(const qb__onnx_schema *schema, bool microsoft)
{
  return schema->domains == QB__ONNX_EITHER || (schema->domains == QB__ONNX_MICROSOFT) == microsoft;
}

const qb__onnx_form *qb__onnx_form_in(const qb__onnx_schema *schema, int64_t opset)
{
  const qb__onnx_form *found = NULL;
  if (schema->until && opset > schema->until)
    return NULL;
  for (const qb__onnx_form *form = schema->forms; form->since; form++)
    found = form->since <= opset ? form : found;
  return found;
}

const qb__onnx_rule *qb__onnx_rule_in(const qb__onnx_schema *schema, const char *name,
                                      int64_t opset)
{
  for (const qb__onnx_rule *rule = schema->rules; rule->name; rule++)
    if (!strcmp(rule->name, name) && rule->since <= opset && (!rule->until || opset <= rule->until))
      return rule;
  return NULL;
}
