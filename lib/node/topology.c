/* SPDX-License-Identifier: Apache-2.0 */
#include "node/topology.h"

#include "core/error.h"
#include "node/cpuid_caches.h"

#include <hwloc.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* What any thread of the process may run on; where the system does not tell, every CPU. */
static void read_affinity(hwloc_topology_t hwloc, hwloc_bitmap_t allowed)
{
  hwloc_bitmap_t bound = hwloc_bitmap_alloc();
  hwloc_bitmap_copy(allowed, hwloc_topology_get_allowed_cpuset(hwloc));
  if (bound && !hwloc_get_cpubind(hwloc, bound, HWLOC_CPUBIND_PROCESS))
    hwloc_bitmap_and(allowed, allowed, bound);
  hwloc_bitmap_free(bound);
}

/* Size of the cache of a level above a hardware thread; 0 if there is none or it is not told. */
static uint64_t cache_bytes(hwloc_obj_t thread, hwloc_obj_type_t type)
{
  for (hwloc_obj_t o = thread; o; o = o->parent)
    if (o->type == type)
      return o->attr->cache.size;
  return 0;
}

static hwloc_obj_t last_cache(hwloc_obj_t thread)
{
  hwloc_obj_t found = NULL;
  for (hwloc_obj_t o = thread; o; o = o->parent)
    if (hwloc_obj_type_is_dcache(o->type))
      found = o;
  return found;
}

/* hwloc ranks kinds from the least efficient up, where the system tells enough to. */
static uint8_t kind_of(hwloc_topology_t hwloc, hwloc_obj_t core)
{
  const int kinds = hwloc_cpukinds_get_nr(hwloc, 0);
  const int kind = kinds > 1 ? hwloc_cpukinds_get_by_cpuset(hwloc, core->cpuset, 0) : -1;
  int efficiency = -1;
  if (kind < 0 ||
      hwloc_cpukinds_get_info(hwloc, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0) ||
      efficiency < 0 || efficiency >= kinds)
    return 0;
  return (uint8_t)(kinds - 1 - efficiency);
}

/*
 * Adds the first usable hardware thread of each core, in hwloc's logical order: neighbours first.
 */
static void add_cores(hwloc_topology_t hwloc, hwloc_const_bitmap_t allowed, qb__topology *topology)
{
  /* Without cores in the topology (some virtual machines) every hardware thread counts as one. */
  const hwloc_obj_type_t type =
      hwloc_get_nbobjs_by_type(hwloc, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
  hwloc_bitmap_t usable = hwloc_bitmap_alloc();
  hwloc_bitmap_t nodes = hwloc_bitmap_alloc();
  hwloc_obj_t core = NULL, cache = NULL;
  while (usable && nodes && topology->core_count < QB__MOST_CORES &&
         (core = hwloc_get_next_obj_by_type(hwloc, type, core))) {
    hwloc_bitmap_and(usable, core->cpuset, allowed);
    const int cpu = hwloc_bitmap_first(usable);
    if (cpu < 0 || cpu > UINT16_MAX)
      continue;
    const hwloc_obj_t first = hwloc_get_pu_obj_by_os_index(hwloc, (unsigned)cpu);
    const hwloc_obj_t last = last_cache(first);
    topology->last_caches += last && last != cache;
    cache = last;
    if (!topology->core_count) {
      topology->l1d_bytes = cache_bytes(first, HWLOC_OBJ_L1CACHE);
      topology->l2_bytes = cache_bytes(first, HWLOC_OBJ_L2CACHE);
      topology->l3_bytes = cache_bytes(first, HWLOC_OBJ_L3CACHE);
    }
    if (!hwloc_bitmap_intersects(nodes, core->nodeset))
      topology->numa_nodes++;
    hwloc_bitmap_or(nodes, nodes, core->nodeset);
    topology->nodes[topology->core_count] =
        (uint16_t)(topology->numa_nodes ? topology->numa_nodes - 1 : 0);
    topology->kinds[topology->core_count] = kind_of(hwloc, core);
    topology->cpus[topology->core_count++] = (uint16_t)cpu;
  }
  topology->numa_nodes = topology->numa_nodes ? topology->numa_nodes : 1;
  hwloc_bitmap_free(usable);
  hwloc_bitmap_free(nodes);
}

void qb__topology_of(hwloc_topology_t hwloc, hwloc_const_bitmap_t allowed, qb__topology *topology)
{
  const int threads = hwloc_bitmap_weight(allowed);
  topology->hardware_threads = threads > 0 ? (uint32_t)threads : 0;
  add_cores(hwloc, allowed, topology);
}

static uint64_t installed_bytes(void)
{
  const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
}

/*
 * Where /sys is not mounted, hwloc would complain on standard error and know no more than this; and
 * where the environment makes it tell of another machine, this is what is known of our own.
 */
static void read_affinity_alone(qb__topology *topology)
{
  cpu_set_t mask, main_thread;
  if (sched_getaffinity(0, sizeof mask, &mask))
    return;
  /* The host may have bound this thread alone. */
  if (!sched_getaffinity(getpid(), sizeof main_thread, &main_thread))
    CPU_OR(&mask, &mask, &main_thread);
  for (int cpu = 0; cpu < CPU_SETSIZE && topology->core_count < QB__MOST_CORES; cpu++)
    if (CPU_ISSET(cpu, &mask))
      topology->cpus[topology->core_count++] = (uint16_t)cpu;
  topology->hardware_threads = topology->core_count;
  topology->numa_nodes = 1;
}

static qb_status read_hwloc(qb__topology *topology)
{
  hwloc_topology_t hwloc;
  if (hwloc_topology_init(&hwloc))
    return qb__fail(QB_ERROR_NO_MEMORY, "hwloc ran out of memory reading the machine's topology");
  hwloc_bitmap_t allowed = hwloc_bitmap_alloc();
  qb_status status = QB_OK;
  /* The x86 back end binds the calling thread to every core in turn; Linux tells all we need. */
  (void)hwloc_topology_set_components(hwloc, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
  if (!allowed || hwloc_topology_load(hwloc)) {
    status = qb__fail(QB_ERROR_SYSTEM, "hwloc cannot read the machine's topology; check that /sys "
                                       "and /proc are mounted");
    goto done;
  }
  if (!hwloc_topology_is_thissystem(hwloc)) { /* HWLOC_XMLFILE, HWLOC_SYNTHETIC */
    read_affinity_alone(topology);
    goto done;
  }
  read_affinity(hwloc, allowed);
  qb__topology_of(hwloc, allowed, topology);
done:
  hwloc_bitmap_free(allowed);
  hwloc_topology_destroy(hwloc);
  return status;
}

/* Some virtual machines hide the caches from the system, not from programs. */
static void fill_in_caches(qb__topology *topology)
{
  const qb__cache_sizes told = qb__cpuid_caches();
  uint64_t *sizes[] = {&topology->l1d_bytes, &topology->l2_bytes, &topology->l3_bytes};
  for (int level = 1; level <= 3; level++)
    if (!*sizes[level - 1])
      *sizes[level - 1] = told.bytes[level];
}

qb_status qb__topology_read(qb__topology *topology)
{
  memset(topology, 0, sizeof *topology);
  topology->memory_bytes = installed_bytes();
  qb_status status = QB_OK;
  if (access("/sys/devices/system/cpu", R_OK))
    read_affinity_alone(topology);
  else
    status = read_hwloc(topology);
  fill_in_caches(topology);
  if (!status && !topology->core_count)
    status = qb__fail(QB_ERROR_SYSTEM,
                      "no usable core: the affinity mask of the process contains no online CPU");
  return status;
}
