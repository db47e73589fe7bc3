/* SPDX-License-Identifier: Apache-2.0 */
/* The batch sizes that a search looks at. */
#ifndef QB_QUEUE_SIZE_LADDER_H
#define QB_QUEUE_SIZE_LADDER_H

#include <stdint.h>

/*
 * The size after this one: all up to twice `per_octave`, beyond them `per_octave` to an octave, and
 * `most` as the last; 0 after that. for (n = 1; n; n = qb__next_size(n, most, per_octave))
 */
static inline uint32_t qb__next_size(uint32_t size, uint32_t most, uint32_t per_octave)
{
  if (size >= most)
    return 0;
  uint32_t step = 1;
  for (uint32_t octave = 2 * per_octave; octave <= size; octave *= 2)
    step = octave / per_octave;
  return size + step < most ? size + step : most;
}

#endif
