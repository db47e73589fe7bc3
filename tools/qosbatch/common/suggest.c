/* SPDX-License-Identifier: Apache-2.0 */
#include "common/suggest.h"

#include <string.h>

enum { LONGEST = 40 };

static size_t least(size_t a, size_t b)
{
  return a < b ? a : b;
}

/* Damerau's and Levenshtein's distance, where no part of a word is edited twice. */
static size_t edits_between(const char *a, size_t a_length, const char *b, size_t b_length)
{
  size_t d[LONGEST + 1][LONGEST + 1];
  for (size_t i = 0; i <= a_length; i++)
    for (size_t j = 0; j <= b_length; j++) {
      if (!i || !j) {
        d[i][j] = i + j;
        continue;
      }
      const size_t changed = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      d[i][j] = least(changed, 1 + least(d[i - 1][j], d[i][j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a_length][b_length];
}

void suggest(suggestion *best, const char *written, const char *word)
{
  const size_t a = strlen(written), b = strlen(word);
  if (a < 2 || a > LONGEST || b > LONGEST)
    return;
  /* The beginning of one word is close, too. */
  const size_t edits = !strncmp(written, word, a) ? 1 : edits_between(written, a, word, b);
  if (edits <= (a + 2) / 3 && (!best->word || edits < best->edits))
    *best = (suggestion){word, edits};
}
