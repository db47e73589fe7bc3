/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bandwidth.h"

#include "core/alloc.h"
#include "node/measuring.h"
#include "node/sustained.h"

/* Of the three arrays together: several times the cache, and no burden to a small machine. */
static const uint64_t LEAST_BYTES = 96u << 20, MOST_BYTES = 768u << 20;

/* Vectors, as some compilers take single elements, which is slower than memory is. */
typedef float vector __attribute__((vector_size(16)));

typedef struct triad {
  vector *a, *b, *c;
  size_t elements;
} triad;

static void slice(const triad *t, uint32_t index, uint32_t threads, size_t *first, size_t *end)
{
  *first = t->elements / threads * index;
  *end = index + 1 == threads ? t->elements : t->elements / threads * (index + 1);
}

static double touch(void *argument, uint32_t index, uint32_t threads)
{
  triad *t = argument;
  size_t first, end;
  slice(t, index, threads, &first, &end);
  for (size_t i = first; i < end; i++) {
    t->a[i] = (vector){0, 0, 0, 0};
    t->b[i] = (vector){1, 1, 1, 1};
    t->c[i] = (vector){2, 2, 2, 2};
  }
  return 0;
}

static double run(void *argument, uint32_t index, uint32_t threads)
{
  triad *t = argument;
  size_t first, end;
  slice(t, index, threads, &first, &end);
  const vector s = {3, 3, 3, 3};
  vector *restrict a = t->a;
  const vector *restrict b = t->b, *restrict c = t->c;
  for (size_t i = first; i < end; i++)
    a[i] = b[i] + s * c[i];
  __asm__ volatile("" ::"r"(a) : "memory"); /* the result counts as used */
  return 3.0 * sizeof(vector) * (double)(end - first);
}

typedef struct crew {
  const qb_context *context;
  const qb__topology *topology;
  triad *triad;
} crew;

/* Always on the same cores, near the memory that they touched first. */
static qb_status measure(void *user, const qb__sustained *entry, uint32_t pass, double *per_s)
{
  (void)pass;
  const crew *all = user;
  return qb__measure_together(all->context, all->topology, 0, entry->threads, run, all->triad,
                              per_s);
}

qb_status qb__measure_bandwidth(const qb_context *context, const qb__topology *topology,
                                uint32_t most, int64_t budget_ns,
                                qb__sustained table[QB__MOST_BANDWIDTH], size_t *count)
{
  /* Of all cores: otherwise slices of many threads would fit in their caches. */
  uint64_t bytes = 4 * topology->l3_bytes * (topology->last_caches ? topology->last_caches : 1);
  bytes = bytes < LEAST_BYTES ? LEAST_BYTES : bytes > MOST_BYTES ? MOST_BYTES : bytes;
  if (topology->memory_bytes && bytes > topology->memory_bytes / 8)
    bytes = topology->memory_bytes / 8;
  triad t = {.elements = bytes / 3 / sizeof(vector)};
  t.a = qb__alloc_aligned(context, t.elements * sizeof(vector), 4096);
  t.b = t.a ? qb__alloc_aligned(context, t.elements * sizeof(vector), 4096) : NULL;
  t.c = t.b ? qb__alloc_aligned(context, t.elements * sizeof(vector), 4096) : NULL;
  qb_status status = t.c ? QB_OK : QB_ERROR_NO_MEMORY;

  uint32_t threads[QB__MOST_THREAD_COUNTS];
  const size_t entries = qb__thread_counts(most, threads);
  for (size_t i = 0; i < entries; i++) {
    const qb__sustained entry = {QB_ISA_BEST, threads[i], 0};
    table[i] = entry;
  }
  double per_s;
  if (!status)
    status = qb__measure_together(context, topology, 0, most, touch, &t, &per_s);
  crew all = {context, topology, &t};
  if (!status)
    status =
        qb__measure_passes(context, "memory bandwidth", measure, &all, budget_ns, table, entries);
  qb__free(context, t.a);
  qb__free(context, t.b);
  qb__free(context, t.c);
  if (!status)
    *count = entries;
  return status;
}
