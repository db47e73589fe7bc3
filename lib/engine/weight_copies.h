/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed weights once more in the memory of another NUMA node, for the instances there. Packed weights lie
 * where the first instance packs them: all others would read them from there, every round.
 */
#ifndef QB_ENGINE_WEIGHT_COPIES_H
#define QB_ENGINE_WEIGHT_COPIES_H

#include "engine/homes.h"
#include "engine/onednn.h"

#include <stdbool.h>

/* Those of one NUMA node. */
typedef struct qb__weight_copies {
  struct qb__weight_copy *entries;
  size_t count, capacity;
  uint64_t bytes;
} qb__weight_copies;

/*
 * Whether each NUMA node of the instances should have weights of its own (qb__copies_that_pay()).
 */
bool qb__weight_copies_pay(const qb__homes *homes, uint32_t instances, uint64_t weight_bytes);

/*
 * The copy of a memory of that layout, made now if there is none. A node's memory is that of the thread which
 * first writes to it: call it on a thread that is bound there. The original outlives the copy, which
 * belongs to the store.
 */
qb_status qb__weight_copy(const qb_context *context, struct dnnl_engine *engine,
                          qb__weight_copies *copies, struct dnnl_memory *original,
                          const qb__layout *layout, struct dnnl_memory **copy);

void qb__weight_copies_clear(const qb_context *context, qb__weight_copies *copies);

#endif
