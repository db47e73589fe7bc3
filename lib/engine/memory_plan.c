/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/memory_plan.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"

#include <stdlib.h>

static size_t rounded(size_t bytes)
{
  const size_t mask = QB__REGION_ALIGNMENT - 1;
  return (bytes + mask) & ~mask;
}

static int larger_first(const void *a, const void *b)
{
  const qb__region *x = *(qb__region *const *)a, *y = *(qb__region *const *)b;
  if (x->bytes != y->bytes)
    return x->bytes < y->bytes ? 1 : -1;
  return x < y ? -1 : x > y; /* qsort is not stable */
}

static int lower_first(const void *a, const void *b)
{
  const qb__region *x = *(qb__region *const *)a, *y = *(qb__region *const *)b;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

qb_status qb__memory_plan(const qb_context *context, qb__region *regions, size_t count,
                          size_t *arena_bytes)
{
  size_t total = 0;
  for (size_t i = 0; i < count; i++)
    if (regions[i].bytes > SIZE_MAX / 4 ||
        !qb__add_size(total, rounded(regions[i].bytes), &total) || total > SIZE_MAX / 4)
      return qb__fail(QB_ERROR_OVERFLOW,
                      "the activations take more than %zu bytes; use a smaller batch",
                      SIZE_MAX / 4);

  qb__region **order = qb__calloc(context, count, sizeof *order);
  qb__region **placed = qb__calloc(context, count, sizeof *placed);
  qb_status status = QB_ERROR_NO_MEMORY;
  size_t end = 0;
  if (!order || !placed)
    goto done;
  for (size_t i = 0; i < count; i++)
    order[i] = &regions[i];
  if (count)
    qsort(order, count, sizeof(qb__region *), larger_first);

  for (size_t i = 0; i < count; i++) {
    qb__region *r = order[i];
    size_t alive = 0;
    for (size_t j = 0; j < i; j++)
      if (order[j]->first <= r->last && r->first <= order[j]->last)
        placed[alive++] = order[j];
    if (alive)
      qsort(placed, alive, sizeof(qb__region *), lower_first);
    r->offset = 0;
    for (size_t j = 0; j < alive && r->offset + rounded(r->bytes) > placed[j]->offset; j++) {
      const size_t after = placed[j]->offset + rounded(placed[j]->bytes);
      if (after > r->offset)
        r->offset = after;
    }
    if (r->offset + rounded(r->bytes) > end)
      end = r->offset + rounded(r->bytes);
  }
  *arena_bytes = end;
  status = QB_OK;
done:
  qb__free(context, order);
  qb__free(context, placed);
  return status;
}
