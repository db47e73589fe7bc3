/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a node that cannot be imported. */
#include "core/error.h"
#include "core/hooks.h"
#include "model/onnx_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void qb__onnx_problem(qb__onnx *im, const qb__onnx_node *node, const char *format, ...)
{
  char what[256], text[448];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  const int length = snprintf(
      text, sizeof text, "%s'%.64s' (%.32s, opset %lld): %s", im->problem_count ? "; " : "",
      node->label, node->proto->op_type ? node->proto->op_type : "", (long long)im->opset, what);
  qb__message(im->context, QB_SEVERITY_INFO, "%s", text + (im->problem_count ? 2 : 0));
  im->problem_count++;
  if (length > 0 && im->problem_bytes + (size_t)length < sizeof im->problems) {
    memcpy(im->problems + im->problem_bytes, text, (size_t)length + 1);
    im->problem_bytes += (size_t)length;
  }
}

void qb__onnx_mixing(qb__onnx *im, const qb__onnx_node *node)
{
  if (im->symbolic)
    qb__onnx_problem(im, node,
                     "it mixes samples, as the first dimension is the batch; export the model with "
                     "a fixed size there to make that dimension part of each sample");
  else
    im->mixes = true;
}

const char *qb__onnx_label(const Onnx__NodeProto *proto)
{
  if (proto->name && *proto->name)
    return proto->name;
  return proto->n_output ? proto->output[0] : "";
}

bool qb__onnx_is_standard(const char *domain)
{
  return !domain || !*domain || !strcmp(domain, "ai.onnx");
}
