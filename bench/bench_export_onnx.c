/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a built-in network as an ONNX file, with the same weights: for comparisons. */
#include <qosbatch/lab.h>

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
  if (qb_context_new(NULL, &context) || qb_model_builtin(context, argv[1], &model) ||
      qb_model_save_onnx(model, argv[2]))
    fprintf(stderr, "export_onnx: %s\n", qb_error_message());
  else
    result = 0;
  qb_model_unref(model);
  qb_context_unref(context);
  return result;
}
