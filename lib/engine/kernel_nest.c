/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel_impl.h"

#include <string.h>

/* Whether dimension i and the one behind it, of `next` elements, are one to each array. */
static bool are_one(const qb__nest *n, int arrays, int i, int64_t next)
{
  for (int a = 0; a < arrays; a++)
    if (n->strides[a][i] != n->strides[a][i + 1] * next)
      return false;
  return true;
}

/* All dimensions, but those of 1, with their strides; 0 where an array is repeated. */
static void lay_out(qb__nest *n, const qb__dims *to, const qb__dims *const *from, int arrays)
{
  int64_t steps[QB__MOST_REPEATED] = {1, 1, 1};
  for (int d = to->count; d-- > 0;) {
    const int at = QB__ONEDNN_DIMS - n->count - 1; /* filled from the end */
    for (int a = 0; a < arrays; a++) {
      n->strides[a][at] = from[a]->at[d] == 1 ? 0 : steps[a];
      steps[a] *= from[a]->at[d];
    }
    n->dims[at] = to->at[d];
    n->count += to->at[d] != 1;
  }
}

/* Joins neighbours from the last dimension on; the result begins at the front. */
static void join(qb__nest *n, int arrays)
{
  const int first = QB__ONEDNN_DIMS - n->count;
  int count = 0;
  for (int d = first; d < QB__ONEDNN_DIMS; d++) {
    const bool same = count && d > first && are_one(n, arrays, d - 1, n->dims[d]);
    count += !same;
    n->dims[count - 1] = same ? n->dims[count - 1] * n->dims[d] : n->dims[d];
    for (int a = 0; a < arrays; a++)
      n->strides[a][count - 1] = n->strides[a][d];
  }
  n->count = count;
}

void qb__nest_make(qb__nest *nest, const qb__dims *to, const qb__dims *const *from, int arrays)
{
  memset(nest, 0, sizeof *nest);
  lay_out(nest, to, from, arrays);
  join(nest, arrays);
  nest->row = nest->rows = 1;
  if (nest->count) {
    const int last = --nest->count;
    nest->row = nest->dims[last];
    for (int a = 0; a < arrays; a++)
      nest->whole[a] = nest->strides[a][last] != 0;
  }
  for (int d = 0; d < nest->count; d++)
    nest->rows *= nest->dims[d];
}

void qb__nest_offsets(const qb__nest *nest, int arrays, int64_t index, int64_t *offsets)
{
  memset(offsets, 0, (size_t)arrays * sizeof *offsets);
  for (int d = nest->count; d-- > 0;) {
    const int64_t at = index % nest->dims[d];
    index /= nest->dims[d];
    for (int a = 0; a < arrays; a++)
      offsets[a] += at * nest->strides[a][d];
  }
}
