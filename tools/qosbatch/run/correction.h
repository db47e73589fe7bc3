/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Corrects the batch size of a job that is slower than planned. If rounds of the planned size take
 * longer than the profile says, another size may be better now; the only way to know is to try. So
 * up to two others, the best of the profile, are run for a while where that costs little against
 * what is left, and the fastest of those seen is kept. On a machine that is slower as a whole all
 * are slower alike, and the planned size stays.
 */
#ifndef TOOL_CORRECTION_H
#define TOOL_CORRECTION_H

#include <stdbool.h>
#include <stdint.h>

enum { CORRECTION_MOST_BATCHES = 64 };

typedef struct correction_batch {
  uint32_t batch;
  double planned_ns;  /* time per sample, of all instances together */
  double observed_ns; /* 0: not tried */
  int64_t prepare_ns;
} correction_batch;

typedef struct correction {
  correction_batch batches[CORRECTION_MOST_BATCHES];
  uint32_t count, current; /* index of the batch size that is being run; the planned one at first */
  uint32_t tries;
  bool settled; /* nothing more will change */
} correction;

/*
 * To be called once the pace of the current batch size is known, and `left_ns` is what is left at
 * that pace. Returns the batch size to go on with.
 */
uint32_t correction_choose(correction *self, double observed_ns, int64_t left_ns);

#endif
