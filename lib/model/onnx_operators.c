/* SPDX-License-Identifier: Apache-2.0 */
/* The operators that activations may pass through. */
#include "model/onnx_map.h"

#include <stdlib.h>
#include <string.h>

#define FLOATS   QB__ONNX_ALL_FLOATS
#define BOOLEANS QB__ONNX_ALL_BOOLEANS
#define ALIKE    QB__ONNX_ALL_ALIKE
#define NUMBERS  QB__ONNX_ALL_NUMBERS
#define DATA     QB__ONNX_DATA_FLOATS
#define DATA_ANY QB__ONNX_DATA_NUMBERS
#define ANY      QB__ONNX_ANYTHING
#define FLOAT    QB__ONNX_A_FLOAT
#define BOOLEAN  QB__ONNX_A_BOOLEAN
#define INTEGER  QB__ONNX_AN_INTEGER
#define FIRST    QB__ONNX_LIKE_FIRST
#define SECOND   QB__ONNX_LIKE_SECOND
#define MAPPED   QB__ONNX_AS_MAPPED

static int by_type(const void *type, const void *operator)
{
  return strcmp(type, ((const qb__onnx_operator *)operator)->type);
}

const qb__onnx_operator *qb__onnx_operator_of(const char *type)
{
  static const qb__onnx_operator operators[] = {
      /* sorted */
      {"Abs", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Add", qb__onnx_map_binary, FLOATS, FLOAT, false},
      {"And", qb__onnx_map_binary, BOOLEANS, BOOLEAN, false},
      {"ArgMax", qb__onnx_map_arg, NUMBERS, INTEGER, false},
      {"ArgMin", qb__onnx_map_arg, NUMBERS, INTEGER, false},
      {"AveragePool", qb__onnx_map_pool, FLOATS, FLOAT, false},
      {"BatchNormalization", qb__onnx_map_batch_norm, FLOATS, FLOAT, false},
      {"Cast", qb__onnx_map_cast, ANY, MAPPED, false},
      {"CastLike", qb__onnx_map_cast, ANY, MAPPED, false},
      {"Ceil", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Celu", qb__onnx_map_parametric, FLOATS, FLOAT, false},
      {"Clip", qb__onnx_map_clip, NUMBERS, FIRST, false},
      {"Concat", qb__onnx_map_concat, ALIKE, FIRST, false},
      {"Conv", qb__onnx_map_conv, FLOATS, FLOAT, false},
      {"ConvInteger", qb__onnx_map_conv_integer, ANY, MAPPED, false},
      {"ConvTranspose", qb__onnx_map_conv_transpose, FLOATS, FLOAT, false},
      {"Cos", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"DepthToSpace", qb__onnx_map_depth_to_space, ANY, FIRST, false},
      {"DequantizeLinear", qb__onnx_map_dequantize, ANY, MAPPED, false},
      {"Div", qb__onnx_map_binary, FLOATS, FLOAT, false},
      {"Dropout", qb__onnx_map_identity, ANY, FIRST, false},
      {"DynamicQuantizeLinear", qb__onnx_map_dynamic_quantize, ANY, MAPPED, true},
      {"Einsum", qb__onnx_map_einsum, FLOATS, FLOAT, false},
      {"Elu", qb__onnx_map_parametric, FLOATS, FLOAT, false},
      {"Equal", qb__onnx_map_binary, ALIKE, BOOLEAN, false},
      {"Erf", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Exp", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Expand", qb__onnx_map_expand, ANY, FIRST, false},
      {"Flatten", qb__onnx_map_flatten, ANY, FIRST, false},
      {"Floor", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Gather", qb__onnx_map_gather, ANY, FIRST, false},
      {"Gelu", qb__onnx_map_parametric, FLOATS, FLOAT, false},
      {"Gemm", qb__onnx_map_gemm, FLOATS, FLOAT, false},
      {"GlobalAveragePool", qb__onnx_map_global_pool, FLOATS, FLOAT, false},
      {"GlobalLpPool", qb__onnx_map_global_pool, FLOATS, FLOAT, false},
      {"GlobalMaxPool", qb__onnx_map_global_pool, FLOATS, FLOAT, false},
      {"Greater", qb__onnx_map_binary, ALIKE, BOOLEAN, false},
      {"GreaterOrEqual", qb__onnx_map_binary, ALIKE, BOOLEAN, false},
      {"GroupNormalization", qb__onnx_map_group_norm, FLOATS, FLOAT, false},
      {"HardSigmoid", qb__onnx_map_parametric, FLOATS, FLOAT, false},
      {"HardSwish", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Identity", qb__onnx_map_identity, ANY, FIRST, false},
      {"InstanceNormalization", qb__onnx_map_instance_norm, FLOATS, FLOAT, false},
      {"IsNaN", qb__onnx_map_is_nan, FLOATS, BOOLEAN, false},
      {"LRN", qb__onnx_map_lrn, FLOATS, FLOAT, false},
      {"LayerNormalization", qb__onnx_map_layer_norm, FLOATS, FLOAT, false},
      {"LeakyRelu", qb__onnx_map_parametric, FLOATS, FLOAT, false},
      {"Less", qb__onnx_map_binary, ALIKE, BOOLEAN, false},
      {"LessOrEqual", qb__onnx_map_binary, ALIKE, BOOLEAN, false},
      {"Log", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"LogSoftmax", qb__onnx_map_softmax, FLOATS, FLOAT, false},
      {"LpPool", qb__onnx_map_lp_pool, FLOATS, FLOAT, false},
      {"MatMul", qb__onnx_map_matmul, FLOATS, FLOAT, false},
      {"MatMulInteger", qb__onnx_map_matmul_integer, ANY, MAPPED, false},
      {"Max", qb__onnx_map_variadic, NUMBERS, FIRST, false},
      {"MaxPool", qb__onnx_map_pool, NUMBERS, FIRST, false},
      {"Mean", qb__onnx_map_variadic, FLOATS, FLOAT, false},
      {"Min", qb__onnx_map_variadic, NUMBERS, FIRST, false},
      {"Mish", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Mod", qb__onnx_map_binary, FLOATS, FLOAT, false},
      {"Mul", qb__onnx_map_binary, FLOATS, FLOAT, false},
      {"Neg", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Not", qb__onnx_map_activation, BOOLEANS, BOOLEAN, false},
      {"Or", qb__onnx_map_binary, BOOLEANS, BOOLEAN, false},
      {"PRelu", qb__onnx_map_binary, FLOATS, FLOAT, false},
      {"Pad", qb__onnx_map_pad, DATA_ANY, FIRST, false},
      {"Pow", qb__onnx_map_binary, DATA, FLOAT, false},
      {"QGemm", qb__onnx_map_qgemm, ANY, MAPPED, false},
      {"QLinearAdd", qb__onnx_map_qlinear, ANY, MAPPED, false},
      {"QLinearAveragePool", qb__onnx_map_qlinear, ANY, MAPPED, false},
      {"QLinearConcat", qb__onnx_map_qlinear_concat, ANY, MAPPED, false},
      {"QLinearConv", qb__onnx_map_qlinear_conv, ANY, MAPPED, false},
      {"QLinearGlobalAveragePool", qb__onnx_map_qlinear, ANY, MAPPED, false},
      {"QLinearLeakyRelu", qb__onnx_map_qlinear, ANY, MAPPED, false},
      {"QLinearMatMul", qb__onnx_map_qlinear_matmul, ANY, MAPPED, false},
      {"QLinearMul", qb__onnx_map_qlinear, ANY, MAPPED, false},
      {"QLinearSigmoid", qb__onnx_map_qlinear, ANY, MAPPED, false},
      {"QLinearSoftmax", qb__onnx_map_qlinear, ANY, MAPPED, false},
      {"QLinearWhere", qb__onnx_map_qlinear, ANY, MAPPED, false},
      {"QuantizeLinear", qb__onnx_map_quantize, ANY, MAPPED, false},
      {"RMSNormalization", qb__onnx_map_rms_norm, FLOATS, FLOAT, false},
      {"Reciprocal", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"ReduceL1", qb__onnx_map_reduce, DATA, FLOAT, false},
      {"ReduceL2", qb__onnx_map_reduce, DATA, FLOAT, false},
      {"ReduceLogSum", qb__onnx_map_reduce, DATA, FLOAT, false},
      {"ReduceLogSumExp", qb__onnx_map_reduce, DATA, FLOAT, false},
      {"ReduceMax", qb__onnx_map_reduce, DATA_ANY, FIRST, false},
      {"ReduceMean", qb__onnx_map_reduce, DATA, FLOAT, false},
      {"ReduceMin", qb__onnx_map_reduce, DATA_ANY, FIRST, false},
      {"ReduceProd", qb__onnx_map_reduce, DATA, FLOAT, false},
      {"ReduceSum", qb__onnx_map_reduce, DATA, FLOAT, false},
      {"ReduceSumSquare", qb__onnx_map_reduce, DATA, FLOAT, false},
      {"Relu", qb__onnx_map_activation, NUMBERS, FIRST, false},
      {"Reshape", qb__onnx_map_reshape, ANY, FIRST, false},
      {"Resize", qb__onnx_map_resize, DATA_ANY, FIRST, false},
      {"Round", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Selu", qb__onnx_map_parametric, FLOATS, FLOAT, false},
      {"Shape", qb__onnx_map_shape, ANY, MAPPED, false},
      {"Sigmoid", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Sign", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Sin", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Size", qb__onnx_map_shape, ANY, MAPPED, false},
      {"Slice", qb__onnx_map_slice, ANY, FIRST, false},
      {"Softmax", qb__onnx_map_softmax, FLOATS, FLOAT, false},
      {"Softplus", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Softsign", qb__onnx_map_softsign, FLOATS, FLOAT, false},
      {"SpaceToDepth", qb__onnx_map_space_to_depth, ANY, FIRST, false},
      {"Split", qb__onnx_map_split, ANY, FIRST, true},
      {"Sqrt", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"Squeeze", qb__onnx_map_squeeze, ANY, FIRST, false},
      {"Sub", qb__onnx_map_binary, FLOATS, FLOAT, false},
      {"Sum", qb__onnx_map_variadic, FLOATS, FLOAT, false},
      {"Swish", qb__onnx_map_parametric, FLOATS, FLOAT, false},
      {"Tanh", qb__onnx_map_activation, FLOATS, FLOAT, false},
      {"ThresholdedRelu", qb__onnx_map_thresholded_relu, FLOATS, FLOAT, false},
      {"Tile", qb__onnx_map_tile, ANY, FIRST, false},
      {"Transpose", qb__onnx_map_transpose, ANY, FIRST, false},
      {"Unsqueeze", qb__onnx_map_unsqueeze, ANY, FIRST, false},
      {"Upsample", qb__onnx_map_resize, DATA, FLOAT, false},
      {"Where", qb__onnx_map_where, ANY, SECOND, false},
      {"Xor", qb__onnx_map_binary, BOOLEANS, BOOLEAN, false},
  };
  return bsearch(type, operators, sizeof operators / sizeof *operators, sizeof *operators, by_type);
}
