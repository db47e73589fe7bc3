/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many samples of a round pass through the network together. More of them share what is read
 * of the weights, fewer keep their activations in the caches: what is the fastest is found by
 * running it.
 */
#ifndef QB_ENGINE_MICROBATCH_H
#define QB_ENGINE_MICROBATCH_H

#include <stddef.h>
#include <stdint.h>

enum { QB__MOST_MICROBATCHES = 8 };

/* What a network reads and writes. */
typedef struct qb__network_bytes {
  double activations; /* of a sample: the most that exist at the same time */
  double traffic;     /* of a sample: activations read and written */
  double weights;     /* read once for all samples that pass through the network together */
} qb__network_bytes;

/*
 * The microbatch sizes, in ascending order, that a trial compares for rounds of `batch` samples;
 * returns their number, 0 where a trial is pointless. The last size stands for all larger ones.
 */
size_t qb__microbatch_candidates(uint32_t batch, const qb__network_bytes *bytes,
                                 uint32_t sizes[QB__MOST_MICROBATCHES]);

#endif
