/* SPDX-License-Identifier: Apache-2.0 */
/* The operators of ONNX that can be imported; docs/onnx.md lists them with their forms. */
#include "model/onnx_impl.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
  const char *name;
  qb__onnx_map *map;
} entry;

static int by_name(const void *a, const void *b)
{
  return strcmp(a, ((const entry *)b)->name);
}

qb__onnx_map *qb__onnx_mapper(const char *operator_type)
{
  static const entry entries[] = {
      /* sorted */
      {"Add", qb__onnx_map_binary},
      {"AveragePool", qb__onnx_map_pool},
      {"BatchNormalization", qb__onnx_map_batch_norm},
      {"Cast", qb__onnx_map_identity},
      {"Clip", qb__onnx_map_clip},
      {"Concat", qb__onnx_map_concat},
      {"Constant", qb__onnx_map_fold_only},
      {"ConstantOfShape", qb__onnx_map_fold_only},
      {"Conv", qb__onnx_map_conv},
      {"ConvTranspose", qb__onnx_map_conv_transpose},
      {"Div", qb__onnx_map_binary},
      {"Dropout", qb__onnx_map_identity},
      {"Flatten", qb__onnx_map_flatten},
      {"Gather", qb__onnx_map_fold_only},
      {"Gemm", qb__onnx_map_gemm},
      {"GlobalAveragePool", qb__onnx_map_global_pool},
      {"GlobalMaxPool", qb__onnx_map_global_pool},
      {"HardSigmoid", qb__onnx_map_activation},
      {"HardSwish", qb__onnx_map_activation},
      {"Identity", qb__onnx_map_identity},
      {"LRN", qb__onnx_map_lrn},
      {"LeakyRelu", qb__onnx_map_activation},
      {"MatMul", qb__onnx_map_matmul},
      {"MaxPool", qb__onnx_map_pool},
      {"Mul", qb__onnx_map_binary},
      {"Pad", qb__onnx_map_pad},
      {"ReduceMean", qb__onnx_map_reduce_mean},
      {"Relu", qb__onnx_map_activation},
      {"Reshape", qb__onnx_map_reshape},
      {"Resize", qb__onnx_map_resize},
      {"Shape", qb__onnx_map_shape},
      {"Sigmoid", qb__onnx_map_activation},
      {"Size", qb__onnx_map_shape},
      {"Softmax", qb__onnx_map_softmax},
      {"Squeeze", qb__onnx_map_squeeze},
      {"Sub", qb__onnx_map_binary},
      {"Sum", qb__onnx_map_sum},
      {"Tanh", qb__onnx_map_activation},
      {"Transpose", qb__onnx_map_transpose},
      {"Unsqueeze", qb__onnx_map_unsqueeze},
  };
  const entry *found =
      bsearch(operator_type, entries, sizeof entries / sizeof *entries, sizeof *entries, by_name);
  return found ? found->map : NULL;
}
