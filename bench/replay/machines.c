/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/machines.h"

#include "profile/splits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SMOOTH, BANDWIDTH, CLIFF, UNEQUAL, NOISY, MOST_CORES = 64, BATCHES = 7 };
const char *const machine_kinds[MACHINE_KINDS] = {"smooth", "bandwidth", "cliff", "unequal",
                                                  "noisy"};

typedef struct machine {
  int kind;
  uint32_t cores;
  double speed[MOST_CORES]; /* of each core, over the fastest; jitter of its own included */
  double core_flops_per_s;  /* of the fastest, alone */
  double turbo;             /* what a core loses while all run */
  double bytes_per_s, one_bytes_per_s; /* of all cores, of one */
  double cache_bytes;                  /* of all cores together */
  double flops, activation_bytes, live_bytes, weight_bytes;
  double layers, barrier_ns; /* what a layer costs, by thread */
  double grain;              /* samples a thread needs for half of its speed */
  double spread;             /* of single rounds */
} machine;

/* Evenly by ratio. */
static double between(qb__random_stream *random, double low, double high)
{
  return low * pow(high / low, qb__random_unit(random));
}

static machine draw(int kind, uint64_t seed)
{
  static const uint32_t cores[] = {4, 6, 8, 12, 16, 16, 24, 32, 48, 64};
  qb__random_stream random;
  qb__random_seed(&random, 1000 * (uint64_t)kind + seed);
  machine m = {.kind = kind,
               .cores = cores[qb__random_bits(&random) % (sizeof cores / sizeof *cores)]};
  const double slow = between(&random, 0.5, 0.8);
  for (uint32_t c = 0; c < m.cores; c++)
    m.speed[c] = exp(-fabs(0.02 * qb__random_normal(&random))) *
                 (kind == UNEQUAL && c >= m.cores / 2 ? slow : 1);
  m.core_flops_per_s = between(&random, 2e10, 1.2e11);
  m.turbo = between(&random, 0.02, 0.3);
  m.one_bytes_per_s = between(&random, 8e9, 2e10);
  m.bytes_per_s = m.one_bytes_per_s * m.cores *
                  (kind == BANDWIDTH ? between(&random, 0.05, 0.2) : between(&random, 0.3, 0.6));
  m.flops = between(&random, 5e8, 2e10);
  m.activation_bytes = m.flops * between(&random, 0.002, 0.01);
  m.weight_bytes = kind == BANDWIDTH ? between(&random, 5e7, 4e8) : between(&random, 5e6, 1e8);
  m.live_bytes = m.activation_bytes * between(&random, 0.1, 0.3);
  m.cache_bytes =
      kind == CLIFF ? m.live_bytes * between(&random, 1, 2) * m.cores : between(&random, 1e8, 1e9);
  m.layers = between(&random, 10, 150);
  m.barrier_ns = between(&random, 1e3, 8e3);
  m.grain = between(&random, 0.01, 0.15);
  m.spread = kind == NOISY ? between(&random, 0.1, 0.3) : between(&random, 0.02, 0.08);
  return m;
}

/* Of an instance whose slowest core, which the others wait for, has this speed. */
static double round_ns(const machine *m, uint32_t instances, uint32_t threads, uint32_t batch,
                       double speed)
{
  const double busy = (double)instances * threads / m->cores, each = (double)batch / threads;
  const double core = m->core_flops_per_s * speed * (1 - m->turbo * busy);
  const double compute_s = m->flops * each / core * (1 + m->grain / each);
  const double live = batch * m->live_bytes, share = m->cache_bytes / instances;
  const double spilt = live > share ? 4 * (live - share) / live : 0;
  const double most = fmin(threads * m->one_bytes_per_s, m->bytes_per_s / instances);
  const double memory_s =
      (batch * m->activation_bytes * (m->kind == CLIFF ? 0.5 + spilt : 1) + m->weight_bytes) / most;
  return 1e9 * (fmax(compute_s, memory_s) + 0.3 * fmin(compute_s, memory_s)) +
         m->layers * m->barrier_ns * (1 + log2(threads));
}

static int rising(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static table_point measured(const machine *m, const qb_configuration *split, uint32_t batch)
{
  double each_ns[MOST_CORES], mean_ns = 0;
  for (uint32_t i = 0; i < split->instances; i++) {
    double speed = 1;
    for (uint32_t c = i * split->threads; c < (i + 1) * split->threads; c++)
      speed = fmin(speed, m->speed[c]);
    each_ns[i] = round_ns(m, split->instances, split->threads, batch, speed);
    mean_ns += each_ns[i] / split->instances;
  }
  qsort(each_ns, split->instances, sizeof *each_ns, rising);
  const double median_ns = each_ns[split->instances / 2];
  const double slow_ns = each_ns[(size_t)(0.95 * (split->instances - 1) + 0.5)];
  return (table_point){split->instances,
                       split->threads,
                       batch,
                       median_ns,
                       fmax(slow_ns, median_ns) * (1 + 1.645 * m->spread),
                       fmax(mean_ns, median_ns) * (1 + 0.5 * m->spread),
                       0};
}

bool machine_made(const char *kind, uint64_t seed, table *made)
{
  int which = 0;
  while (which < MACHINE_KINDS && strcmp(kind, machine_kinds[which]))
    which++;
  if (which == MACHINE_KINDS)
    return false;
  const machine m = draw(which, seed);
  const qb_node_info node = {
      .cores = m.cores, .usable_threads = m.cores, .quota_cores = m.cores, .numa_nodes = 1};
  qb_configuration splits[QB__MOST_SPLITS];
  const size_t count = qb__splits_of(&node, splits);
  table_point *points = calloc(count * BATCHES, sizeof *points);
  if (!points)
    exit(1);
  for (size_t i = 0; i < count * BATCHES; i++)
    points[i] = measured(&m, &splits[i / BATCHES], 1U << i % BATCHES);
  *made = table_of(points, count * BATCHES);
  return true;
}
