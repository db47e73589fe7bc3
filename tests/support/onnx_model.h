/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX models written down in a few lines. Running out of memory ends the program. */
#ifndef QB_SUPPORT_ONNX_MODEL_H
#define QB_SUPPORT_ONNX_MODEL_H

#include "onnx.pb-c.h"

#include <stdint.h>

/* An empty model of a version of the standard operators. */
Onnx__ModelProto *onnx_model_new(int64_t opset);

/* Dimensions are "N,3,8,8": names are symbolic; "" is a scalar. Elements are 32-bit floats. */
void onnx_model_input(Onnx__ModelProto *model, const char *name, const char *dims);
void onnx_model_output(Onnx__ModelProto *model, const char *name);

/* Constants: given values, or as many pseudo-random ones around 0 as the dimensions need. */
Onnx__TensorProto *onnx_model_floats(Onnx__ModelProto *model, const char *name, const char *dims,
                                     const float *values);
Onnx__TensorProto *onnx_model_ints(Onnx__ModelProto *model, const char *name, const char *values);
/* Of a TensorProto.DataType of at most 32 bits; "1,-2". */
Onnx__TensorProto *onnx_model_integers(Onnx__ModelProto *model, const char *name, const char *dims,
                                       int32_t type, const char *values);
Onnx__TensorProto *onnx_model_random(Onnx__ModelProto *model, const char *name, const char *dims);

/*
 * A node, named like its first output. Inputs and outputs are separated by blanks, "-" is one left
 * out. Attributes are "axis=1 alpha=0.5 pads=1,1,0,0 mode=edge": integers, floats where there is a
 * point, lists where there is a comma (a trailing one makes a list of one), else texts.
 */
Onnx__NodeProto *onnx_model_node(Onnx__ModelProto *model, const char *type, const char *inputs,
                                 const char *outputs, const char *attributes);

/* The model as bytes for free(); the model is freed. */
uint8_t *onnx_model_pack(Onnx__ModelProto *model, size_t *bytes);

#endif
