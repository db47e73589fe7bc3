/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a built-in network as an ONNX file, with the same weights: for comparisons. */
#include "model/model_impl.h"
#include "support/onnx_write.h"

#include <qosbatch/qosbatch.h>

#include <stdio.h>

int main(int argc, char **argv)
{
  if (argc != 3) {
    fprintf(stderr, "usage: export_onnx MODEL FILE.onnx\n");
    return 2;
  }
  qb_context *context = NULL;
  qb_model *model = NULL;
  int result = 1;
  if (qb_context_new(NULL, &context) || qb_model_builtin(context, argv[1], &model))
    fprintf(stderr, "export_onnx: %s\n", qb_error_message());
  else if (!onnx_write_file(&model->graph, argv[2]))
    fprintf(stderr, "export_onnx: cannot write '%s'\n", argv[2]);
  else
    result = 0;
  qb_model_unref(model);
  qb_context_unref(context);
  return result;
}
