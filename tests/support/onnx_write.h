/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs as ONNX files: what the importer reads back, and what other runtimes are timed with. */
#ifndef QB_SUPPORT_ONNX_WRITE_H
#define QB_SUPPORT_ONNX_WRITE_H

#include "model/graph.h"

/*
 * A graph as an ONNX model of standard operators: opset 14, IR 8, the batch symbolic as "N". What
 * is fused becomes operators of its own. To be released with free(); NULL without memory.
 */
uint8_t *onnx_write(const qb__graph *graph, size_t *bytes);

/* The same into a file; false when it cannot be written. */
bool onnx_write_file(const qb__graph *graph, const char *path);

#endif
