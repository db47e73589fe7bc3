/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/microbatch.h"

/*
 * Activations of fewer bytes stay in a core's own cache, which they share with weights; those of
 * more are in no cache that is shared with others.
 */
static const double FEW_BYTES = 1 << 20, MANY_BYTES = 1 << 25;

/* A size is left out where reading the weights again costs more than it can gain. */
size_t qb__microbatch_candidates(uint32_t batch, const qb__network_bytes *bytes,
                                 uint32_t sizes[QB__MOST_MICROBATCHES])
{
  size_t count = 0;
  if (batch * bytes->activations <= FEW_BYTES)
    return 0;
  for (uint32_t size = 1; size <= batch && count < QB__MOST_MICROBATCHES; size *= 2) {
    if (size * bytes->activations > FEW_BYTES / 2 && size * bytes->traffic > bytes->weights)
      sizes[count++] = size;
    if (size * bytes->activations > MANY_BYTES)
      break;
  }
  return count > 1 ? count : 0;
}
