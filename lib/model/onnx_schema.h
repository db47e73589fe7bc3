/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signatures of ONNX's operators by opset: which attributes they have, of which type and with
 * which value where they are left out, and how many inputs and outputs. Whatever the importer reads
 * of a node is checked against them first, so that it meets only what the standard allows.
 */
#ifndef QB_MODEL_ONNX_SCHEMA_H
#define QB_MODEL_ONNX_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  QB__ONNX_OLDEST_OPSET = 7,
  QB__ONNX_NEWEST_OPSET = 28, /* of ONNX 1.23 */
  QB__ONNX_VARIADIC = INT16_MAX
};

/* As AttributeProto numbers them. */
typedef enum qb__onnx_attribute_type {
  QB__ONNX_FLOAT = 1,
  QB__ONNX_INT = 2,
  QB__ONNX_TEXT = 3,
  QB__ONNX_TENSOR = 4,
  QB__ONNX_FLOATS = 6,
  QB__ONNX_INTS = 7,
  QB__ONNX_TEXTS = 8,
  QB__ONNX_SPARSE_TENSOR = 11
} qb__onnx_attribute_type;

/* An attribute in the opsets `since` to `until`, or to the newest where that is 0. */
typedef struct qb__onnx_rule {
  const char *name;
  qb__onnx_attribute_type type;
  int since, until;
  bool required;
  int64_t number; /* where an integer is left out */
  float real;     /* where a float is */
  const char *text;
  const char *words; /* the texts that are allowed, separated by blanks; NULL: any */
} qb__onnx_rule;

/* Numbers of inputs and outputs from an opset on. */
typedef struct qb__onnx_form {
  int since;
  int16_t least_inputs, most_inputs, least_outputs, most_outputs;
} qb__onnx_form;

/* Operators of the standard, and of com.microsoft those that ONNX Runtime's quantizer writes. */
typedef enum qb__onnx_domains {
  QB__ONNX_STANDARD,
  QB__ONNX_MICROSOFT,
  QB__ONNX_EITHER /* the same in both */
} qb__onnx_domains;

typedef struct qb__onnx_schema {
  const char *type;
  qb__onnx_domains domains;
  int until;                  /* the last opset that has the operator; 0: the newest has it */
  const qb__onnx_form *forms; /* in ascending order of opset; ends with since = 0 */
  const qb__onnx_rule *rules; /* ends with name = NULL */
} qb__onnx_schema;

/* All operators, sorted by type. */
extern const qb__onnx_schema qb__onnx_schemas[];
extern const size_t qb__onnx_schema_count;

/* NULL for an operator that is not listed; no type is listed twice. */
const qb__onnx_schema *qb__onnx_schema_of(const char *type);

/* Whether an operator is one of com.microsoft, or else of the standard. */
bool qb__onnx_schema_is_of(const qb__onnx_schema *schema, bool microsoft);

/* NULL in an opset that does not have the operator. */
const qb__onnx_form *qb__onnx_form_in(const qb__onnx_schema *schema, int64_t opset);

/* NULL for an attribute that the operator does not have in an opset. */
const qb__onnx_rule *qb__onnx_rule_in(const qb__onnx_schema *schema, const char *name,
                                      int64_t opset);

#endif
