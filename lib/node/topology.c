/* SPDX-License-Identifier: Apache-2.0 */
#include "node/topology.h"

#include "core/error.h"

#include <hwloc.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static hwloc_obj_t last_cache(hwloc_obj_t pu)
{
  hwloc_obj_t found = NULL;
  for (hwloc_obj_t o = pu->parent; o; o = o->parent)
    if (hwloc_obj_type_is_dcache(o->type))
      found = o;
  return found;
}

static void read_caches(hwloc_obj_t pu, qb__topology *topology)
{
  uint64_t *const sizes[] = {&topology->l1d_bytes, &topology->l2_bytes, &topology->l3_bytes};
  for (hwloc_obj_t o = pu->parent; o; o = o->parent)
    if (hwloc_obj_type_is_dcache(o->type) && o->attr->cache.depth <= 3)
      *sizes[o->attr->cache.depth - 1] = o->attr->cache.size;
}

/* Some systems name the processor of each package, others that of the machine. */
static void read_name(hwloc_obj_t pu, qb__topology *topology)
{
  const char *name = NULL;
  for (hwloc_obj_t o = pu->parent; o && !name; o = o->parent)
    name = hwloc_obj_get_info_by_name(o, "CPUModel");
  if (!name || !*name)
    name = "unknown";
  strncat(topology->cpu, name, sizeof topology->cpu - 1);
}

static void add_core(hwloc_obj_t pu, hwloc_obj_t *cache, qb__topology *topology)
{
  if (topology->core_count == QB__MOST_CORES || pu->os_index > UINT16_MAX)
    return;
  const uint32_t i = topology->core_count++;
  topology->cpus[i] = (uint16_t)pu->os_index;
  topology->last_caches[i] = i ? topology->last_caches[i - 1] : 0;
  const hwloc_obj_t mine = last_cache(pu);
  if (mine && mine != *cache)
    topology->last_caches[i]++;
  *cache = mine;
  if (i == 0) {
    read_caches(pu, topology);
    read_name(pu, topology);
  }
}

static uint32_t count_numa_nodes(hwloc_topology_t machine, hwloc_const_cpuset_t usable)
{
  uint32_t count = 0;
  for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_NUMANODE, o));)
    count += hwloc_bitmap_intersects(o->cpuset, usable) ? 1 : 0;
  return count ? count : 1;
}

static uint64_t installed_memory(hwloc_topology_t machine)
{
  const uint64_t bytes = hwloc_get_root_obj(machine)->total_memory;
  if (bytes)
    return bytes;
  const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
}

qb_status qb__topology_from_hwloc(struct hwloc_topology *machine,
                                  const struct hwloc_bitmap_s *usable, qb__topology *topology)
{
  qb__topology made = {.numa_nodes = count_numa_nodes(machine, usable),
                       .memory_bytes = installed_memory(machine)};
  /* Where the system tells no cores, each hardware thread counts as one. */
  const bool has_cores = hwloc_get_nbobjs_by_type(machine, HWLOC_OBJ_CORE) > 0;
  hwloc_obj_t core = NULL, cache = NULL;
  for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_PU, pu));) {
    if (!hwloc_bitmap_isset(usable, pu->os_index))
      continue;
    made.hardware_threads++;
    const hwloc_obj_t mine =
        has_cores ? hwloc_get_ancestor_obj_by_type(machine, HWLOC_OBJ_CORE, pu) : pu;
    if (!mine || mine != core)
      add_core(pu, &cache, &made);
    core = mine;
  }
  if (!made.core_count)
    return qb__fail(QB_ERROR_SYSTEM, "no core of this machine is in the process's CPU affinity; "
                                     "widen it, or check the cpuset of the container");
  *topology = made;
  return QB_OK;
}

/* False when the system does not tell; then any core may be used. */
static bool read_affinity(hwloc_topology_t machine, hwloc_bitmap_t usable)
{
  return !hwloc_get_cpubind(machine, usable, HWLOC_CPUBIND_PROCESS) ||
         !hwloc_get_cpubind(machine, usable, HWLOC_CPUBIND_THREAD);
}

qb_status qb__topology_read(qb__topology *topology)
{
  qb_status status;
  hwloc_topology_t machine = NULL;
  hwloc_bitmap_t usable = hwloc_bitmap_alloc();
  if (!usable || hwloc_topology_init(&machine)) {
    machine = NULL;
    status = qb__fail(QB_ERROR_NO_MEMORY, "hwloc has no memory to read the topology");
    goto done;
  }
  /* The x86 component binds the calling thread to each CPU in turn to ask it. */
  hwloc_topology_set_components(machine, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
  if (hwloc_topology_load(machine)) {
    status = qb__fail(QB_ERROR_SYSTEM, "hwloc cannot read the topology of this machine; check that "
                                       "/sys and /proc are mounted");
    goto done;
  }
  if (!read_affinity(machine, usable))
    hwloc_bitmap_fill(usable);
  status = qb__topology_from_hwloc(machine, usable, topology);
done:
  if (machine)
    hwloc_topology_destroy(machine);
  hwloc_bitmap_free(usable);
  return status;
}
