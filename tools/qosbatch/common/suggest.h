/* SPDX-License-Identifier: Apache-2.0 */
/* What was meant by a word that is misspelled. */
#ifndef TOOL_SUGGEST_H
#define TOOL_SUGGEST_H

#include <stddef.h>

/*
 * Keeps the word that is closest to what was written: by letters to insert, leave out, change or
 * swap. Begin with an empty one.
 */
typedef struct suggestion {
  const char *word; /* NULL: none is close */
  size_t edits;
} suggestion;

void suggest(suggestion *best, const char *written, const char *word);

#endif
