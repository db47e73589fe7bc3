/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs as ONNX files. */
#ifndef QB_MODEL_ONNX_WRITE_H
#define QB_MODEL_ONNX_WRITE_H

#include "model/graph.h"

/*
 * A graph as an ONNX model of standard operators: opset 13, IR 8, the batch first in all inputs and
 * outputs, and open as "N". What is fused becomes operators of its own. A layer that reads what a
 * DequantizeLinear writes, and whose weights are multiples of a step that 8 bits hold, has weights
 * in 8 bits and a bias in 32.
 *
 * @param[out] data to be released with qb__free()
 * @return QB_OK; QB_ERROR_UNSUPPORTED (layers of integers, which the standard has in other forms);
 * QB_ERROR_OVERFLOW (2 GiB); QB_ERROR_NO_MEMORY
 */
qb_status qb__onnx_write(const qb__graph *graph, const char *name, uint8_t **data, size_t *bytes);

#endif
