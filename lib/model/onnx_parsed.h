/* SPDX-License-Identifier: Apache-2.0 */
/* Between parsing a file and importing what was parsed. */
#ifndef QB_MODEL_ONNX_PARSED_H
#define QB_MODEL_ONNX_PARSED_H

#include "model/onnx.h"
#include "model/onnx_impl.h"

/*
 * Imports a model whose graph is there; its tensors are used up, and external data lies where the
 * source says. With `may_batch` the first
 * dimension is taken for the batch where inputs share it; *mixes is set, and the graph unfinished,
 * when a node shows that it is none.
 */
qb_status qb__onnx_import_parsed(Onnx__ModelProto *model, const qb__onnx_source *source,
                                 bool may_batch, qb__graph *graph, bool *mixes);

#endif
