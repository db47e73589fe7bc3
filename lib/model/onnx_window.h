/* SPDX-License-Identifier: Apache-2.0 */
/* Sliding windows as nodes describe them, the same for convolutions and pools. */
#ifndef QB_MODEL_ONNX_WINDOW_H
#define QB_MODEL_ONNX_WINDOW_H

#include "model/onnx_map.h"

/* Elements from the first to the last that a window covers. */
int64_t qb__onnx_extent(const qb__window *window, int axis);

/* `count` integers of an attribute, or `otherwise` each; false after a problem. */
bool qb__onnx_spatial(qb__onnx *im, const qb__onnx_node *node, const char *name, int64_t *values,
                      int count, int64_t otherwise);

/* Keeps arithmetic on what a file claims far from overflow; false after a problem. */
bool qb__onnx_in_range(qb__onnx *im, const qb__onnx_node *node, const char *name,
                       const int64_t *values, int count, int64_t least);

/* The rest of a window whose kernel is set; pads are worked out for images of `size`. */
bool qb__onnx_read_window(qb__onnx *im, const qb__onnx_node *node, const int64_t *size, int count,
                          qb__window *window);

#endif
