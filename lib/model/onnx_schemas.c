/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After ONNX's operator definitions, opsets 7 to 28. tests/conformance/compare_schemas.py holds the
 * table against those of the python3-onnx that is installed.
 */
#include "model/onnx_schema.h"

/* clang-format off */
#define FORMS(...)   (const qb__onnx_form[]){__VA_ARGS__, {0, 0, 0, 0, 0}}
#define RULES(...)   (const qb__onnx_rule[]){__VA_ARGS__, {.name = NULL}}
#define NO_RULES     (const qb__onnx_rule[]){{.name = NULL}}
#define ONE(since)   FORMS({since, 1, 1, 1, 1})
#define TWO(since)   FORMS({since, 2, 2, 1, 1})

#define INT(name, since, until, value)          {name, QB__ONNX_INT, since, until, false, value, 0, NULL, NULL}
#define FLOAT(name, since, until, value)        {name, QB__ONNX_FLOAT, since, until, false, 0, value, NULL, NULL}
#define WORD(name, since, until, value, words)  {name, QB__ONNX_TEXT, since, until, false, 0, 0, value, words}
#define LIST(name, since, until)                {name, QB__ONNX_INTS, since, until, false, 0, 0, NULL, NULL}
#define ANY(name, type, since, until)           {name, type, since, until, false, 0, 0, NULL, NULL}
#define NEEDED(name, type, since, until)        {name, type, since, until, true, 0, 0, NULL, NULL}

#define PADDING        WORD("auto_pad", 1, 0, "NOTSET", "NOTSET SAME_UPPER SAME_LOWER VALID")
#define REDUCTION      RULES(LIST("axes", 1, 17), INT("keepdims", 1, 0, 1), INT("noop_with_empty_axes", 18, 0, 0))
#define REDUCED        FORMS({1, 1, 1, 1, 1}, {18, 1, 2, 1, 1})
#define PLACING        "half_pixel pytorch_half_pixel align_corners asymmetric tf_half_pixel_for_nn tf_crop_and_resize"
#define PLACING_19     PLACING " half_pixel_symmetric"

const qb__onnx_schema qb__onnx_schemas[] = {
  {"Abs", 0, ONE(1), NO_RULES},
  {"Add", 0, TWO(7), NO_RULES},
  {"And", 0, TWO(7), NO_RULES},
  {"ArgMax", 0, ONE(1), RULES(INT("axis", 1, 0, 0), INT("keepdims", 1, 0, 1), INT("select_last_index", 12, 0, 0))},
  {"ArgMin", 0, ONE(1), RULES(INT("axis", 1, 0, 0), INT("keepdims", 1, 0, 1), INT("select_last_index", 12, 0, 0))},
  {"AveragePool", 0, ONE(1), RULES(PADDING, INT("ceil_mode", 10, 0, 0), INT("count_include_pad", 7, 0, 0),
     LIST("dilations", 19, 0), NEEDED("kernel_shape", QB__ONNX_INTS, 1, 0), LIST("pads", 1, 0), LIST("strides", 1, 0))},
  {"BatchNormalization", 0, FORMS({1, 5, 5, 1, 5}, {14, 5, 5, 1, 3}), RULES(FLOAT("epsilon", 1, 0, 1e-5f),
     FLOAT("momentum", 1, 0, 0.9f), INT("spatial", 1, 8, 1), INT("training_mode", 14, 0, 0))},
  {"Cast", 0, ONE(1), RULES(WORD("round_mode", 24, 0, "up", "up down nearest"), INT("saturate", 19, 0, 1), NEEDED("to", QB__ONNX_INT, 6, 0))},
  {"CastLike", 0, TWO(15), RULES(WORD("round_mode", 24, 0, "up", "up down nearest"), INT("saturate", 19, 0, 1))},
  {"Ceil", 0, ONE(1), NO_RULES},
  {"Celu", 0, ONE(12), RULES(FLOAT("alpha", 12, 0, 1))},
  {"Clip", 0, FORMS({1, 1, 1, 1, 1}, {11, 1, 3, 1, 1}), RULES(FLOAT("max", 1, 10, 3.402823466e+38f), FLOAT("min", 1, 10, -3.402823466e+38f))},
  {"Concat", 0, FORMS({1, 1, QB__ONNX_VARIADIC, 1, 1}), RULES(NEEDED("axis", QB__ONNX_INT, 4, 0))},
  {"Constant", 0, FORMS({1, 0, 0, 1, 1}), RULES(ANY("sparse_value", QB__ONNX_SPARSE_TENSOR, 11, 0), NEEDED("value", QB__ONNX_TENSOR, 1, 10),
     ANY("value", QB__ONNX_TENSOR, 11, 0), ANY("value_float", QB__ONNX_FLOAT, 12, 0), ANY("value_floats", QB__ONNX_FLOATS, 12, 0),
     ANY("value_int", QB__ONNX_INT, 12, 0), ANY("value_ints", QB__ONNX_INTS, 12, 0), ANY("value_string", QB__ONNX_TEXT, 12, 0),
     ANY("value_strings", QB__ONNX_TEXTS, 12, 0))},
  {"ConstantOfShape", 0, ONE(9), RULES(ANY("value", QB__ONNX_TENSOR, 9, 0))},
  {"Conv", 0, FORMS({1, 2, 3, 1, 1}), RULES(PADDING, LIST("dilations", 1, 0), INT("group", 1, 0, 1), LIST("kernel_shape", 1, 0),
     LIST("pads", 1, 0), LIST("strides", 1, 0))},
  {"ConvTranspose", 0, FORMS({1, 2, 3, 1, 1}), RULES(PADDING, LIST("dilations", 1, 0), INT("group", 1, 0, 1), LIST("kernel_shape", 1, 0),
     LIST("output_padding", 1, 0), LIST("output_shape", 1, 0), LIST("pads", 1, 0), LIST("strides", 1, 0))},
  {"Cos", 0, ONE(7), NO_RULES},
  {"CumSum", 0, TWO(11), RULES(INT("exclusive", 11, 0, 0), INT("reverse", 11, 0, 0))},
  {"DepthToSpace", 0, ONE(1), RULES(NEEDED("blocksize", QB__ONNX_INT, 1, 0), WORD("mode", 11, 0, "DCR", "DCR CRD"))},
  {"Div", 0, TWO(7), NO_RULES},
  {"Dropout", 0, FORMS({7, 1, 1, 1, 2}, {12, 1, 3, 1, 2}), RULES(FLOAT("ratio", 1, 11, 0.5f), ANY("seed", QB__ONNX_INT, 12, 0))},
  {"Einsum", 0, FORMS({12, 1, QB__ONNX_VARIADIC, 1, 1}), RULES(NEEDED("equation", QB__ONNX_TEXT, 12, 0))},
  {"Elu", 0, ONE(1), RULES(FLOAT("alpha", 1, 0, 1))},
  {"Equal", 0, TWO(7), NO_RULES},
  {"Erf", 0, ONE(9), NO_RULES},
  {"Exp", 0, ONE(1), NO_RULES},
  {"Expand", 0, TWO(8), NO_RULES},
  {"EyeLike", 0, ONE(9), RULES(ANY("dtype", QB__ONNX_INT, 9, 0), INT("k", 9, 0, 0))},
  {"Flatten", 0, ONE(1), RULES(INT("axis", 1, 0, 1))},
  {"Floor", 0, ONE(1), NO_RULES},
  {"Gather", 0, TWO(1), RULES(INT("axis", 1, 0, 0))},
  {"GatherElements", 0, TWO(11), RULES(INT("axis", 11, 0, 0))},
  {"GatherND", 0, TWO(11), RULES(INT("batch_dims", 12, 0, 0))},
  {"Gelu", 0, ONE(20), RULES(WORD("approximate", 20, 0, "none", "none tanh"))},
  {"Gemm", 0, FORMS({7, 3, 3, 1, 1}, {11, 2, 3, 1, 1}), RULES(FLOAT("alpha", 1, 0, 1), FLOAT("beta", 1, 0, 1), INT("transA", 1, 0, 0), INT("transB", 1, 0, 0))},
  {"GlobalAveragePool", 0, ONE(1), NO_RULES},
  {"GlobalLpPool", 0, ONE(1), RULES(INT("p", 2, 0, 2))},
  {"GlobalMaxPool", 0, ONE(1), NO_RULES},
  {"Greater", 0, TWO(7), NO_RULES},
  {"GreaterOrEqual", 0, TWO(12), NO_RULES},
  {"GroupNormalization", 0, FORMS({18, 3, 3, 1, 1}), RULES(FLOAT("epsilon", 18, 0, 1e-5f), NEEDED("num_groups", QB__ONNX_INT, 18, 0), INT("stash_type", 21, 0, 1))},
  {"HardSigmoid", 0, ONE(1), RULES(FLOAT("alpha", 1, 0, 0.2f), FLOAT("beta", 1, 0, 0.5f))},
  {"HardSwish", 0, ONE(14), NO_RULES},
  {"Identity", 0, ONE(1), NO_RULES},
  {"InstanceNormalization", 0, FORMS({6, 3, 3, 1, 1}), RULES(FLOAT("epsilon", 1, 0, 1e-5f))},
  {"IsNaN", 0, ONE(9), NO_RULES},
  {"LRN", 0, ONE(1), RULES(FLOAT("alpha", 1, 0, 1e-4f), FLOAT("beta", 1, 0, 0.75f), FLOAT("bias", 1, 0, 1), NEEDED("size", QB__ONNX_INT, 1, 0))},
  {"LayerNormalization", 0, FORMS({17, 2, 3, 1, 3}), RULES(INT("axis", 17, 0, -1), FLOAT("epsilon", 17, 0, 1e-5f), INT("stash_type", 17, 0, 1))},
  {"LeakyRelu", 0, ONE(1), RULES(FLOAT("alpha", 1, 0, 0.01f))},
  {"Less", 0, TWO(7), NO_RULES},
  {"LessOrEqual", 0, TWO(12), NO_RULES},
  {"Log", 0, ONE(1), NO_RULES},
  {"LogSoftmax", 0, ONE(1), RULES(INT("axis", 1, 12, 1), INT("axis", 13, 0, -1))},
  {"LpPool", 0, ONE(1), RULES(PADDING, INT("ceil_mode", 18, 0, 0), LIST("dilations", 18, 0), NEEDED("kernel_shape", QB__ONNX_INTS, 1, 0),
     INT("p", 2, 0, 2), LIST("pads", 1, 0), LIST("strides", 1, 0))},
  {"MatMul", 0, TWO(1), NO_RULES},
  {"Max", 0, FORMS({1, 1, QB__ONNX_VARIADIC, 1, 1}), NO_RULES},
  {"MaxPool", 0, FORMS({1, 1, 1, 1, 1}, {8, 1, 1, 1, 2}), RULES(PADDING, INT("ceil_mode", 10, 0, 0), LIST("dilations", 10, 0),
     NEEDED("kernel_shape", QB__ONNX_INTS, 1, 0), LIST("pads", 1, 0), INT("storage_order", 8, 0, 0), LIST("strides", 1, 0))},
  {"Mean", 0, FORMS({1, 1, QB__ONNX_VARIADIC, 1, 1}), NO_RULES},
  {"Min", 0, FORMS({1, 1, QB__ONNX_VARIADIC, 1, 1}), NO_RULES},
  {"Mish", 0, ONE(18), NO_RULES},
  {"Mod", 0, TWO(10), RULES(INT("fmod", 10, 0, 0))},
  {"Mul", 0, TWO(7), NO_RULES},
  {"Neg", 0, ONE(1), NO_RULES},
  {"Not", 0, ONE(1), NO_RULES},
  {"OneHot", 0, FORMS({9, 3, 3, 1, 1}), RULES(INT("axis", 9, 0, -1))},
  {"Or", 0, TWO(7), NO_RULES},
  {"PRelu", 0, TWO(1), NO_RULES},
  {"Pad", 0, FORMS({2, 1, 1, 1, 1}, {11, 2, 3, 1, 1}, {18, 2, 4, 1, 1}), RULES(WORD("mode", 1, 18, "constant", "constant reflect edge"),
     WORD("mode", 19, 0, "constant", "constant reflect edge wrap"), NEEDED("pads", QB__ONNX_INTS, 2, 10), FLOAT("value", 1, 10, 0))},
  {"Pow", 0, TWO(7), NO_RULES},
  {"RMSNormalization", 0, TWO(23), RULES(INT("axis", 23, 0, -1), FLOAT("epsilon", 23, 0, 1e-5f), INT("stash_type", 23, 0, 1))},
  {"Range", 0, FORMS({11, 3, 3, 1, 1}), RULES(INT("stash_type", 27, 0, 1))},
  {"Reciprocal", 0, ONE(1), NO_RULES},
  {"ReduceL1", 0, REDUCED, REDUCTION},
  {"ReduceL2", 0, REDUCED, REDUCTION},
  {"ReduceLogSum", 0, REDUCED, REDUCTION},
  {"ReduceLogSumExp", 0, REDUCED, REDUCTION},
  {"ReduceMax", 0, REDUCED, REDUCTION},
  {"ReduceMean", 0, REDUCED, REDUCTION},
  {"ReduceMin", 0, REDUCED, REDUCTION},
  {"ReduceProd", 0, REDUCED, REDUCTION},
  {"ReduceSum", 0, FORMS({1, 1, 1, 1, 1}, {13, 1, 2, 1, 1}), RULES(LIST("axes", 1, 12), INT("keepdims", 1, 0, 1), INT("noop_with_empty_axes", 13, 0, 0))},
  {"ReduceSumSquare", 0, REDUCED, REDUCTION},
  {"Relu", 0, ONE(1), NO_RULES},
  {"Reshape", 0, FORMS({5, 2, 2, 1, 1}), RULES(INT("allowzero", 14, 0, 0))},
  {"Resize", 0, FORMS({10, 2, 2, 1, 1}, {11, 3, 4, 1, 1}, {13, 1, 4, 1, 1}), RULES(INT("antialias", 18, 0, 0), LIST("axes", 18, 0),
     WORD("coordinate_transformation_mode", 11, 18, "half_pixel", PLACING),
     WORD("coordinate_transformation_mode", 19, 0, "half_pixel", PLACING_19), FLOAT("cubic_coeff_a", 11, 0, -0.75f), INT("exclude_outside", 11, 0, 0),
     FLOAT("extrapolation_value", 11, 0, 0), WORD("keep_aspect_ratio_policy", 18, 0, "stretch", "stretch not_larger not_smaller"),
     WORD("mode", 10, 10, "nearest", "nearest linear"), WORD("mode", 11, 0, "nearest", "nearest linear cubic"),
     WORD("nearest_mode", 11, 0, "round_prefer_floor", "round_prefer_floor round_prefer_ceil floor ceil"))},
  {"Round", 0, ONE(11), NO_RULES},
  {"ScatterND", 0, FORMS({11, 3, 3, 1, 1}), RULES(WORD("reduction", 16, 17, "none", "none add mul"), WORD("reduction", 18, 0, "none", "none add mul max min"))},
  {"Selu", 0, ONE(1), RULES(FLOAT("alpha", 1, 0, 1.67326319217681884765625f), FLOAT("gamma", 1, 0, 1.05070102214813232421875f))},
  {"Shape", 0, ONE(1), RULES(ANY("end", QB__ONNX_INT, 15, 0), INT("start", 15, 0, 0))},
  {"Sigmoid", 0, ONE(1), NO_RULES},
  {"Sign", 0, ONE(9), NO_RULES},
  {"Sin", 0, ONE(7), NO_RULES},
  {"Size", 0, ONE(1), NO_RULES},
  {"Slice", 0, FORMS({1, 1, 1, 1, 1}, {10, 3, 5, 1, 1}), RULES(LIST("axes", 1, 9), NEEDED("ends", QB__ONNX_INTS, 1, 9), NEEDED("starts", QB__ONNX_INTS, 1, 9))},
  {"Softmax", 0, ONE(1), RULES(INT("axis", 1, 12, 1), INT("axis", 13, 0, -1))},
  {"Softplus", 0, ONE(1), NO_RULES},
  {"Softsign", 0, ONE(1), NO_RULES},
  {"SpaceToDepth", 0, ONE(1), RULES(NEEDED("blocksize", QB__ONNX_INT, 1, 0))},
  {"Split", 0, FORMS({2, 1, 1, 1, QB__ONNX_VARIADIC}, {13, 1, 2, 1, QB__ONNX_VARIADIC}), RULES(INT("axis", 1, 0, 0), ANY("num_outputs", QB__ONNX_INT, 18, 0), LIST("split", 1, 12))},
  {"Sqrt", 0, ONE(1), NO_RULES},
  {"Squeeze", 0, FORMS({1, 1, 1, 1, 1}, {13, 1, 2, 1, 1}), RULES(LIST("axes", 1, 12))},
  {"Sub", 0, TWO(7), NO_RULES},
  {"Sum", 0, FORMS({1, 1, QB__ONNX_VARIADIC, 1, 1}), NO_RULES},
  {"Swish", 0, ONE(24), RULES(FLOAT("alpha", 24, 0, 1))},
  {"Tanh", 0, ONE(1), NO_RULES},
  {"ThresholdedRelu", 0, ONE(10), RULES(FLOAT("alpha", 10, 0, 1))},
  {"Tile", 0, TWO(6), NO_RULES},
  {"Transpose", 0, ONE(1), RULES(LIST("perm", 1, 0))},
  {"Trilu", 0, FORMS({14, 1, 2, 1, 1}), RULES(INT("upper", 14, 0, 1))},
  {"Unsqueeze", 0, FORMS({1, 1, 1, 1, 1}, {13, 2, 2, 1, 1}), RULES(NEEDED("axes", QB__ONNX_INTS, 1, 12))},
  {"Upsample", 9, FORMS({7, 1, 1, 1, 1}, {9, 2, 2, 1, 1}), RULES(WORD("mode", 1, 0, "nearest", "nearest linear"), NEEDED("scales", QB__ONNX_FLOATS, 7, 8))},
  {"Where", 0, FORMS({9, 3, 3, 1, 1}), NO_RULES},
  {"Xor", 0, TWO(7), NO_RULES},
};
/* clang-format on */

const size_t qb__onnx_schema_count = sizeof qb__onnx_schemas / sizeof *qb__onnx_schemas;
