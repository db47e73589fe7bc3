/* SPDX-License-Identifier: Apache-2.0 */
/* What became of a sample, and so of its row. */
#ifndef TOOL_ROW_STATE_H
#define TOOL_ROW_STATE_H

#include <stdint.h>

enum {
  ROW_OK,
  ROW_UNREADABLE, /* zeros were run in its place */
  ROW_NOT_FINITE  /* QB_SAMPLE_NOT_FINITE */
};
typedef uint8_t row_state; /* one of them */

typedef struct row_counts {
  uint64_t unreadable, not_finite;
} row_counts;

static inline void row_count(row_counts *counts, row_state state)
{
  counts->unreadable += state == ROW_UNREADABLE;
  counts->not_finite += state == ROW_NOT_FINITE;
}

/* What a round told of samples that were read. */
static inline void row_note_flags(row_state *states, const uint32_t *flags, uint32_t count)
{
  for (uint32_t i = 0; i < count; i++)
    if (states[i] == ROW_OK && flags[i])
      states[i] = ROW_NOT_FINITE;
}

#endif
