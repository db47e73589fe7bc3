/* SPDX-License-Identifier: Apache-2.0 */
#include "node/compute_power.h"

#include "node/measuring.h"
#include "node/sustained.h"
#include "node/tiles.h"
#include "node/yardstick.h"

#include <math.h>
#include <stdbool.h>
#include <time.h>

/* Long enough for a core to reach its clock under vector load, short enough for several passes. */
enum { PIECE_US = 4000 };

typedef struct crew {
  const qb_context *context;
  const qb__topology *topology;
  qb__sustained full; /* what cores are compared by */
  double *core_flops;
} crew;

/* What is measured, by as many threads as it says, on the cores from `first` on. */
typedef struct piece {
  const qb__sustained *entry;
  uint32_t first, core_count;
  double *core_flops; /* NULL: it says nothing of single cores */
} piece;

static double work(void *argument, uint32_t index, uint32_t threads)
{
  (void)threads;
  const piece *p = argument;
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  const double per_s = qb__yardstick(p->entry->isa, p->entry->precision, PIECE_US);
  clock_gettime(CLOCK_MONOTONIC, &after);
  if (p->core_flops && index < p->core_count) {
    double *best = &p->core_flops[(p->first + index) % p->core_count];
    *best = fmax(*best, per_s);
  }
  return per_s *
         ((double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec));
}

static qb_status measure_from(const crew *all, const qb__sustained *entry, uint32_t first,
                              double *per_s)
{
  const bool full = entry->isa == all->full.isa && entry->precision == all->full.precision &&
                    entry->threads == all->full.threads;
  piece p = {entry, first, all->topology->core_count, full ? all->core_flops : NULL};
  return qb__measure_together(all->context, all->topology, first, entry->threads, work, &p, per_s);
}

/* Each pass goes on where the one before ended: few threads are not those of one core that is busy or slow. */
static qb_status measure(void *user, const qb__sustained *entry, uint32_t pass, double *per_s)
{
  const crew *all = user;
  return measure_from(all, entry, pass * entry->threads % all->topology->core_count, per_s);
}

/* Where a quota or a reserve leaves out so many cores that the passes were too few for all. */
static qb_status measure_other_cores(const crew *all)
{
  qb_status status = QB_OK;
  double ignored;
  for (uint32_t core = 0; core < all->topology->core_count && !status; core++)
    if (!(all->core_flops[core] > 0))
      status = measure_from(all, &all->full, core, &ignored);
  return status;
}

/* Keeps the order of the measured table: by precision, then instruction set, then threads. */
static void raise_to_lower_isa(qb__sustained *table, size_t count, size_t thread_counts)
{
  for (size_t i = thread_counts; i < count; i++)
    if (table[i].precision == table[i - thread_counts].precision &&
        table[i].per_s < table[i - thread_counts].per_s)
      table[i].per_s = table[i - thread_counts].per_s;
}

/* Cores that idle beside others do not take anything from them. */
static void raise_to_fewer_threads(qb__sustained *table, size_t count)
{
  for (size_t i = 1; i < count; i++)
    if (table[i].isa == table[i - 1].isa && table[i].precision == table[i - 1].precision &&
        table[i].per_s < table[i - 1].per_s)
      table[i].per_s = table[i - 1].per_s;
}

/* Every instruction set and precision that there is a loop for, with every number of threads. */
static size_t list_entries(const uint32_t *threads, size_t thread_counts, qb__sustained *table)
{
  size_t entries = 0;
  for (qb_precision p = QB_PRECISION_F32; p <= QB_PRECISION_INT8; p++)
    for (qb_isa isa = QB_ISA_GENERIC; isa <= qb__best_isa(); isa++)
      for (size_t t = 0; t < thread_counts && qb__yardstick_has(isa, p); t++)
        table[entries++] = (qb__sustained){isa, threads[t], 0, p};
  return entries;
}

qb_status qb__measure_compute(const qb_context *context, const qb__topology *topology,
                              uint32_t most, int64_t budget_ns,
                              qb__sustained table[QB__MOST_COMPUTE], size_t *count,
                              double *core_flops)
{
  uint32_t threads[QB__MOST_THREAD_COUNTS];
  const size_t thread_counts = qb__thread_counts(most, threads);
  qb__ask_for_tiles();
  const size_t entries = list_entries(threads, thread_counts, table);
  crew all = {context, topology, {qb__best_isa(), most, 0, QB_PRECISION_F32}, core_flops};
  qb_status status =
      qb__measure_passes(context, "compute power", measure, &all, budget_ns, table, entries);
  if (!status)
    status = measure_other_cores(&all);
  if (status)
    return status;
  raise_to_fewer_threads(table, entries);
  raise_to_lower_isa(table, entries, thread_counts);
  *count = entries;
  return QB_OK;
}
