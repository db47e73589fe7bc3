/* SPDX-License-Identifier: Apache-2.0 */
/* A node against its operator's signature. */
#include "model/onnx_impl.h"

#include <stdio.h>
#include <string.h>

static const char *type_name(int type)
{
  static const char *const names[] = {
      "of no type", "a float",          "an integer",         "a text",          "a tensor",
      "a graph",    "a list of floats", "a list of integers", "a list of texts", "tensors",
      "graphs",     "a sparse tensor",  "sparse tensors",     "a type",          "types"};
  return type >= 0 && type < (int)(sizeof names / sizeof *names) ? names[type] : "of unknown type";
}

/*
 * Files before IR version 2 do not say the type: it is that of the field that is set, or what it
 * should be where none is.
 */
static int type_of(const Onnx__AttributeProto *a, const qb__onnx_rule *rule)
{
  if (a->has_type && a->type)
    return a->type;
  return a->has_f       ? QB__ONNX_FLOAT
         : a->has_i     ? QB__ONNX_INT
         : a->has_s     ? QB__ONNX_TEXT
         : a->t         ? QB__ONNX_TENSOR
         : a->n_floats  ? QB__ONNX_FLOATS
         : a->n_ints    ? QB__ONNX_INTS
         : a->n_strings ? QB__ONNX_TEXTS
                        : (int)rule->type;
}

/* Whether a text is one of several words with blanks between them. */
static bool is_word(const char *words, const char *text, size_t length)
{
  for (const char *word = words; *word;) {
    const size_t n = strcspn(word, " ");
    if (n == length && !memcmp(word, text, n))
      return true;
    word += n + (word[n] == ' ');
  }
  return false;
}

static void unknown_attribute(qb__onnx *im, const qb__onnx_node *node, const char *name)
{
  for (const qb__onnx_rule *rule = node->schema->rules; rule->name; rule++)
    if (!strcmp(rule->name, name)) {
      if (im->opset < rule->since)
        qb__onnx_problem(im, node, "attribute '%s' exists from opset %d on", name, rule->since);
      else
        qb__onnx_problem(im, node, "attribute '%s' exists up to opset %d%s", name, rule->until,
                         node->form->most_inputs > 1 ? "; later opsets have an input for it" : "");
      return;
    }
  qb__onnx_problem(im, node, "unknown attribute '%.64s'", name);
}

static bool check_attribute(qb__onnx *im, const qb__onnx_node *node, const Onnx__AttributeProto *a)
{
  const char *name = a->name ? a->name : "";
  const qb__onnx_rule *rule = qb__onnx_rule_in(node->schema, name, im->opset);
  if (!rule)
    unknown_attribute(im, node, name);
  else if (a->ref_attr_name && *a->ref_attr_name)
    qb__onnx_problem(im, node, "attribute '%s' refers to one of a function; inline functions",
                     name);
  else if (type_of(a, rule) != (int)rule->type)
    qb__onnx_problem(im, node, "attribute '%s' is %s; expected %s", name,
                     type_name(type_of(a, rule)), type_name((int)rule->type));
  else if (rule->words && !is_word(rule->words, (const char *)a->s.data, a->s.len))
    qb__onnx_problem(im, node, "attribute '%s' is '%.*s'; expected one of: %s", name,
                     (int)(a->s.len < 64 ? a->s.len : 64), (const char *)a->s.data, rule->words);
  else if (qb__onnx_attribute(node, name) != a)
    qb__onnx_problem(im, node, "attribute '%s' is given twice", name);
  else
    return true;
  return false;
}

static bool check_attributes(qb__onnx *im, const qb__onnx_node *node)
{
  for (size_t i = 0; i < node->proto->n_attribute; i++)
    if (!check_attribute(im, node, node->proto->attribute[i]))
      return false;
  for (const qb__onnx_rule *rule = node->schema->rules; rule->name; rule++)
    if (rule->required && qb__onnx_rule_in(node->schema, rule->name, im->opset) == rule &&
        !qb__onnx_attribute(node, rule->name)) {
      qb__onnx_problem(im, node, "attribute '%s' is missing", rule->name);
      return false;
    }
  return true;
}

static bool check_number(qb__onnx *im, const qb__onnx_node *node, const char *what, size_t found,
                         int least, int most)
{
  if (found >= (size_t)least && (most == QB__ONNX_VARIADIC || found <= (size_t)most))
    return true;
  char range[32];
  snprintf(range, sizeof range, most == QB__ONNX_VARIADIC || least == most ? "%d" : "%d to %d",
           least, most);
  qb__onnx_problem(im, node, "it has %zu %s%s; expected %s%s", found, what, found == 1 ? "" : "s",
                   range, most == QB__ONNX_VARIADIC ? " or more" : "");
  return false;
}

static bool check_values(qb__onnx *im, const qb__onnx_node *node)
{
  const Onnx__NodeProto *proto = node->proto;
  const qb__onnx_form *form = node->form;
  if (!check_number(im, node, "input", proto->n_input, form->least_inputs, form->most_inputs) ||
      !check_number(im, node, "output", proto->n_output, form->least_outputs, form->most_outputs))
    return false;
  const bool variadic = form->most_inputs == QB__ONNX_VARIADIC;
  for (size_t i = 0; i < proto->n_input && (variadic || i < (size_t)form->least_inputs); i++)
    if (!*proto->input[i]) {
      qb__onnx_problem(im, node, "its required input %zu is missing", i + 1);
      return false;
    }
  if (!*proto->output[0]) {
    qb__onnx_problem(im, node, "it has no first output");
    return false;
  }
  return true;
}

/* The signature of an operator in its domain; NULL where it is not supported. */
static const qb__onnx_schema *schema_of(const Onnx__NodeProto *proto)
{
  const qb__onnx_schema *schema = qb__onnx_schema_of(proto->op_type ? proto->op_type : "");
  const bool microsoft = proto->domain && !strcmp(proto->domain, "com.microsoft");
  return schema && (microsoft || qb__onnx_is_standard(proto->domain)) &&
                 qb__onnx_schema_is_of(schema, microsoft)
             ? schema
             : NULL;
}

bool qb__onnx_check(qb__onnx *im, qb__onnx_node *node)
{
  node->schema = schema_of(node->proto);
  node->form = node->schema ? qb__onnx_form_in(node->schema, im->opset) : NULL;
  if (!node->schema)
    qb__onnx_problem(im, node, "this operator is not supported");
  else if (node->form)
    return check_attributes(im, node) && check_values(im, node);
  else if (node->schema->until && im->opset > node->schema->until)
    qb__onnx_problem(im, node, "the operator exists up to opset %d", node->schema->until);
  else
    qb__onnx_problem(im, node, "the operator exists from opset %d on", node->schema->forms->since);
  return false;
}
