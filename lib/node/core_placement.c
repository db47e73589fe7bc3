/* SPDX-License-Identifier: Apache-2.0 */
#include "node/core_placement.h"

#include "core/alloc.h"
#include "node/node_impl.h"

/* Measurements that are this close together may be of the same core: qb__measure_passes(). */
static const double ALIKE = 0.9;

static uint32_t core_with(const qb__topology *t, uint16_t cpu)
{
  uint32_t core = 0;
  while (core < t->core_count && t->cpus[core] != cpu)
    core++;
  return core;
}

void qb__rank_cores(qb__topology *topology, const qb_node *node)
{
  uint32_t known = 0;
  for (size_t i = 0; node && i < node->core_count; i++)
    known += core_with(topology, node->cores[i].cpu) < topology->core_count;
  if (!known || known < topology->core_count)
    return;
  uint8_t kind = 0;
  double fastest = 0; /* of the kind */
  for (size_t i = 0; i < node->core_count; i++) {
    const qb__core_speed *c = &node->cores[i];
    const uint32_t core = core_with(topology, c->cpu);
    if (core == topology->core_count)
      continue;
    if (c->flops_per_s < ALIKE * fastest && kind < UINT8_MAX) {
      kind++;
      fastest = 0;
    }
    fastest = fastest > 0 ? fastest : c->flops_per_s;
    topology->kinds[core] = kind;
  }
}

/* Cores that are free, of those of a NUMA node, or of any (-1), and of these kinds. */
typedef struct pool {
  int node, fastest, slowest;
} pool;

static bool is_in(const qb__topology *t, uint32_t core, const pool *p)
{
  return (p->node < 0 || t->nodes[core] == p->node) && t->kinds[core] >= p->fastest &&
         t->kinds[core] <= p->slowest;
}

static uint32_t free_in(const qb__topology *t, const bool *taken, const pool *p)
{
  uint32_t count = 0;
  for (uint32_t core = 0; core < t->core_count; core++)
    count += !taken[core] && is_in(t, core, p);
  return count;
}

/* Of nodes that have enough of these kinds, the one with the most. */
static bool find_node(const qb__topology *t, const bool *taken, uint32_t threads, pool *found)
{
  uint32_t most = threads - 1;
  for (int node = 0; node < (int)t->numa_nodes; node++) {
    const pool p = {node, found->fastest, found->slowest};
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
  for (pool p = {-1, 0, 0}; p.slowest <= slowest; p.slowest++)
    if (find_node(t, taken, threads, &p)) {
      const pool alike = {p.node, p.slowest, p.slowest};
      return free_in(t, taken, &alike) >= threads ? alike : p;
    }
  return (pool){-1, 0, slowest};
}

/* The faster ones first, and neighbours, as the topology has them. */
static void take(const qb__topology *t, bool *taken, const pool *from, uint32_t threads,
                 uint16_t *cpus)
{
  uint32_t count = 0;
  for (int kind = from->fastest; count < threads && kind <= from->slowest; kind++)
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
