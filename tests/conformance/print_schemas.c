/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints the importer's table of signatures, a line each operator and opset: for
 * compare_schemas.py.
 */
#include "model/onnx_schema.h"

#include <stdio.h>

static void print_rule(const qb__onnx_rule *rule)
{
  printf(" %s:%d:%s", rule->name, (int)rule->type, rule->required ? "needed" : "");
  if (rule->type == QB__ONNX_INT && !rule->required)
    printf("%lld", (long long)rule->number);
  if (rule->type == QB__ONNX_FLOAT && !rule->required)
    printf("%.9g", (double)rule->real);
  if (rule->type == QB__ONNX_TEXT && rule->text)
    printf("%s", rule->text);
}

int main(void)
{
  for (size_t i = 0; i < qb__onnx_schema_count; i++) {
    const qb__onnx_schema *schema = &qb__onnx_schemas[i];
    if (qb__onnx_schema_of(schema->type) != schema) {
      fprintf(stderr, "%s is not in its place in the alphabet\n", schema->type);
      return 1;
    }
    if (!qb__onnx_schema_is_of(schema, false))
      continue;
    for (int opset = QB__ONNX_OLDEST_OPSET; opset <= QB__ONNX_NEWEST_OPSET; opset++) {
      const qb__onnx_form *form = qb__onnx_form_in(schema, opset);
      if (!form)
        continue;
      printf("%s %d %d %d %d %d", schema->type, opset, form->least_inputs, form->most_inputs,
             form->least_outputs, form->most_outputs);
      for (const qb__onnx_rule *rule = schema->rules; rule->name; rule++)
        if (qb__onnx_rule_in(schema, rule->name, opset) == rule)
          print_rule(rule);
      putchar('\n');
    }
  }
  return 0;
}
