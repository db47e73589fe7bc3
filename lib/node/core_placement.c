/* SPDX-License-Identifier: Apache-2.0 */
#include "node/core_placement.h"

#include "core/alloc.h"

/* Cores that are free, of those that have this NUMA node and kind; -1 stands for any. */
typedef struct pool {
  int node, kind;
} pool;

static bool is_in(const qb__topology *t, uint32_t core, const pool *p)
{
  return (p->node < 0 || t->nodes[core] == p->node) && (p->kind < 0 || t->kinds[core] == p->kind);
}

static uint32_t free_in(const qb__topology *t, const bool *taken, const pool *p)
{
  uint32_t count = 0;
  for (uint32_t core = 0; core < t->core_count; core++)
    count += !taken[core] && is_in(t, core, p);
  return count;
}

/* Of pools of a kind that have enough, the one with the most. */
static bool find_node(const qb__topology *t, const bool *taken, uint32_t threads, pool *found)
{
  uint32_t most = threads - 1;
  for (int node = 0; node < (int)t->numa_nodes; node++) {
    const pool p = {node, found->kind};
    const uint32_t count = free_in(t, taken, &p);
    if (count > most) {
      most = count;
      found->node = node;
    }
  }
  return most >= threads;
}

static pool find_pool(const qb__topology *t, const bool *taken, uint32_t threads)
{
  int slowest = 0;
  for (uint32_t core = 0; core < t->core_count; core++)
    slowest = t->kinds[core] > slowest ? t->kinds[core] : slowest;
  pool p = {-1, 0};
  for (; p.kind <= slowest; p.kind++)
    if (find_node(t, taken, threads, &p))
      return p;
  p.kind = -1;
  (void)find_node(t, taken, threads, &p);
  return p;
}

/* Neighbours first, as the topology has them; of any kind the faster ones first. */
static void take(const qb__topology *t, bool *taken, const pool *from, uint32_t threads,
                 uint16_t *cpus)
{
  uint32_t count = 0;
  for (int kind = 0; count < threads && kind <= UINT8_MAX; kind++)
    for (uint32_t core = 0; core < t->core_count && count < threads; core++)
      if (!taken[core] && t->kinds[core] == kind && is_in(t, core, from)) {
        taken[core] = true;
        cpus[count++] = t->cpus[core];
      }
}

qb_status qb__place_instances(const qb_context *context, const qb__topology *topology,
                              uint32_t instances, uint32_t threads, uint16_t *cpus)
{
  bool *taken = qb__calloc(context, topology->core_count, sizeof *taken);
  if (!taken)
    return QB_ERROR_NO_MEMORY;
  for (uint32_t i = 0; i < instances; i++) {
    const pool from = find_pool(topology, taken, threads);
    take(topology, taken, &from, threads, cpus + (size_t)i * threads);
  }
  qb__free(context, taken);
  return QB_OK;
}
