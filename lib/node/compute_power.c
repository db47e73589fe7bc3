/* SPDX-License-Identifier: Apache-2.0 */
#include "node/compute_power.h"

#include "core/hooks.h"
#include "node/measuring.h"
#include "node/yardstick.h"

#include <time.h>

/* Long enough for a core to reach its clock under vector load, short enough for several passes. */
enum { PIECE_US = 4000, FEWEST_PASSES = 3, MOST_PASSES = 25 };

static double work(void *argument, uint32_t index, uint32_t threads)
{
  (void)index, (void)threads;
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  const double per_s = qb__yardstick(*(const qb_isa *)argument, PIECE_US);
  clock_gettime(CLOCK_MONOTONIC, &after);
  return per_s *
         ((double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec));
}

/* Keeps the order of the measured table: by instruction set, then by threads. */
static void raise_to_lower_isa(qb__sustained *table, size_t count, size_t thread_counts)
{
  for (size_t i = thread_counts; i < count; i++)
    if (table[i].per_s < table[i - thread_counts].per_s)
      table[i].per_s = table[i - thread_counts].per_s;
}

qb_status qb__measure_compute(const qb_context *context, const qb__topology *topology,
                              uint32_t most, int64_t budget_ns,
                              qb__sustained table[QB__MOST_COMPUTE], size_t *count)
{
  uint32_t threads[QB__MOST_THREAD_COUNTS];
  const size_t thread_counts = qb__thread_counts(most, threads);
  size_t entries = 0;
  for (qb_isa isa = QB_ISA_GENERIC; isa <= qb__best_isa(); isa++)
    for (size_t t = 0; t < thread_counts; t++) {
      const qb__sustained entry = {isa, threads[t], 0};
      table[entries++] = entry;
    }
  const int64_t start_ns = qb__now_ns(context);
  for (int pass = 0; pass < MOST_PASSES; pass++) {
    if (pass >= FEWEST_PASSES && qb__now_ns(context) - start_ns >= budget_ns)
      break;
    for (size_t i = 0; i < entries; i++) {
      double per_s;
      const qb_status status =
          qb__measure_together(context, topology, table[i].threads, work, &table[i].isa, &per_s);
      if (status)
        return status;
      if (per_s > table[i].per_s)
        table[i].per_s = per_s;
    }
  }
  raise_to_lower_isa(table, entries, thread_counts);
  *count = entries;
  return QB_OK;
}
