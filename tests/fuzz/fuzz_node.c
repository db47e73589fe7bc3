/* SPDX-License-Identifier: Apache-2.0 */
/* A node that is accepted has what a node needs. */
#include "fuzz/fuzz.h"
#include "node/node_store.h"

#include <qosbatch/inspect.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
  qb_context *context;
  qb_node *node;
  FUZZ_EXPECT(!qb_context_new(NULL, &context));
  if (!qb__node_parse(context, "fuzz", (const char *)data, bytes, &node)) {
    qb_node_info info = QB_NODE_INFO_INIT;
    FUZZ_EXPECT(!qb_node_get_info(node, &info));
    FUZZ_EXPECT(info.usable_threads >= 1 && info.usable_threads <= info.cores);
    double per_s;
    if (!qb_node_get_compute(node, info.usable_threads, QB_ISA_BEST, QB_PRECISION_F32, &per_s))
      FUZZ_EXPECT(per_s > 0);
    if (!qb_node_get_bandwidth(node, info.usable_threads, &per_s))
      FUZZ_EXPECT(per_s > 0);
    qb_node_unref(node);
  }
  qb_context_unref(context);
  return 0;
}
