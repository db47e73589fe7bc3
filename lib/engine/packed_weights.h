/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network's constants in the layouts its primitives want: one copy for all batches and instances.
 */
#ifndef QB_ENGINE_PACKED_WEIGHTS_H
#define QB_ENGINE_PACKED_WEIGHTS_H

#include "engine/onednn.h"

typedef struct qb__packed {
  const qb_context *context;
  struct dnnl_engine *engine;
  struct qb__packed_entry *entries;
  size_t count, capacity;
  uint64_t bytes;
} qb__packed;

void qb__packed_init(qb__packed *packed, const qb_context *context, struct dnnl_engine *engine);
void qb__packed_clear(qb__packed *packed);

/*
 * The layout a tensor of the graph was first packed in, or NULL: the same whatever batch sizes came
 * since. Valid until the next call.
 */
const qb__layout *qb__packed_layout(const qb__packed *packed, int32_t tensor);

/*
 * The memory of a constant of the graph in `layout`, packed now if it is not yet: its values are
 * row-major in `dims`, and divided by their steps where it has these. Dimensions of
 * qb__winograd_weights_dims() ask for what it is transformed to. The memory belongs to the store.
 */
qb_status qb__packed_get(qb__packed *packed, struct dnnl_stream *stream, const qb__graph *graph,
                         int32_t tensor, const qb__dims *dims, const qb__layout *layout,
                         struct dnnl_memory **memory);

#endif
